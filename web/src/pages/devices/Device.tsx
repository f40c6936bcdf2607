import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useMemo } from 'react';
import { get, quoted, segment, type List } from '../../api/client';
import { useMay } from '../../api/session';
import type { Alert, DeviceHealth, QueuedIncident, LogonUser, Machine, Recommendation, Software, Vulnerability } from '../../api/types';
import { at, Go, useGo } from '../../app/links';
import { Time } from '../../app/time';
import { Badge, counted, Health, Severity, Tags, words } from '../../ui/badges';
import { ListView } from '../../ui/list/ListView';
import type { Column } from '../../ui/list/Table';
import { Card, Cards, Facts, Page, Tabs } from '../../ui/Page';
import { Empty, Failure, Waiting } from '../../ui/states';
import { useAddressed, useId } from '../../ui/url';
import { State } from '../actions/Truth';
import { columns as alertColumns, filters as alertFilters, search as alertSearch } from '../alerts/columns';
import { Sessions } from '../live/Sessions';
import { recommendations as ofRecommendations, software as ofSoftware, vulnerabilities as ofVulnerabilities } from '../vulnerabilities/columns';
import { ActionBar, inForce, useActions } from './actions';
import css from './Device.module.css';

const Timeline = lazy(() => import('./Timeline'));

/** One device. */
export default function Device() {
  const id = useId();
  const found = useQuery({ queryKey: ['device', id], queryFn: () => get<Machine>(`/api/machines/${segment(id)}`), refetchInterval: 30_000 });
  if (found.isPending) return <Waiting />;
  if (!found.data) return <Failure error={found.error} retry={() => void found.refetch()} />;
  return <Shown machine={found.data} />;
}

function Shown({ machine: m }: { machine: Machine }) {
  const may = useMay();
  const go = useGo();
  const [tab, setTab] = useAddressed('tab', 'overview');
  const actions = useActions(m.id);
  const isolated = inForce(actions.data, 'Isolate');
  const restricted = inForce(actions.data, 'RestrictCodeExecution');
  const running = actions.data?.filter((a) => a.isOpen) ?? [];
  return (
    <Page title={m.computerDnsName ?? m.id} fill={['timeline', 'alerts', 'software', 'vulnerabilities', 'recommendations', 'users', 'live'].includes(tab)} crumbs={[{ title: 'Devices', to: '/devices' }]} actions={<ActionBar machine={m} />}
      aside={(
        <span className={css.states}>
          <Health value={m.healthStatus} />
          {isolated && <Badge tone="warn">Isolated</Badge>}
          {restricted && <Badge tone="warn">App execution restricted</Badge>}
        </span>
      )}>
      <div className={css.facts}>
        <span>Risk <Severity value={m.riskScore} /></span>
        <span>Exposure <Severity value={m.exposureLevel} /></span>
        <span>Value <strong>{m.deviceValue}</strong></span>
        <span>Group <strong>{m.rbacGroupName ?? '—'}</strong></span>
        <span>Tags <Tags of={m.machineTags} /></span>
      </div>
      {running.length > 0 && (
        <div className={css.running} role="status">
          {running.map((a) => <Go key={a.id} to={at.action(a.id)} className={css.run}><strong>{words(a.type)}</strong> <State of={a} /> <span className="quiet clip">{a.progress?.detail || a.truth}</span></Go>)}
        </div>
      )}
      <Tabs label="Parts of the device" value={tab} choose={setTab} of={[
        ['overview', 'Overview'], ...([['alerts', 'Incidents and alerts', 'Alert.Read.All'], ['timeline', 'Timeline', 'AdvancedQuery.Read.All'], ['software', 'Software', 'Software.Read.All'], ['vulnerabilities', 'Vulnerabilities', 'Vulnerability.Read.All'],
          ['recommendations', 'Recommendations', 'SecurityRecommendation.Read.All'], ['users', 'Users', 'User.Read.All'], ['live', 'Live response sessions', 'Machine.LiveResponse']] as const).filter(([, , need]) => may(need)).map(([id, title]) => [id, title] as const),
      ]} />
      {tab === 'overview' && <Overview machine={m} />}
      {tab === 'alerts' && <ListView<Alert> name="device-alerts" label="Alerts of the device" path="/api/alerts" always={`machineId eq ${quoted(m.id)}`} columns={alertColumns} rowKey={(a) => a.id} onOpen={(a) => go(at.alert(a.id))} filters={alertFilters.filter((f) => f.id !== 'range').map((f) => ({ ...f, start: undefined }))} search={alertSearch} start={newest} empty={{ title: 'This device raised no alert' }} />}
      {tab === 'timeline' && <Suspense fallback={<Waiting />}><Timeline machine={m} /></Suspense>}
      {tab === 'software' && <ListView<Software> name="device-software" label="Software of the device" path={`/api/machines/${segment(m.id)}/software`} columns={software} rowKey={(s) => s.id} onOpen={(s) => go(at.software(s.id))} empty={{ title: 'No software is known', text: 'The agent sends what is installed when it starts and when it changes.' }} />}
      {tab === 'vulnerabilities' && <ListView<Vulnerability> name="device-vulnerabilities" label="Vulnerabilities of the device" path={`/api/machines/${segment(m.id)}/vulnerabilities`} columns={vulnerabilities} rowKey={(v) => v.id} onOpen={(v) => go(at.vulnerability(v.id))} empty={{ title: 'No vulnerability is known', text: 'Nothing that is installed here has one that an imported feed tells of.' }} />}
      {tab === 'recommendations' && <ListView<Recommendation> name="device-recommendations" label="Recommendations for the device" path={`/api/machines/${segment(m.id)}/recommendations`} columns={recommendations} rowKey={(r) => r.id} onOpen={(r) => go(at.recommendation(r.id))} empty={{ title: 'Nothing is recommended' }} />}
      {tab === 'users' && <Users id={m.id} />}
      {tab === 'live' && <Sessions name="device-livesessions" always={`machineId eq ${quoted(m.id)}`} />}
    </Page>
  );
}

