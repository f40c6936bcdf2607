import { useState } from 'react';
import type { MachineAction } from '../../api/types';
import { at, Go } from '../../app/links';
import { Time } from '../../app/time';
import { Status, words } from '../../ui/badges';
import { options, since, type Filter } from '../../ui/list/filters';
import { ListView } from '../../ui/list/ListView';
import type { Column } from '../../ui/list/Table';
import { Page } from '../../ui/Page';

export const columns: Column<MachineAction>[] = [
  { id: 'creationDateTimeUtc', title: 'Requested', value: (a) => a.creationDateTimeUtc, cell: (a) => <Time at={a.creationDateTimeUtc} />, width: 180 },
  { id: 'type', title: 'Action', value: (a) => words(a.type), width: 220 },
  { id: 'status', title: 'Status', value: (a) => a.status, cell: (a) => <Status value={a.status} />, width: 120 },
  { id: 'device', title: 'Device', value: (a) => a.computerDnsName, cell: (a) => <Go to={at.device(a.machineId)}>{a.computerDnsName ?? a.machineId}</Go>, sort: 'machineId', width: 200 },
  { id: 'requestor', title: 'Requested by', value: (a) => a.requestor, width: 160 },
  { id: 'source', title: 'Source', value: (a) => words(a.requestSource), sort: false, width: 120 },
  { id: 'comment', title: 'Comment', value: (a) => a.requestorComment, sort: false, width: 240, grow: true },
  { id: 'lastUpdateDateTimeUtc', title: 'Last change', value: (a) => a.lastUpdateDateTimeUtc, cell: (a) => <Time at={a.lastUpdateDateTimeUtc} />, width: 180 },
  { id: 'id', title: 'Action ID', value: (a) => a.id, cell: (a) => <span className="mono">{a.id}</span>, sort: false, width: 290, hidden: true },
];

const filters: Filter[] = [
  { id: 'status', title: 'Status', field: 'status', options: options('Pending', 'InProgress', 'Succeeded', 'Failed', 'TimeOut', 'Cancelled') },
  { id: 'type', title: 'Action', field: 'type', options: ['Isolate', 'Unisolate', 'RestrictCodeExecution', 'UnrestrictCodeExecution', 'RunAntiVirusScan', 'CollectInvestigationPackage', 'StopAndQuarantineFile', 'LiveResponse', 'Offboard'].map((v) => ({ value: v, label: words(v) })) },
  { id: 'by', title: 'Requested by', field: 'requestor' },
  since('creationDateTimeUtc', '30d'),
];

const newest = { id: 'creationDateTimeUtc', desc: true };

/** What was done to devices: what runs, and what is over. */
export default function Actions() {
  const [open, setOpen] = useState<MachineAction>();
  return (
    <Page title="Action center" fill>
      <ListView<MachineAction> name="actions" label="Actions" path="/api/machineactions" columns={columns} rowKey={(a) => a.id} filters={filters} start={newest} every={10_000}
        onOpen={setOpen} openKey={open?.id} empty={{ title: 'Nothing was done to a device yet' }} />
    </Page>
  );
}
