// The events of a device, read by hunting: what the timeline asks and what it makes of the answers.
import { datetime, hunt, literal, type Row } from '../../api/hunt';
import type { Machine } from '../../api/types';

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
export interface Ask { device: string; range: Range; groups: string[]; search: string }

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

/** Rows of a page of the timeline. */
export const pageSize = 1000;

/** Where a page ended: its last instant, and what of it was on the page. */
export interface Seam { at: string; keys: string[] }

export interface TimelinePage { events: Event[]; complete: boolean; next?: Seam }

/** A page of events, newest first, from a seam on. */
export async function page(a: Ask, from: Seam | undefined, signal: AbortSignal): Promise<TimelinePage> {
  const until = from ? `\n| where Timestamp <= datetime(${from.at})` : '';
  const size = pageSize + (from?.keys.length ?? 0);
  const found = await hunt(`${queryOf(a)}${until}\n| sort by Timestamp desc, ReportId desc\n| take ${size}`, signal);
  const known = new Set(from?.keys);
  const events = found.rows.map(eventOf).filter((e) => !known.has(e.key));
  const last = events.at(-1)?.at;
  if (found.rows.length < size || last === undefined) return { events, complete: found.complete };
  const keys = events.filter((e) => e.at === last).map((e) => e.key);
  return { events, complete: found.complete, next: { at: last, keys: last === from?.at ? [...from.keys, ...keys] : keys } };
}

export interface Bin { at: number; n: number }

/** How many events there are over the range. */
export async function histogram(a: Ask, bins: number, signal: AbortSignal): Promise<Bin[]> {
  const step = Math.max(1000, Math.ceil((a.range.to - a.range.from) / bins / 1000) * 1000);
  const found = await hunt(`${base(a)}\n| summarize N = count() by At = bin(Timestamp, ${step / 1000}s)\n| sort by At asc`, signal);
  const counts = new Map(found.rows.map((r) => [Math.floor(Date.parse(text(r.At)) / step) * step, Number(r.N)]));
  const out: Bin[] = [];
  for (let t = Math.floor(a.range.from / step) * step; t < a.range.to; t += step) out.push({ at: t, n: counts.get(t) ?? 0 });
  return out;
}

/** A query for what happened around an event. */
export function around(m: Machine, e: Event): string {
  const t = Date.parse(e.at);
  const pid = e.row.InitiatingProcessId ?? e.row.ProcessId;
  return `union withsource = Table ${all}\n| where DeviceId == ${literal(m.id)}\n| where Timestamp between (${datetime(t - 1_800_000)} .. ${datetime(t + 1_800_000)})${pid ? `\n| where InitiatingProcessId == ${Number(pid)} or ProcessId == ${Number(pid)}` : ''}\n| sort by Timestamp asc`;
}
