// What somebody may mean by a few characters: the global search's knowledge, apart from how it looks.
import { get, quoted, segment, type List } from '../api/client';
import type { Alert, Incident, Machine, Software, Vulnerability } from '../api/types';
import { at } from './links';

export interface Found {
  kind: string;
  title: string;
  detail?: string;
  to: string;
}

const ipv4 = /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/;
const ipv6 = /^[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:.]*$/i;
const hash = /^([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})$/i;
const domain = /^(?=.{4,253}$)([a-z0-9_-]{1,63}\.)+[a-z]{2,63}$/i;
const cve = /^CVE-\d{4}-\d{4,}$/i;
const alertID = /^[a-z]{2}\d{6,}_-?\d+$/i;

/** What the text is by its form alone. Devices have no form: they are asked for by name. */
export function byForm(text: string): Found[] {
  const out: Found[] = [];
  if (ipv4.test(text) || (text.length > 3 && ipv6.test(text))) out.push({ kind: 'IP address', title: text, to: at.ip(text) });
  if (hash.test(text)) out.push({ kind: 'File', title: text.toLowerCase(), detail: text.length === 64 ? 'SHA-256' : text.length === 40 ? 'SHA-1' : 'MD5', to: at.file(text.toLowerCase()) });
  if (cve.test(text)) out.push({ kind: 'Vulnerability', title: text.toUpperCase(), to: at.vulnerability(text.toUpperCase()) });
  if (alertID.test(text)) out.push({ kind: 'Alert', title: text, to: at.alert(text) });
  if (/^\d{1,15}$/.test(text)) out.push({ kind: 'Incident', title: `Incident ${text}`, to: at.incident(text) });
  if (domain.test(text) && !ipv4.test(text)) out.push({ kind: 'Domain', title: text.toLowerCase(), to: at.domain(text.toLowerCase()) });
  if (/^https?:\/\//i.test(text)) {
    try { out.push({ kind: 'Domain', title: new URL(text).hostname, detail: text, to: at.domain(new URL(text).hostname) }); } catch { /* no address after all */ }
  }
  if (/^[\w.$-]+\\[^\\/]+$/.test(text)) out.push({ kind: 'User', title: text, to: at.user(text) });
  return out;
}

/** What the server has under the text: devices, incidents and alerts by name. What one list refuses, the others still tell. */
export async function atServer(text: string, may: (...p: string[]) => boolean, signal: AbortSignal): Promise<Found[]> {
  const o = { signal };
  const asked: Promise<Found[]>[] = [];
  if (may('Machine.Read.All')) {
    asked.push(get<List<Machine>>('/api/machines', { $filter: `contains(computerDnsName,${quoted(text)})`, $top: 6 }, o)
      .then((l) => l.value.map((m) => ({ kind: 'Device', title: m.computerDnsName ?? m.id, detail: [m.osPlatform, m.lastIpAddress].filter(Boolean).join(' · '), to: at.device(m.id) }))));
    if (/^[0-9a-f]{40}$/i.test(text)) asked.push(get<Machine>(`/api/machines/${segment(text)}`, {}, o).then((m) => [{ kind: 'Device', title: m.computerDnsName ?? m.id, detail: m.id, to: at.device(m.id) }], () => []));
  }
  if (may('Incident.Read.All')) {
    asked.push(get<List<Incident>>('/api/incidents', { $filter: `contains(incidentName,${quoted(text)})`, $top: 4, $select: 'incidentId,incidentName,severity' }, o)
      .then((l) => l.value.map((i) => ({ kind: 'Incident', title: i.incidentName, detail: `${i.incidentId} · ${i.severity}`, to: at.incident(i.incidentId) }))));
  }
  if (may('Alert.Read.All')) {
    asked.push(get<List<Alert>>('/api/alerts', { $filter: `contains(title,${quoted(text)})`, $top: 4 }, o)
      .then((l) => l.value.map((a) => ({ kind: 'Alert', title: a.title, detail: [a.severity, a.computerDnsName].filter(Boolean).join(' · '), to: at.alert(a.id) }))));
  }
  if (may('Vulnerability.Read.All') && /^cve-\d/i.test(text)) {
    asked.push(get<List<Vulnerability>>('/api/vulnerabilities', { $filter: `contains(id,${quoted(text.toUpperCase())})`, $top: 4 }, o)
      .then((l) => l.value.filter((v) => v.id !== text.toUpperCase()).map((v) => ({ kind: 'Vulnerability', title: v.name || v.id, detail: v.severity ?? undefined, to: at.vulnerability(v.id) }))));
  }
  if (may('Software.Read.All')) {
    asked.push(get<List<Software>>('/api/Software', { $filter: `contains(name,${quoted(text)})`, $top: 3 }, o)
      .then((l) => l.value.map((s) => ({ kind: 'Software', title: s.name, detail: s.vendor ?? undefined, to: at.software(s.id) }))));
  }
  const done = await Promise.allSettled(asked);
  const first = done.find((d) => d.status === 'rejected');
  if (first && done.every((d) => d.status === 'rejected')) throw first.reason as Error;
  return done.flatMap((d) => (d.status === 'fulfilled' ? d.value : []));
}
