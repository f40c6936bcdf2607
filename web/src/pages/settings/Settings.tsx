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
interface Section { title: string; group: string; need: string[]; body: ComponentType }
const sections: Record<string, Section> = {
  users: { title: 'Users', group: 'Access', need: admin, body: Users }, roles: { title: 'Roles', group: 'Access', need: admin, body: Roles }, groups: { title: 'User groups', group: 'Access', need: admin, body: Groups }, signin: { title: 'Sign-in', group: 'Access', need: admin, body: SignOn }, applications: { title: 'API applications', group: 'Access', need: admin, body: Applications },
  devicegroups: { title: 'Device groups', group: 'Devices', need: admin, body: DeviceGroups }, enrolment: { title: 'Enrolment', group: 'Devices', need: admin, body: Enrolment },
  approvals: { title: 'Approval policies', group: 'Response', need: admin, body: Policies }, notifications: { title: 'Notification rules', group: 'Response', need: ['Alert.ReadWrite.All'], body: Notifications }, experts: { title: 'Experts', group: 'Response', need: admin, body: Receivers },
  feeds: { title: 'Vulnerability feeds', group: 'Data', need: ['Vulnerability.Read.All'], body: Feeds }, retention: { title: 'Retention', group: 'Data', need: admin, body: Retention }, audit: { title: 'Audit log', group: 'Data', need: admin, body: Audit },
  server: { title: 'Health and configuration', group: 'Server', need: admin, body: Server }, api: { title: 'API explorer', group: 'Server', need: [], body: Explorer },
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
        <nav aria-label="Settings"><ul className={css.menu}>{allowed.map(([k, s], i) => <li key={k} className={k === name ? css.on : undefined} aria-current={k === name ? 'page' : undefined}>{s.group !== allowed[i - 1]?.[1].group && <h2 className={css.group}>{s.group}</h2>}<Go to={`/settings/${k}`} className=" ">{s.title}</Go></li>)}</ul></nav>
        <div className={css.body}>{shown ? <Boundary place={name}><shown.body /></Boundary> : <Empty title="There is no such section">Or you have no access to it.</Empty>}</div>
      </div>
    </Page>
  );
}
