// The events of a device: what the timeline asks of the server and what it makes of the answers.
import { post, segment } from '../../api/client';
import { datetime, literal, type Row } from '../../api/hunt';
import type { Machine } from '../../api/types';
import type { Place } from './events';

export interface Event {
  key: string;
  at: string;
  table: string;
  action: string;
  row: Row;
  /** What happened, in a line. */
  what: string;
  user: string;
  /** Set on the rows of alerts. */
  alert?: { id: string; techniques: string[]; severity: string };
}

/** Groups of events that somebody may choose. */
export const groups: { id: string; title: string; tables: string[] }[] = [
  { id: 'process', title: 'Processes', tables: ['DeviceProcessEvents'] },
  { id: 'network', title: 'Network', tables: ['DeviceNetworkEvents'] },
  { id: 'file', title: 'Files', tables: ['DeviceFileEvents'] },
  { id: 'logon', title: 'Logons', tables: ['DeviceLogonEvents'] },
  { id: 'image', title: 'Modules', tables: ['DeviceImageLoadEvents'] },
  { id: 'registry', title: 'Registry', tables: ['DeviceRegistryEvents'] },
  { id: 'other', title: 'Other', tables: ['DeviceEvents'] },
];

export interface Range { from: number; to: number }
export interface Ask {
  device: string;
  range: Range;
  groups: string[];
  search: string;
  /** Keeps the events that were flagged, by their keys. */
  flagged?: string[];
}

const shown = 'Timestamp, Table, ActionType, FileName, FolderPath, SHA1, ProcessId, ProcessCommandLine, AccountDomain, AccountName, RemoteIP, RemotePort, RemoteUrl, Protocol, LocalPort, LogonType, InitiatingProcessFileName, InitiatingProcessCommandLine, InitiatingProcessId, InitiatingProcessParentFileName, InitiatingProcessAccountName, InitiatingProcessAccountDomain, InitiatingProcessSHA1, AdditionalFields, ReportId';
const searched = ['ActionType', 'FileName', 'FolderPath', 'ProcessCommandLine', 'RemoteIP', 'RemoteUrl', 'AccountName', 'InitiatingProcessFileName', 'InitiatingProcessCommandLine', 'SHA1'];

const all = groups.flatMap((g) => g.tables).join(', ');

/** Every table is part of it, whatever is chosen: so every column is there whichever rows are left. */
function base(a: Ask): string {
  const tables = groups.filter((g) => a.groups.includes(g.id)).flatMap((g) => g.tables);
  const only = tables.length > 0 ? `\n| where Table in (${tables.map(literal).join(', ')})` : '';
  const find = a.search ? `\n| where ${searched.map((c) => `${c} contains ${literal(a.search)}`).join(' or ')}` : '';
  return `union withsource = Table ${all}\n| where DeviceId == ${literal(a.device)} and Timestamp >= ${datetime(a.range.from)} and Timestamp < ${datetime(a.range.to)}${only}${find}`;
}

/** The query of an Ask, as somebody may go on hunting with. */
export const queryOf = (a: Ask): string => `${base(a)}\n| project ${shown}`;

const text = (v: unknown): string => (v === null || v === undefined ? '' : String(v));

/** A line that says what a row is. */
export function describe(r: Row): string {
  const by = text(r.InitiatingProcessFileName);
  const file = text(r.FileName);
  const where = text(r.RemoteUrl) || (text(r.RemoteIP) && `${text(r.RemoteIP)}${r.RemotePort ? `:${text(r.RemotePort)}` : ''}`);
  const account = [text(r.AccountDomain), text(r.AccountName)].filter(Boolean).join('\\');
  const asked = /"(?:DnsQueryString|QueryName|query)"\s*:\s*"([^"]+)"/i.exec(text(r.AdditionalFields))?.[1];
  if (asked && /dns/i.test(text(r.ActionType))) return `${by || 'A process'} asked for ${asked}`;
  switch (text(r.Table)) {
    case 'DeviceProcessEvents': return `${by || 'A process'} → ${text(r.ProcessCommandLine) || file}`;
    case 'DeviceNetworkEvents': return `${by || 'A process'} ↔ ${where || text(r.ActionType)}`;
    case 'DeviceFileEvents': return `${by || 'A process'} · ${text(r.FolderPath).endsWith(file) ? text(r.FolderPath) : `${text(r.FolderPath)}/${file}`}`;
    case 'DeviceLogonEvents': return `${account || 'Somebody'}${r.LogonType ? ` (${text(r.LogonType)})` : ''}${where ? ` from ${where}` : ''}`;
    default: return [by, file || text(r.ProcessCommandLine) || where || account].filter(Boolean).join(' · ') || text(r.ActionType);
  }
}