const newest = { id: 'alertCreationTime', desc: true };

// Lists of one device are in the server's order.
const unsorted = <T,>(columns: Column<T>[]): Column<T>[] => columns.map((c) => ({ ...c, sort: false }));
const software = unsorted(ofSoftware);
const vulnerabilities = unsorted(ofVulnerabilities);
const recommendations = unsorted(ofRecommendations);
const users: Column<LogonUser>[] = [
  { id: 'name', title: 'User', value: (u) => u.id, cell: (u) => <Go to={at.user(u.id)}>{u.id}</Go>, width: 240, grow: true, sort: false },
  { id: 'sid', title: 'SID', value: (u) => u.accountSid, width: 160, sort: false },
  { id: 'types', title: 'Logon types', value: (u) => (u.logonTypes ?? '').split(/,\s*/).map(words).join(', '), width: 220, sort: false },
  { id: 'first', title: 'First seen', value: (u) => u.firstSeen, cell: (u) => <Time at={u.firstSeen} />, width: 180, sort: false },
  { id: 'last', title: 'Last seen', value: (u) => u.lastSeen, cell: (u) => <Time at={u.lastSeen} />, width: 180, sort: false },
];

function Users({ id }: { id: string }) {
  return <ListView<LogonUser> name="device-users" label="Users of the device" path={`/api/machines/${segment(id)}/logonusers`} columns={users} rowKey={(u) => u.id} empty={{ title: 'Nobody logged on in the last 30 days' }} />;
}

