// What several pages of live response show: the open consoles, states, the log of commands, and files.
import { Button, Link } from '@fluentui/react-components';
import { DismissRegular } from '@fluentui/react-icons/svg/dismiss';
import { useState, useSyncExternalStore } from 'react';
import type { LiveCommand, LiveFile } from '../../api/types';
import { at, Go } from '../../app/links';
import { Time } from '../../app/time';
import { Badge, words, type Tone } from '../../ui/badges';
import { Table, type Column, type Sort } from '../../ui/list/Table';
import { Empty } from '../../ui/states';
import { bytes, fileAddress } from './api';
import type { Console, Shown } from './console';
import css from './live.module.css';
import { drop, useConsoles } from './open';

/** What a console shows now. */
export const useConsole = (c: Console): Shown => useSyncExternalStore(c.subscribe, () => c.now);

const stateTone: Record<string, Tone> = { connecting: 'busy', waiting: 'busy', ready: 'good', closed: 'quiet', lost: 'bad', Waiting: 'busy', Active: 'good', Ended: 'quiet' };
const stateName: Record<string, string> = { connecting: 'Connecting', waiting: 'Calling the device', ready: 'Connected', closed: 'Ended', lost: 'Connection lost', Waiting: 'Calling the device', Active: 'Active', Ended: 'Ended' };

/** The state of a session or of a console. */
export const LiveState = ({ of }: { of: string }) => <Badge tone={stateTone[of] ?? 'quiet'}>{stateName[of] ?? of}</Badge>;

/** The consoles of this page, to go from one to another. */
export function Consoles({ current }: { current?: string }) {
  const all = useConsoles();
  if (all.length === 0 || (all.length === 1 && all[0].id === current)) return null;
  return <nav className={css.strip} aria-label="Open consoles">{all.map((c) => <OpenConsole key={c.id} of={c} current={c.id === current} />)}</nav>;
}

function OpenConsole({ of, current }: { of: Console; current: boolean }) {
  const { state, session } = useConsole(of);
  return (
    <span style={{ display: 'inline-flex', alignItems: 'center' }}>
      <span aria-current={current || undefined} className={css.open}><Go to={at.live(of.id)} className="go">{session.computerDnsName}</Go><LiveState of={state} /></span>
      {!of.live && !current && <Button size="small" appearance="subtle" icon={<DismissRegular />} aria-label={`Put the console of ${session.computerDnsName} away`} onClick={() => drop(of)} />}
    </span>
  );
}

const commandTone: Record<string, Tone> = { running: 'busy', completed: 'good', failed: 'bad', cancelled: 'quiet', timeout: 'warn', background: 'busy', denied: 'bad', lost: 'warn' };

const columns = (id: string, files: LiveFile[]): Column<LiveCommand>[] => [
  { id: 'run', title: 'No.', value: (c) => c.run, width: 60, align: 'end' },
  { id: 'line', title: 'Command', value: (c) => c.commandLine, cell: (c) => <span className="mono" title={c.commandLine}>{c.commandLine}</span>, width: 280, grow: true },
  { id: 'status', title: 'Status', value: (c) => c.status, cell: (c) => <Badge tone={commandTone[c.status] ?? 'quiet'}>{words(c.status)}</Badge>, width: 120 },
  { id: 'begun', title: 'Begun', value: (c) => c.startTime, cell: (c) => <Time at={c.startTime} form="clock" />, width: 120 },
  { id: 'took', title: 'Took', value: (c) => c.durationSeconds, cell: (c) => (c.durationSeconds == null ? '—' : `${c.durationSeconds.toFixed(1)} s`), width: 80, align: 'end' },
  { id: 'bytes', title: 'Output', value: (c) => c.outputBytes, cell: (c) => bytes(c.outputBytes), width: 90, align: 'end' },
  { id: 'exit', title: 'Exit code', value: (c) => c.exitCode, width: 80, align: 'end', hidden: true },
  { id: 'error', title: 'What went wrong', value: (c) => c.error, cell: (c) => <span title={c.error}>{c.error || '—'}</span>, width: 240 },
  { id: 'files', title: 'Files', value: (c) => c.files.length, cell: (c) => c.files.map((i) => files.find((f) => f.index === i)).filter((f) => f !== undefined).map((f) => <Link key={f.index} href={fileAddress(id, f.index)} download>{f.fileName}</Link>), width: 140 },
];

/** What was typed, and how it ended. */
export function CommandLog({ id, of, files }: { id: string; of: LiveCommand[]; files: LiveFile[] }) {
  const [sort, setSort] = useState<Sort | undefined>({ id: 'run', desc: false });
  if (of.length === 0) return <Empty title="No command was typed" />;
  return <div className={css.table}><Table label="Commands of the session" columns={columns(id, files)} rows={of} rowKey={(c) => String(c.run)} sort={sort} onSort={setSort} /></div>;
}

const fileColumns = (id: string): Column<LiveFile>[] => [
  { id: 'name', title: 'File', value: (f) => f.fileName, cell: (f) => <Link href={fileAddress(id, f.index)} download>{f.fileName}</Link>, width: 260, grow: true },
  { id: 'size', title: 'Size', value: (f) => f.size, cell: (f) => <span title={`${f.size.toLocaleString('en')} bytes`}>{bytes(f.size)}</span>, width: 100, align: 'end' },
  { id: 'sha256', title: 'SHA-256', value: (f) => f.sha256, cell: (f) => <Go to={at.file(f.sha256)} className="go mono">{f.sha256}</Go>, width: 480 },
];

/** What a session brought from the device. */
export function Files({ id, of }: { id: string; of: LiveFile[] }) {
  if (of.length === 0) return <Empty title="The session brought no file">getfile PATH fetches one of the device; a command line that ends in &gt; NAME makes one of its output.</Empty>;
  return (
    <>
      <p className="quiet">These come from the device as they are. Treat them as malware.</p>
      <div className={css.table}><Table label="Files of the session" columns={fileColumns(id)} rows={of} rowKey={(f) => String(f.index)} /></div>
    </>
  );
}
