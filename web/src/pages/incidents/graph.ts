// The attack story of an incident as a graph: devices, what ran there, and what that touched.
import type { Incident } from '../../api/types';
import { entityOf, type Entity } from '../alerts/entity';

export type Kind = 'device' | 'process' | 'file' | 'ip' | 'url' | 'user' | 'other' | 'cluster';

export interface Node {
  id: string;
  kind: Kind;
  title: string;
  detail: string;
  /** Position of the first alert that names it, in the order of time. */
  step: number;
  /** Ids of the alerts that name it. */
  alerts: string[];
  severity: number;
  deviceId?: string;
  entity?: Entity;
  /** Of a cluster: what it stands for. */
  members?: Node[];
}

export interface Edge { id: string; from: string; to: string; label: string; step: number }

export interface Graph { nodes: Node[]; edges: Edge[]; steps: { id: string; title: string; at: string; severity: string }[] }

const ranks: Record<string, number> = { High: 4, Medium: 3, Low: 2, Informational: 1 };
const kinds: Record<string, Kind> = { Process: 'process', File: 'file', Ip: 'ip', Url: 'url', User: 'user' };
const verbs: Record<Kind, string> = { device: '', process: 'started', file: 'touched', ip: 'connected to', url: 'opened', user: 'ran as', other: 'touched', cluster: '' };

/** From how many things of a kind with the same neighbour on they are one node: a graph of a thousand files tells nothing. */
const clusterFrom = 6;

/** The graph of an incident. Two alerts that name the same process, file or address share its node. */
export function graphOf(incident: Incident): Graph {
  const alerts = [...incident.alerts].sort((a, b) => (a.firstActivity ?? a.creationTime ?? '').localeCompare(b.firstActivity ?? b.creationTime ?? ''));
  const nodes = new Map<string, Node>();
  const edges = new Map<string, Edge>();
  const put = (id: string, kind: Kind, title: string, detail: string, step: number, alert: string, severity: number, more: Partial<Node> = {}) => {
    const known = nodes.get(id);
    if (!known) nodes.set(id, { id, kind, title, detail, step, alerts: [alert], severity, ...more });
    else {
      if (!known.alerts.includes(alert)) known.alerts.push(alert);
      known.severity = Math.max(known.severity, severity);
    }
    return id;
  };
  const join = (from: string, to: string, label: string, step: number) => {
    const id = `${from}>${to}`;
    if (from !== to && !edges.has(id) && !edges.has(`${to}>${from}`)) edges.set(id, { id, from, to, label, step });
  };

  alerts.forEach((a, step) => {
    const severity = ranks[a.severity] ?? 0;
    const device = a.devices[0]?.mdatpDeviceId;
    for (const d of a.devices) put(`device/${d.mdatpDeviceId}`, 'device', d.deviceDnsName ?? d.mdatpDeviceId, d.osPlatform ?? '', step, a.alertId, severity, { deviceId: d.mdatpDeviceId });
    const home = device ? `device/${device}` : undefined;
    const processes = new Map<number, string>();
    const rest: { id: string; kind: Kind }[] = [];
    for (const e of a.entities) {
      const thing = entityOf(e, device);
      const kind = kinds[e.entityType] ?? 'other';
      const on = device ?? '';
      const id = kind === 'process' ? `process/${on}/${e.processId}/${(e.processCreationTime ?? '').slice(0, 19)}`
        : kind === 'file' ? `file/${e.sha256 ?? e.sha1 ?? `${on}/${thing.detail}`}`
        : `${kind}/${thing.copy.toLowerCase()}`;
      put(id, kind, thing.title || e.entityType, thing.detail ?? '', step, a.alertId, severity, { entity: thing, deviceId: device });
      if (kind === 'process') processes.set(e.processId ?? -1, id);
      else rest.push({ id, kind });
    }
    // Who started whom, as far as the alert names both; the others hang on their device.
    for (const e of a.entities) {
      if (e.entityType !== 'Process') continue;
      const id = processes.get(e.processId ?? -1)!;
      const parent = e.parentProcessId === null || e.parentProcessId === undefined ? undefined : processes.get(e.parentProcessId);
      const before = parent ?? [...nodes.keys()].find((k) => k.startsWith(`process/${device}/${e.parentProcessId}/`));
      if (before && before !== id) join(before, id, 'started', step);
      else if (home) join(home, id, 'ran', step);
    }
    const main = processes.values().next().value;
    for (const r of rest) {
      if (r.kind === 'user') { if (home) join(r.id, home, 'logged on to', step); } else {
        const from = main ?? home;
        if (from) join(from, r.id, verbs[r.kind], step);
      }
    }
  });
  return clustered({ nodes: [...nodes.values()], edges: [...edges.values()], steps: alerts.map((a) => ({ id: a.alertId, title: a.title, at: a.firstActivity ?? a.creationTime ?? '', severity: a.severity })) });
}

const many: Record<string, string> = { file: 'files', ip: 'addresses', url: 'URLs', process: 'processes', user: 'users', other: 'things' };

/** Leaves of one kind on one neighbour as one node each. */
function clustered(g: Graph): Graph {
  const degree = new Map<string, number>();
  for (const e of g.edges) for (const id of [e.from, e.to]) degree.set(id, (degree.get(id) ?? 0) + 1);
  const by = new Map<string, Node>(g.nodes.map((n) => [n.id, n]));
  const groups = new Map<string, { edge: Edge; node: Node }[]>();
  for (const e of g.edges) {
    for (const [leaf, hub] of [[e.to, e.from], [e.from, e.to]]) {
      const n = by.get(leaf)!;
      if (degree.get(leaf) !== 1 || n.kind === 'device') continue;
      const key = `${hub}|${n.kind}|${leaf === e.to}`;
      groups.set(key, [...(groups.get(key) ?? []), { edge: e, node: n }]);
    }
  }
  const gone = new Set<string>();
  const nodes: Node[] = [];
  const edges: Edge[] = [];
  for (const [key, members] of groups) {
    if (members.length < clusterFrom) continue;
    const [hub, kind, out] = key.split('|');
    const id = `cluster/${key}`;
    nodes.push({
      id, kind: 'cluster', title: `${members.length} ${many[kind] ?? 'things'}`, detail: members.slice(0, 4).map((m) => m.node.title).join(', '), step: Math.min(...members.map((m) => m.node.step)),
      alerts: [...new Set(members.flatMap((m) => m.node.alerts))], severity: Math.max(...members.map((m) => m.node.severity)), members: members.map((m) => m.node),
    });
    edges.push({ id: `${id}>`, from: out === 'true' ? hub : id, to: out === 'true' ? id : hub, label: members[0].edge.label, step: Math.min(...members.map((m) => m.edge.step)) });
    for (const m of members) { gone.add(m.node.id); gone.add(m.edge.id); }
  }
  return { ...g, nodes: [...g.nodes.filter((n) => !gone.has(n.id)), ...nodes], edges: [...g.edges.filter((e) => !gone.has(e.id)), ...edges] };
}
