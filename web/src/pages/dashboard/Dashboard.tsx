import { useQuery } from '@tanstack/react-query';
import { useMemo, type ReactNode } from 'react';
import { call, get, type List, type Params } from '../../api/client';
import { useMay } from '../../api/session';
import { at, Go, useGo } from '../../app/links';
import { Time } from '../../app/time';
import type { Alert, Machine, MachineAction, QueuedIncident } from '../../api/types';
import { Chart } from '../../ui/Chart';
import { counted, Health, Severity, Status, words } from '../../ui/badges';
import { Card, Page } from '../../ui/Page';
import { Failure, Waiting } from '../../ui/states';
import { useTechniqueName } from '../../ui/techniques';
import css from './dashboard.module.css';

const every = 60_000;
const day = 86_400_000;

/** What counts now: what is open, what is at risk, and whether the server sees everything. */
export default function Dashboard() {
  const may = useMay();
  const alerts = may('Alert.Read.All', 'Alert.ReadWrite.All');
  const machines = may('Machine.Read.All', 'Machine.ReadWrite.All');
  return (
    <Page title="Dashboard">
      <div className={css.grid}>
        {may('Incident.Read.All') && <section className={css.wide}><Incidents /></section>}
        {machines && <section className={css.third}><Devices /></section>}
        {alerts && <section className={css.wide}><AlertsOverTime /></section>}
        {machines && <section className={css.third}><Risk /></section>}
        {machines && <section className={css.third}><Actions /></section>}
        {may('Score.Read.All') && <section className={css.third}><Exposure /></section>}
        {machines && <section className={css.third}><Sensors /></section>}
        {alerts && <section className={css.full}><Techniques /></section>}
      </div>
    </Page>
  );
}

/** A number of a list of the API, refreshed by itself. */
function useCount(path: string, $filter: string) {
  return useQuery({ queryKey: [path, 'count', $filter], refetchInterval: every, queryFn: () => call<number>('GET', `${path}/$count`, { params: { $filter }, background: true }) });
}

function useRows<T>(path: string, params: Params) {
  return useQuery({ queryKey: [path, 'dashboard', params], refetchInterval: every, queryFn: () => call<List<T>>('GET', path, { params, background: true }) });
}

function Tile({ path, filter, title, to, bad }: { path: string; filter: string; title: string; to: string; bad?: boolean }) {
  const { data, error } = useCount(path, filter);
  return <Go to={to} className={`${css.tile} ${bad && data ? css.bad : ''}`}><strong>{error ? '?' : data === undefined ? '–' : data.toLocaleString('en')}</strong><span>{title}</span></Go>;
}

function Loaded<T>({ of, children }: { of: { data?: T; error: unknown; isPending: boolean; refetch: () => unknown }; children: (data: T) => ReactNode }) {
  if (of.data !== undefined) return children(of.data);
  return of.error ? <Failure error={of.error} retry={() => void of.refetch()} /> : <Waiting />;
}

function Incidents() {
  const rows = useRows<QueuedIncident>('/api/vedette/incidents', { $filter: "status ne 'Resolved' and status ne 'Redirected'", $orderby: 'lastUpdateTime desc', $top: 8 });
  return (
    <Card title="Active incidents" actions={<Go to="/incidents">All incidents</Go>}>
      <Loaded of={rows}>{(d) => (d.value.length === 0 ? <p className="quiet">No incident is open.</p> : d.value.map((i) => (
        <div key={i.incidentId} className={css.incident}><Severity value={i.severity} /><span className={css.name}><Go to={at.incident(i.incidentId)} title={i.incidentName}>{i.incidentName}</Go></span><span className={css.count}>{counted(i.alertCount, 'alert')}</span><Status value={i.status} /><Time at={i.lastUpdateTime} form="short" /></div>
      )))}</Loaded>
    </Card>
  );
}

function Devices() {
  return (
    <Card title="Devices" actions={<Go to="/devices">All devices</Go>}>
      <div className={css.tiles}>
        <Tile path="/api/machines" filter="" title="in all" to="/devices" />
        <Tile path="/api/machines" filter="riskScore eq 'High'" title="at high risk" to="/devices?risk=High" bad />
        <Tile path="/api/machines" filter="exposureLevel eq 'High'" title="highly exposed" to="/devices?exposure=High" bad />
        <Tile path="/api/machines" filter="healthStatus ne 'Active'" title="with sensor issues" to="/devices?health=Inactive,ImpairedCommunication,NoSensorData" bad />
        <Tile path="/api/alerts" filter="status eq 'New'" title="new alerts" to="/alerts?status=New&range=*" />
        <Tile path="/api/machineactions" filter="status eq 'Pending'" title="pending actions" to="/actions" />
      </div>
    </Card>
  );
}

