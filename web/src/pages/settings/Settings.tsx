import { useParams } from '@tanstack/react-router';
import type { ComponentType } from 'react';
import { useMay } from '../../api/session';
import { Go } from '../../app/links';
import { Page } from '../../ui/Page';
import { Boundary, Empty } from '../../ui/states';
import { Receivers } from '../expert/Receivers';
import { Applications } from './Applications';
import { Audit } from './Audit';
import { Explorer } from './Explorer';
import { Feeds } from './Feeds';
import { DeviceGroups, Enrolment } from './Machines';
import { Notifications } from './Notifications';
import { Groups, Roles, Users } from './People';
import { Policies } from './Policies';
import { Retention } from './Retention';
import { Server } from './Server';
import { SignOn } from './SignOn';
import css from './settings.module.css';

const admin = ['Vedette.Admin.All'];
const sections: Record<string, { title: string; need: string[]; body: ComponentType }> = {
  users: { title: 'Users', need: admin, body: Users }, roles: { title: 'Roles', need: admin, body: Roles }, groups: { title: 'User groups', need: admin, body: Groups }, signin: { title: 'Sign-in', need: admin, body: SignOn },
  devicegroups: { title: 'Device groups', need: admin, body: DeviceGroups }, enrolment: { title: 'Enrolment', need: admin, body: Enrolment }, applications: { title: 'API applications', need: admin, body: Applications },
  approvals: { title: 'Approval policies', need: admin, body: Policies }, notifications: { title: 'Notification rules', need: ['Alert.ReadWrite.All'], body: Notifications }, experts: { title: 'Experts', need: admin, body: Receivers }, audit: { title: 'Audit log', need: admin, body: Audit },
  feeds: { title: 'Vulnerability feeds', need: ['Vulnerability.Read.All'], body: Feeds }, retention: { title: 'Retention', need: admin, body: Retention },
  server: { title: 'Health and configuration', need: admin, body: Server }, api: { title: 'API explorer', need: [], body: Explorer },
};

/** The settings: one section at a time, each with an address of its own. */
export default function Settings() {
  const { section } = useParams({ strict: false }) as { section?: string };
  const may = useMay();
  const allowed = Object.entries(sections).filter(([, s]) => may(...s.need));
  const name = section ?? allowed[0]?.[0];
  const shown = allowed.find(([k]) => k === name)?.[1];
  return (
    <Page title="Settings" fill>
      <div className={css.all}>
        <nav aria-label="Settings"><ul className={css.menu}>{allowed.map(([k, s]) => <li key={k} className={k === name ? css.on : undefined} aria-current={k === name ? 'page' : undefined}><Go to={`/settings/${k}`} className=" ">{s.title}</Go></li>)}</ul></nav>
        <div className={css.body}>{shown ? <Boundary place={name}><shown.body /></Boundary> : <Empty title="There is no such section">Or you have no access to it.</Empty>}</div>
      </div>
    </Page>
  );
}