/** A row as an event. */
export function eventOf(r: Row): Event {
  const user = [text(r.InitiatingProcessAccountDomain) || text(r.AccountDomain), text(r.InitiatingProcessAccountName) || text(r.AccountName)].filter(Boolean).join('\\');
  return { key: `${text(r.Table)}/${text(r.ReportId)}/${text(r.Timestamp)}`, at: text(r.Timestamp), table: text(r.Table), action: text(r.ActionType), row: r, what: describe(r), user };
}

/** What the person flagged, as the server names events. */
const marks = (flags: string[]): { timestamp: string; reportId: number | bigint }[] => flags.flatMap((key) => {
  const [table, report, timestamp] = key.split('/');
  return table !== 'alert' && /^-?\d+$/.test(report) && timestamp ? [{ timestamp, reportId: Number.isSafeInteger(Number(report)) ? Number(report) : BigInt(report) }] : [];
});

/** The part of an Ask that every question has. */
const view = (a: Ask) => ({
  from: new Date(a.range.from).toISOString(), to: new Date(a.range.to).toISOString(), search: a.search,
  tables: groups.filter((g) => a.groups.includes(g.id)).flatMap((g) => g.tables), marked: a.flagged ? marks(a.flagged) : [],
});

const address = (a: Ask): string => `/api/vedette/machines/${segment(a.device)}/timeline`;

/** Events of an Ask between two places, newest first. */
export async function section(a: Ask, after: Place | undefined, until: Place | undefined, top: number, signal?: AbortSignal): Promise<{ events: Event[]; cut: boolean; last?: Place }> {
  if (a.flagged && marks(a.flagged).length === 0) return { events: [], cut: false };
  const found = await post<{ columns: { Name: string }[]; cut: boolean; rows: unknown[][] }>(address(a), { ...view(a), after, until, top }, { signal });
  const names = found.columns.map((c) => c.Name);
  const events = found.rows.map((cells) => {
    const row: Row = {};
    for (let i = 0; i < names.length; i++) row[names[i]] = cells[i];
    return eventOf(row);
  });
  const last = events.at(-1)?.row;
  return { events, cut: found.cut, last: last && { timestamp: last.Timestamp as string, reportId: last.ReportId as number | bigint, ingestionTime: last.IngestionTime as string } };
}

export interface Bin { at: number; n: number }
export interface Outline { total: number; every: number; landmarks: Place[]; complete: boolean; bins: Bin[] }

/** How many events an Ask has, where they are and when they happened. */
export async function outline(a: Ask, every: number, bins: number, signal?: AbortSignal): Promise<Outline> {
  if (a.flagged && marks(a.flagged).length === 0) return { total: 0, every, landmarks: [], complete: true, bins: [] };
  const o = await post<{ total: number; every: number; landmarks: Place[]; first: string; stepSeconds: number; bins: number[]; complete: boolean }>(`${address(a)}/outline`, { ...view(a), every, bins }, { signal });
  const first = Date.parse(o.first);
  return { ...o, bins: o.bins.map((n, i) => ({ at: first + i * o.stepSeconds * 1000, n })) };
}

/** A query for what happened around an event. */
export function around(m: Machine, e: Event): string {
  const t = Date.parse(e.at);
  const pid = e.row.InitiatingProcessId ?? e.row.ProcessId;
  return `union withsource = Table ${all}\n| where DeviceId == ${literal(m.id)}\n| where Timestamp between (${datetime(t - 1_800_000)} .. ${datetime(t + 1_800_000)})${pid ? `\n| where InitiatingProcessId == ${Number(pid)} or ProcessId == ${Number(pid)}` : ''}\n| sort by Timestamp asc`;
}
