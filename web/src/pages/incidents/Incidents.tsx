import { Button } from '@fluentui/react-components';
import { EditRegular } from '@fluentui/react-icons/svg/edit';
import { MergeRegular } from '@fluentui/react-icons/svg/merge';
import { useState } from 'react';
import { useMay } from '../../api/session';
import type { QueuedIncident } from '../../api/types';
import { at, Go } from '../../app/links';
import { Time } from '../../app/time';
import { Severity, Status, Tags, words } from '../../ui/badges';
import { containing, options, since, type Filter } from '../../ui/list/filters';
import { ListView, readAhead } from '../../ui/list/ListView';
import type { Column } from '../../ui/list/Table';
import { Facts, Page } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';
import { MergeIncidents } from './arrange';
import { ManageIncident, ManageIncidents } from './manage';

const and = (names: string[], all: number): string => [...names, ...(all > names.length ? [`${all - names.length} more`] : [])].join(', ');

const columns: Column<QueuedIncident>[] = [
  { id: 'incidentName', title: 'Incident', value: (i) => i.incidentName, cell: (i) => <Go to={at.incident(i.incidentId)} title={i.incidentName}>{i.incidentName}</Go>, width: 380, grow: true, plain: true },
  { id: 'incidentId', title: 'ID', value: (i) => i.incidentId, width: 60 },
  { id: 'severity', title: 'Severity', value: (i) => i.severity, cell: (i) => <Severity value={i.severity} />, width: 105 },
  { id: 'status', title: 'Status', value: (i) => i.status, cell: (i) => <Status value={i.status} />, width: 115 },
  { id: 'active', title: 'Active alerts', value: (i) => i.openAlertCount, cell: (i) => `${i.openAlertCount} of ${i.alertCount}`, sort: false, width: 110 },
  { id: 'categories', title: 'Categories', value: (i) => i.categories.map(words).join(', '), sort: false, width: 160 },
  { id: 'assets', title: 'Impacted assets', value: (i) => and([...i.devices.map((d) => d.deviceDnsName), ...i.users], i.deviceCount + i.userCount), sort: false, width: 170 },
  { id: 'lastUpdateTime', title: 'Last update', value: (i) => i.lastUpdateTime, cell: (i) => <Time at={i.lastUpdateTime} form="short" />, width: 120 },
  { id: 'createdTime', title: 'Created', value: (i) => i.createdTime, cell: (i) => <Time at={i.createdTime} />, width: 180, hidden: true },
  { id: 'assignedTo', title: 'Assigned to', value: (i) => i.assignedTo, width: 140 },
  { id: 'tags', title: 'Tags', value: (i) => i.tags.join(', '), cell: (i) => <Tags of={i.tags} />, sort: false, width: 160 },
  { id: 'classification', title: 'Classification', value: (i) => words(i.classification), width: 180, hidden: true },
];

const filters: Filter[] = [
  { id: 'status', title: 'Status', field: 'status', options: options('Active', { value: 'InProgress', label: 'In progress' }, 'Resolved'), start: ['Active', 'InProgress'] },
  { id: 'severity', title: 'Severity', field: 'severity', options: options('High', 'Medium', 'Low', 'Informational') },
  since('lastUpdateTime', '180d'),
  { id: 'assigned', title: 'Assigned to', field: 'assignedTo' },
  { id: 'classification', title: 'Classification', field: 'classification', options: options('TruePositive', 'InformationalExpectedActivity', 'FalsePositive') },
  { id: 'tag', title: 'Tags', odata: (vs) => vs.map((v) => `tags/any(t:t eq '${v.replaceAll("'", "''")}')`).join(' or ') },
];

const newest = { id: 'lastUpdateTime', desc: true };
const search = {
  hint: 'Search by name or ID',
  odata: (text: string) => containing('incidentName')([text]) + (/^\d{1,15}$/.test(text) ? ` or incidentId eq ${text}` : ''),
};

/** What the queue asks for. */
const queue = { name: 'incidents', label: 'Incidents', path: '/api/vedette/incidents', filters, search, start: newest, page: 100 };

/** Asks for the queue as an address has it, before anything is drawn. */
export const ahead = (address: Record<string, string>): void => readAhead(queue, columns, address);

/** How many there are that are not named. */
function Others({ of, n }: { of: QueuedIncident; n: number }) {
  return n > 0 && <Go to={at.incident(of.incidentId)}>{n} more</Go>;
}

/** The queue of incidents. */
export default function Incidents() {
  const [open, setOpen] = useState<QueuedIncident>();
  const [managed, setManaged] = useState<QueuedIncident[]>();
  const [merged, setMerged] = useState<QueuedIncident[]>();
  const may = useMay();
  return (
    <Page title="Incidents" fill>
      <ListView<QueuedIncident> {...queue} columns={columns} rowKey={(i) => String(i.incidentId)} every={30_000}
        bulk={may('Incident.ReadWrite.All') ? (rows, clear) => (
          <>
            <Button size="small" icon={<EditRegular />} onClick={() => { setManaged(rows); clear(); }}>Manage incidents</Button>
            <Button size="small" icon={<MergeRegular />} onClick={() => { setMerged(rows); clear(); }}>Merge</Button>
          </>
        ) : undefined}
        onOpen={setOpen} openKey={open ? String(open.incidentId) : undefined}
        empty={{ title: 'There are no open incidents', text: 'Alerts that belong together are shown here as one incident.' }} />
      <SidePanel open={open !== undefined} title={open?.incidentName ?? ''} close={() => setOpen(undefined)} actions={open && <div><Go to={at.incident(open.incidentId)}>Open the incident page</Go></div>}>
        {open && (
          <>
            <Facts of={[
              ['Severity', <Severity value={open.severity} />], ['Status', <Status value={open.status} />],
              ['Alerts', `${open.openAlertCount} active of ${open.alertCount}`],
              ['Devices', <>{open.devices.map((d) => <div key={d.mdatpDeviceId}><Go to={at.device(d.mdatpDeviceId)}>{d.deviceDnsName}</Go></div>)}<Others of={open} n={open.deviceCount - open.devices.length} /></>],
              ['Users', <>{open.users.map((u) => <div key={u}><Go to={at.user(u)}>{u}</Go></div>)}<Others of={open} n={open.userCount - open.users.length} /></>],
              ['Created', <Time at={open.createdTime} />], ['Last update', <Time at={open.lastUpdateTime} />],
            ]} />
            {may('Incident.ReadWrite.All') && <><h3>Manage</h3><ManageIncident key={`${open.incidentId}${open.lastUpdateTime}`} incident={open} /></>}
          </>
        )}
      </SidePanel>
      {merged && <MergeIncidents incidents={merged} close={() => setMerged(undefined)} />}
      <SidePanel open={managed !== undefined} title={`Manage ${managed?.length ?? 0} ${managed?.length === 1 ? 'incident' : 'incidents'}`} close={() => setManaged(undefined)}>
        {managed && (managed.length === 1 ? <ManageIncident incident={managed[0]} done={() => setManaged(undefined)} /> : <ManageIncidents incidents={managed} done={() => setManaged(undefined)} />)}
      </SidePanel>
    </Page>
  );
}
