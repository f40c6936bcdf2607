// How states are shown, the same everywhere: a mark and a word, never a colour alone.
import type { ReactNode } from 'react';
import css from './badges.module.css';

// What taking apart would get wrong, or what people call otherwise.
const called: Record<string, string> = {
  RunAntiVirusScan: 'Run antivirus scan', Unisolate: 'Release from isolation', RestrictCodeExecution: 'Restrict app execution', UnrestrictCodeExecution: 'Remove app restrictions', PublicApi: 'API',
  WindowsDefenderAtp: 'Endpoint sensor', CustomDetection: 'Custom detection', CustomerTI: 'Custom indicator',
  ImpairedCommunication: 'Impaired', NoSensorDataImpairedCommunication: 'No data, impaired',
};

const initials: Record<string, string> = { id: 'ID', ip: 'IP', url: 'URL', dns: 'DNS', os: 'OS', md5: 'MD5', sha1: 'SHA-1', sha256: 'SHA-256', tcp: 'TCP', udp: 'UDP', icmp: 'ICMP', api: 'API', osv: 'OSV', cisa: 'CISA', kev: 'KEV', ok: 'OK', uac: 'UAC', av: 'AV', sid: 'SID' };

/** A word in pieces as the API writes it (InProgress) as people do (In progress). */
export function words(s: string | null | undefined): string {
  if (!s) return '';
  if (called[s]) return called[s];
  const parts = s.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/([A-Z]+)([A-Z][a-z])/g, '$1 $2').split(' ');
  return parts.map((p, i) => initials[p.toLowerCase()] ?? (i === 0 ? p.charAt(0).toUpperCase() + p.slice(1) : /^[A-Z]{2,}$/.test(p) ? p : p.toLowerCase())).join(' ');
}

/** How many of something, in words: 1 device, 1,200 devices. */
export const counted = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

const severityClass: Record<string, string> = { critical: css.critical, high: css.high, medium: css.medium, low: css.low, informational: css.info, none: css.none, unspecified: css.info };

/** A severity, a device's risk or exposure. */
export function Severity({ value }: { value: string | null | undefined }) {
  if (!value) return <span className="quiet">—</span>;
  return <span className={css.severity}><span className={`${css.bar} ${severityClass[value.toLowerCase()] ?? css.none}`} aria-hidden="true" />{words(value)}</span>;
}

export type Tone = 'good' | 'bad' | 'warn' | 'busy' | 'quiet';

/** A state. */
export function Badge({ tone, children, title }: { tone: Tone; children: ReactNode; title?: string }) {
  return <span className={`${css.badge} ${css[tone]}`} title={title}>{children}</span>;
}

const tones: Record<string, Tone> = {
  New: 'bad', Active: 'bad', InProgress: 'busy', Resolved: 'good', Redirected: 'quiet',
  Pending: 'busy', Succeeded: 'good', Failed: 'bad', TimeOut: 'warn', Cancelled: 'quiet',
  Running: 'busy', Queued: 'busy', Benign: 'good', SuccessfullyRemediated: 'good', PartiallyRemediated: 'warn', PendingApproval: 'warn', PendingResource: 'warn',
  TruePositive: 'bad', FalsePositive: 'quiet', InformationalExpectedActivity: 'quiet',
};

/** A state by the name that the API gives it. */
export function Status({ value }: { value: string | null | undefined }) {
  if (!value) return <span className="quiet">—</span>;
  return <Badge tone={tones[value] ?? 'quiet'}>{words(value)}</Badge>;
}

const health: Record<string, Tone> = { Active: 'good', Inactive: 'quiet', ImpairedCommunication: 'warn', NoSensorData: 'warn', NoSensorDataImpairedCommunication: 'bad' };

/** The health of a device's sensor. */
export function Health({ value }: { value: string }) {
  return <Badge tone={health[value] ?? 'quiet'}>{words(value)}</Badge>;
}

/** Tags, as many as there are. */
export function Tags({ of }: { of: string[] }) {
  if (of.length === 0) return <span className="quiet">—</span>;
  return <span className={css.tags}>{of.map((t) => <span key={t} className={css.tag}>{t}</span>)}</span>;
}