const severities = ['High', 'Medium', 'Low', 'Informational'];
const colours: Record<string, { light: string }> = { High: { light: '#c5443a' }, Medium: { light: '#d9822b' }, Low: { light: '#c9a227' }, Informational: { light: '#7a8b9b' } };

function AlertsOverTime() {
  // To the minute, so that the same question is not asked anew.
  const from = new Date(Math.floor((Date.now() - 7 * day) / 60_000) * 60_000).toISOString();
  const rows = useQuery({
    queryKey: ['/api/alerts', 'week'], refetchInterval: every, queryFn: async () => {
      const out: Alert[] = [];
      for (let skip = 0; skip < 10_000; skip += 1000) {
        const { value } = await call<List<Alert>>('GET', '/api/alerts', { params: { $filter: `alertCreationTime ge ${from}`, $top: 1000, $skip: skip || undefined, $select: 'id,severity,alertCreationTime,mitreTechniques' }, background: true });
        out.push(...value);
        if (value.length < 1000) break;
      }
      return out;
    },
  });
  const spec = useMemo(() => {
    const step = day / 4;
    const end = Math.ceil(Date.now() / step) * step;
    const places = Array.from({ length: 29 }, (_, i) => end - (28 - i) * step);
    return {
      legend: {}, grid: { left: 8, right: 12, top: 12, bottom: 28, containLabel: true }, xAxis: { type: 'time' }, yAxis: { type: 'value', minInterval: 1 },
      series: severities.map((s) => ({
        name: s, type: 'bar', stack: 'all', itemStyle: { color: colours[s].light }, barWidth: '70%',
        data: places.map((p) => [p, (rows.data ?? []).filter((a) => a.severity === s && Date.parse(a.alertCreationTime ?? '') > p - step && Date.parse(a.alertCreationTime ?? '') <= p).length]),
      })),
    };
  }, [rows.data]);
  return <Card title="Alerts of the last 7 days" actions={<Go to="/alerts">All alerts</Go>}><Loaded of={rows}>{(d) => <Chart label={`${d.length} alerts of the last 7 days by severity`} spec={spec} height={250} table={<table><caption>Alerts by severity</caption><tbody>{severities.map((s) => <tr key={s}><th>{s}</th><td>{d.filter((a) => a.severity === s).length}</td></tr>)}</tbody></table>} />}</Loaded></Card>;
}

function Risk() {
  const rows = useRows<Machine>('/api/machines', { $filter: "riskScore eq 'High' or riskScore eq 'Medium'", $top: 200 });
  const rank: Record<string, number> = { High: 0, Medium: 1 };
  return (
    <Card title="Devices at risk" actions={<Go to="/devices?risk=High,Medium">All</Go>}>
      <Loaded of={rows}>{(d) => (d.value.length === 0 ? <p className="quiet">No device is at risk.</p> : [...d.value].sort((a, b) => (rank[a.riskScore ?? ''] ?? 2) - (rank[b.riskScore ?? ''] ?? 2) || (a.deviceValue === 'High' ? -1 : 0) - (b.deviceValue === 'High' ? -1 : 0)).slice(0, 7).map((m) => (
        <div key={m.id} className={css.row}><span className={css.name}><Go to={at.device(m.id)}>{m.computerDnsName ?? m.id}</Go></span>{m.deviceValue === 'High' && <span className="quiet">high value</span>}<Severity value={m.riskScore} /></div>
      )))}</Loaded>
    </Card>
  );
}

function Actions() {
  const from = new Date(Math.floor((Date.now() - 30 * day) / 3_600_000) * 3_600_000).toISOString();
  const rows = useRows<MachineAction>('/api/machineactions', { $filter: `creationDateTimeUtc ge ${from}`, $orderby: 'creationDateTimeUtc desc', $top: 1000 });
  return (
    <Card title="Actions of the last 30 days" actions={<Go to="/actions">Action center</Go>}>
      <Loaded of={rows}>{(d) => {
        const of = (...s: string[]) => d.value.filter((a) => s.includes(a.status)).length;
        const over = of('Succeeded', 'Failed', 'TimeOut');
        return (
          <>
            <div className={css.tiles}>
              <div className={css.tile}><strong>{over === 0 ? '—' : `${Math.round((100 * of('Succeeded')) / over)} %`}</strong><span>succeeded</span></div>
              <div className={css.tile}><strong>{of('Pending', 'InProgress')}</strong><span>under way</span></div>
              <div className={`${css.tile} ${of('Failed', 'TimeOut') ? css.bad : ''}`}><strong>{of('Failed', 'TimeOut')}</strong><span>failed</span></div>
            </div>
            {d.value.slice(0, 4).map((a) => <div key={a.id} className={css.row}><span className={css.name}><Go to={at.action(a.id)}>{words(a.type)}</Go> <span className="quiet">{a.computerDnsName}</span></span><Status value={a.status} /></div>)}
          </>
        );
      }}</Loaded>
    </Card>
  );
}

