import { Button } from '@fluentui/react-components';
import { ArrowSwapRegular } from '@fluentui/react-icons/svg/arrow-swap';
import { EditRegular } from '@fluentui/react-icons/svg/edit';
import { useState } from 'react';
import { useMay } from '../../api/session';
import type { Alert } from '../../api/types';
import { at, Go } from '../../app/links';
import { Time } from '../../app/time';
import { Severity, Status, words } from '../../ui/badges';
import { ListView, readAhead } from '../../ui/list/ListView';
import { Facts, Page } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';
import { MoveAlerts } from '../incidents/arrange';
import { columns, filters, search } from './columns';
import { ManageAlerts } from './manage';
import { Techniques } from '../../ui/techniques';

const newest = { id: 'alertCreationTime', desc: true };

const queue = { name: 'alerts', label: 'Alerts', path: '/api/alerts', filters, search, start: newest };

/** Asks for the queue as an address has it, before anything is drawn. */
export const ahead = (address: Record<string, string>): void => readAhead(queue, columns, address);

/** The queue of alerts. */
export default function Alerts() {
  const [open, setOpen] = useState<Alert>();
  const [managed, setManaged] = useState<Alert[]>();
  const [moved, setMoved] = useState<Alert[]>();
  const may = useMay();
  const write = may('Alert.ReadWrite.All');
  return (
    <Page title="Alerts" fill>
      <ListView<Alert> {...queue} columns={columns} rowKey={(a) => a.id} every={30_000}
        onOpen={setOpen} openKey={open?.id}
        bulk={write ? (rows, clear) => (
          <>
            <Button size="small" appearance="primary" icon={<EditRegular />} onClick={() => { setManaged(rows); clear(); }}>Manage alerts</Button>
            {may('Incident.ReadWrite.All') && <Button size="small" icon={<ArrowSwapRegular />} onClick={() => { setMoved(rows); clear(); }}>Link to an incident</Button>}
          </>
        ) : undefined}
        empty={{ title: 'There are no alerts', text: 'Alerts of the last week that nobody resolved are shown here.' }} />
      <SidePanel open={open !== undefined} title={open?.title ?? ''} close={() => setOpen(undefined)} actions={open && <div><Go to={at.alert(open.id)}>Open the alert page</Go></div>}>
        {open && <Summary alert={open} manage={write} />}
      </SidePanel>
      <SidePanel open={managed !== undefined} title={`Manage ${managed?.length ?? 0} ${managed?.length === 1 ? 'alert' : 'alerts'}`} close={() => setManaged(undefined)}>
        {managed && <ManageAlerts key={managed.map((a) => a.id).join()} alerts={managed} done={() => setManaged(undefined)} />}
      </SidePanel>
      {moved && <MoveAlerts ids={moved.map((a) => a.id)} from={[]} close={() => setMoved(undefined)} />}
    </Page>
  );
}

/** An alert in short. */
export function Summary({ alert: a, manage }: { alert: Alert; manage: boolean }) {
  return (
    <>
      <Facts of={[
        ['Severity', <Severity value={a.severity} />], ['Status', <Status value={a.status} />],
        ['Device', a.machineId && <Go to={at.device(a.machineId)}>{a.computerDnsName ?? a.machineId}</Go>],
        ['Incident', a.incidentId && <Go to={at.incident(a.incidentId)}>{a.incidentId}</Go>],
        ['Category', words(a.category)], ['Techniques', <Techniques of={a.mitreTechniques} />], ['Detection source', words(a.detectionSource)],
        ['First activity', <Time at={a.firstEventTime} />], ['Last activity', <Time at={a.lastEventTime} />],
        ['What happened', a.description && <span className="wrap">{a.description}</span>],
        ['Recommended actions', a.recommendedAction && <span className="wrap">{a.recommendedAction}</span>],
      ]} />
      {manage && <><h3>Manage</h3><ManageAlerts key={`${a.id}${a.lastUpdateTime}`} alerts={[a]} /></>}
    </>
  );
}
