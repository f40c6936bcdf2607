import type { LiveSession } from '../../api/types';
import { at, Go, useGo } from '../../app/links';
import { Time } from '../../app/time';
import { options, since, type Filter } from '../../ui/list/filters';
import { ListView } from '../../ui/list/ListView';
import type { Column } from '../../ui/list/Table';
import { sessionsPath } from './api';
import { LiveState } from './parts';

const columns: Column<LiveSession>[] = [
  { id: 'creationDateTimeUtc', title: 'Started', value: (s) => s.creationDateTimeUtc, cell: (s) => <Go to={at.live(s.id)}><Time at={s.creationDateTimeUtc} /></Go>, width: 190 },
  { id: 'device', title: 'Device', value: (s) => s.computerDnsName, cell: (s) => <Go to={at.device(s.machineId)}>{s.computerDnsName}</Go>, sort: 'machineId', width: 200, grow: true },
  { id: 'startedBy', title: 'Started by', value: (s) => s.startedBy, width: 150 },
  { id: 'level', title: 'Level', value: (s) => s.level, width: 100, sort: false },
  { id: 'state', title: 'State', value: (s) => s.state, cell: (s) => <LiveState of={s.state} />, width: 150 },
  { id: 'commandCount', title: 'Commands', value: (s) => s.commandCount, width: 100, align: 'end', sort: false },
  { id: 'files', title: 'Files', value: (s) => s.files.length, width: 70, align: 'end', sort: false },
  { id: 'comment', title: 'Comment', value: (s) => s.comment, width: 220, sort: false },
  { id: 'reason', title: 'Why it ended', value: (s) => s.reason, width: 220, sort: false },
  { id: 'outcome', title: 'What the device said', value: (s) => s.outcome, width: 220, sort: false, hidden: true },
  { id: 'id', title: 'Session ID', value: (s) => s.id, cell: (s) => <span className="mono">{s.id}</span>, width: 290, hidden: true },
];
const filters: Filter[] = [
  { id: 'state', title: 'State', field: 'state', options: options('Waiting', 'Active', 'Ended') },
  { id: 'by', title: 'Started by', field: 'startedBy' },
  { id: 'device', title: 'Device ID', field: 'machineId', single: true },
  since('creationDateTimeUtc', '30d'),
];
const newest = { id: 'creationDateTimeUtc', desc: true };

/** The list of sessions, of everything or of one device. */
export function Sessions({ always, name = 'livesessions' }: { always?: string; name?: string }) {
  const go = useGo();
  return <ListView<LiveSession> name={name} label="Live response sessions" path={sessionsPath} columns={columns} rowKey={(s) => s.id} filters={always ? filters.filter((f) => f.id !== 'device') : filters} always={always} start={newest} every={15_000}
    onOpen={(s) => go(at.live(s.id))} empty={{ title: 'There was no live response session', text: 'A session starts on the page of its device.' }} />;
}