interface Score { score: number | null; time: string | null }
interface Weakness { id: string; name?: string; severity: string; exposedMachines: number; publicExploit?: boolean }

function Exposure() {
  const may = useMay();
  const score = useQuery({ queryKey: ['/api/exposureScore'], refetchInterval: 10 * every, queryFn: () => get<Score>('/api/exposureScore') });
  const worst = useQuery({ queryKey: ['/api/vulnerabilities', 'dashboard'], enabled: may('Vulnerability.Read.All'), queryFn: async () => (await get<List<Weakness>>('/api/vulnerabilities', { $filter: 'exposedMachines gt 0', $top: 200 })).value.sort((a, b) => b.exposedMachines - a.exposedMachines).slice(0, 5) });
  return (
    <Card title="Exposure">
      <Loaded of={score}>{(s) => <div className={css.tile}><strong>{s.score === null ? '—' : s.score.toFixed(0)}</strong><span>{s.score === null ? 'not assessed: import a feed of vulnerabilities' : 'exposure score, of 100; lower is better'}</span></div>}</Loaded>
      {worst.data?.map((v) => <div key={v.id} className={css.row}><span className={css.name}><Go to={at.vulnerability(v.id)}>{v.id}</Go></span><span className="quiet">{counted(v.exposedMachines, 'device')}</span><Severity value={v.severity} /></div>)}
    </Card>
  );
}

function Sensors() {
  const rows = useRows<Machine>('/api/machines', { $filter: "healthStatus ne 'Active'", $top: 50 });
  return (
    <Card title="Sensors and coverage" actions={<Go to="/hunting?query=VedetteTelemetryGaps%0A%7C%20where%20Timestamp%20%3E%20ago(7d)%0A%7C%20sort%20by%20Timestamp%20desc">Coverage gaps</Go>}>
      <Loaded of={rows}>{(d) => (d.value.length === 0 ? <p className="quiet">Every sensor reports.</p> : d.value.slice(0, 7).map((m) => (
        <div key={m.id} className={css.row}><span className={css.name}><Go to={at.device(m.id)}>{m.computerDnsName ?? m.id}</Go></span><Time at={m.lastSeen} form="short" /><Health value={m.healthStatus} /></div>
      )))}</Loaded>
    </Card>
  );
}

/** Categories of alerts in the order in which an attack goes, with the techniques seen of each. */
const order = ['InitialAccess', 'Execution', 'Persistence', 'PrivilegeEscalation', 'DefenseEvasion', 'CredentialAccess', 'Discovery', 'LateralMovement', 'Collection', 'CommandAndControl', 'Exfiltration', 'Ransomware', 'Malware', 'Exploit', 'SuspiciousActivity', 'General'];

function Techniques() {
  const go = useGo();
  const name = useTechniqueName();
  const from = new Date(Math.floor((Date.now() - 30 * day) / 3_600_000) * 3_600_000).toISOString();
  const rows = useQuery({ queryKey: ['/api/alerts', 'techniques', from], queryFn: async () => (await get<List<Alert>>('/api/alerts', { $filter: `alertCreationTime ge ${from}`, $top: 5000, $select: 'id,category,mitreTechniques' })).value });
  return (
    <Card title="ATT&CK techniques of the last 30 days">
      <Loaded of={rows}>{(d) => {
        const map = new Map<string, Map<string, number>>();
        for (const a of d) {
          const c = map.get(a.category ?? 'General') ?? new Map<string, number>();
          for (const t of a.mitreTechniques.length > 0 ? a.mitreTechniques : ['No technique']) c.set(t, (c.get(t) ?? 0) + 1);
          map.set(a.category ?? 'General', c);
        }
        const most = Math.max(1, ...[...map.values()].flatMap((c) => [...c.values()]));
        if (map.size === 0) return <p className="quiet">No alert of the last 30 days names a technique.</p>;
        return (
          <div className={css.heat}>
            {[...map].sort((a, b) => order.indexOf(a[0]) - order.indexOf(b[0])).map(([tactic, ts]) => (
              <div key={tactic} className={css.tactic}>
                <h3>{words(tactic)}</h3>
                {[...ts].sort((a, b) => b[1] - a[1]).slice(0, 8).map(([t, n]) => <button key={t} type="button" className={css.cell} style={{ '--heat': `${8 + Math.round((32 * n) / most)}%` } as React.CSSProperties} onClick={() => go(`/alerts?category=${tactic}&range=30d&status=*`)}><span title={name(t)}>{name(t, true)}</span><strong>{n}</strong></button>)}
              </div>
            ))}
          </div>
        );
      }}</Loaded>
    </Card>
  );
}