function Overview({ machine: m }: { machine: Machine }) {
  const may = useMay();
  const mine = quoted(m.id);
  const alerts = useQuery({ queryKey: ['/api/alerts', 'device', m.id], enabled: may('Alert.Read.All'), queryFn: () => get<List<Alert>>('/api/alerts', { $filter: `machineId eq ${mine} and status ne 'Resolved'`, $top: 100, $count: true }) });
  const users = useQuery({ queryKey: ['device', m.id, 'users'], enabled: may('User.Read.All'), queryFn: () => get<List<LogonUser>>(`/api/machines/${segment(m.id)}/logonusers`) });
  const health = useQuery({ queryKey: ['device', m.id, 'health'], queryFn: () => get<DeviceHealth>(`/api/vedette/machines/${segment(m.id)}/health`), refetchInterval: 30_000 });
  const incidents = useMemo(() => [...new Set(alerts.data?.value.map((a) => a.incidentId).filter((n): n is number => n !== null))], [alerts.data]);
  const names = useQuery({
    queryKey: ['/api/vedette/incidents', 'names', incidents], enabled: incidents.length > 0 && may('Incident.Read.All'),
    queryFn: () => get<List<QueuedIncident>>('/api/vedette/incidents', { $filter: incidents.slice(0, 20).map((n) => `incidentId eq ${n}`).join(' or ') }),
  });
  const counts = ['High', 'Medium', 'Low', 'Informational'].map((s) => [s, alerts.data?.value.filter((a) => a.severity === s).length ?? 0] as const).filter(([, n]) => n > 0);
  const broken = health.data?.facilities.filter((f) => f.state !== 'working') ?? [];
  return (
    <div className={css.overview}>
      <Card title="Device details" className={css.details}>
        <Facts of={[
          ['Platform', [m.osPlatform, m.version].filter(Boolean).join(' ')], ['OS version', m.osVersion], ['Architecture', m.osArchitecture ?? m.osProcessor],
          ['Last IP address', m.lastIpAddress && <Go to={at.ip(m.lastIpAddress)}>{m.lastIpAddress}</Go>], ['External IP address', m.lastExternalIpAddress],
          ['First seen', <Time at={m.firstSeen} />], ['Last seen', <Time at={m.lastSeen} />], ['Agent', m.agentVersion], ['Onboarding', words(m.onboardingStatus)],
          ['Device ID', <span className="mono">{m.id}</span>],
          ['Interfaces', m.ipAddresses.length > 0 && <ul className={css.plain}>{m.ipAddresses.map((a) => <li key={`${a.ipAddress}${a.macAddress}`}><span className="mono">{a.ipAddress}</span> <span className="quiet">{[a.type, a.macAddress, a.operationalStatus].filter(Boolean).join(' · ')}</span></li>)}</ul>],
        ]} />
      </Card>
      <div className={css.cards}>
        <Cards>
          {may('Alert.Read.All') && (
            <Card title="Active alerts">
              {alerts.isPending ? <Waiting /> : alerts.error ? <Failure error={alerts.error} /> : alerts.data.value.length === 0 ? <Empty title="No active alert" /> : (
                <>
                  <div className={css.counts}>{counts.map(([s, n]) => <span key={s}><strong className={css.big}>{n}</strong><Severity value={s} /></span>)}</div>
                  <ul className={css.plain}>{names.data?.value.map((i) => <li key={i.incidentId} className={css.line}><Go to={at.incident(i.incidentId)}>{i.incidentName}</Go></li>)}</ul>
                </>
              )}
            </Card>
          )}
          {may('User.Read.All') && (
            <Card title="Logged on users">
              {users.isPending ? <Waiting /> : users.error ? <Failure error={users.error} /> : users.data.value.length === 0 ? <Empty title="Nobody in the last 30 days" /> : (
                <ul className={css.plain}>{users.data.value.slice(0, 6).map((u) => <li key={u.id} className={css.line}><Go to={at.user(u.id)}>{u.id}</Go> <span className="quiet">last seen <Time at={u.lastSeen} form="short" /></span></li>)}</ul>
              )}
            </Card>
          )}
          <Card title="Sensor health">
            {health.isPending ? <Waiting /> : health.error ? <Failure error={health.error} /> : (
              <>
                <Facts of={[
                  ['State', <Health value={health.data.healthStatus} />], ['Last telemetry', <Time at={health.data.lastTelemetry} />], ['Last report', <Time at={health.data.lastReport} />],
                  ['Waiting on the device', health.data.spool.batches === 0 ? 'Nothing' : `${counted(health.data.spool.batches, 'batch', 'batches')}, ${(health.data.spool.bytes / 1e6).toFixed(1)} MB`],
                  ['Facilities', health.data.facilities.length > 0 ? `${health.data.facilities.length - broken.length} of ${health.data.facilities.length} work` : 'Not told yet'],
                ]} />
                {health.data.problems.length > 0 && <ul className={css.problems}>{health.data.problems.map((p) => <li key={p}>{p}</li>)}</ul>}
                {broken.length > 0 && <details className={css.more}><summary>{broken.length === 1 ? 'One facility does' : `${broken.length} facilities do`} not work fully</summary><ul className={css.problems}>{broken.map((f) => <li key={f.name}><strong>{f.name}</strong>: {f.detail}{f.remedy && <div className="quiet">{f.remedy}</div>}</li>)}</ul></details>}
              </>
            )}
          </Card>
          <Exposure id={m.id} />
        </Cards>
      </div>
    </div>
  );
}

function Exposure({ id }: { id: string }) {
  const may = useMay();
  const allowed = may('Vulnerability.Read.All');
  const found = useQuery({ queryKey: ['device', id, 'vulnerabilities'], enabled: allowed, queryFn: () => get<List<Vulnerability>>(`/api/machines/${segment(id)}/vulnerabilities`, { $top: 1000 }) });
  if (!allowed) return null;
  const by = (s: string) => found.data?.value.filter((v) => v.severity === s).length ?? 0;
  return (
    <Card title="Vulnerabilities">
      {found.isPending ? <Waiting /> : found.error ? <Failure error={found.error} /> : found.data.value.length === 0 ? <Empty title="None is known" /> : (
        <div className={css.counts}>{['Critical', 'High', 'Medium', 'Low'].filter((s) => by(s) > 0).map((s) => <span key={s}><strong className={css.big}>{by(s)}</strong><Severity value={s} /></span>)}</div>
      )}
    </Card>
  );
}
