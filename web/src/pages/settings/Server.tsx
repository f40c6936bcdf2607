import { Button, MessageBar, MessageBarBody } from '@fluentui/react-components';
import { useQuery } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';
import { call, get, post } from '../../api/client';
import { Go } from '../../app/links';
import { Time } from '../../app/time';
import { Badge, counted, type Tone, words } from '../../ui/badges';
import { Card, Cards, Facts } from '../../ui/Page';
import { Failure, Waiting } from '../../ui/states';
import css from './settings.module.css';

export interface ServerSettings { version: string; urls: string[]; caCertificate: string; telemetryRetentionDays: number; diskReserveBytes: number; huntQuotaHourSeconds: number; huntQuotaDaySeconds: number; rateLimitFactor: number; mailConfigured: boolean; externalHosts: string[] }
interface Health { status: string; started: string; parts: { part: string; state: string; detail?: string }[] }

const tones: Record<string, Tone> = { working: 'good', ok: 'good', degraded: 'warn', failed: 'bad' };

/** How the server fares, and how its operator configured it. */
export function Server() {
  const settings = useQuery({ queryKey: ['/api/vedette/settings'], queryFn: () => get<ServerSettings>('/api/vedette/settings') });
  const health = useQuery({ queryKey: ['/api/vedette/health'], refetchInterval: 15_000, queryFn: () => call<Health>('GET', '/api/vedette/health', { background: true }) });
  const s = settings.data;
  return (
    <>
      <div className={css.head}><h2>Health and configuration</h2></div>
      <p className={css.text}>Retention, limits and addresses are set when the server is started, by flags, the environment or its configuration file.</p>
      <Cards>
        <Card title="Health">
          {health.isPending ? <Waiting /> : health.error ? <Failure error={health.error} /> : (
            <>
              <Facts of={[['State', <Badge key="s" tone={tones[health.data.status.toLowerCase()] ?? 'quiet'}>{words(health.data.status)}</Badge>], ['Running since', <Time key="t" at={health.data.started} />]]} />
              <div style={{ height: 10 }} />
              <Facts of={health.data.parts.map((p) => [words(p.part), <span key={p.part}><Badge tone={tones[p.state.toLowerCase()] ?? 'quiet'}>{words(p.state)}</Badge>{p.detail && <div className="quiet">{p.detail}</div>}</span>])} />
            </>
          )}
        </Card>
        <Card title="Configuration">
          {settings.isPending ? <Waiting /> : settings.error ? <Failure error={settings.error} /> : (
            <Facts of={[
              ['Version', s!.version], ['Telemetry is kept for', `${s!.telemetryRetentionDays.toFixed(0)} days`], ['Hunting quota of the tenant', [s!.huntQuotaHourSeconds, s!.huntQuotaDaySeconds].every((q) => q === 0) ? 'As published' : `${words(quota(s!.huntQuotaHourSeconds))} an hour, ${quota(s!.huntQuotaDaySeconds)} a day`],
              ['Limits of API calls', s!.rateLimitFactor === 0 ? 'As published, or off' : `${s!.rateLimitFactor} times the published ones`], ['Mail', s!.mailConfigured ? 'Configured' : 'Not configured: no mail is sent'], ['Hosts of externaldata', s!.externalHosts.join(', ') || 'None'],
            ]} />
          )}
        </Card>
        <Card title="Addresses">{s && <ul className={`wrap ${css.plain}`}>{[...new Set(s.urls)].map((u) => <li key={u}>{u}</li>)}</ul>}</Card>
        <Agents />
        <Audited />
      </Cards>
    </>
  );
}

const quota = (s: number): string => (s === 0 ? 'the published limit' : s >= 3600 ? `${(s / 3600).toFixed(0)} h of processor time` : `${(s / 60).toFixed(0)} min of processor time`);

const states = ['Active', 'Inactive', 'ImpairedCommunication', 'NoSensorData', 'NoSensorDataImpairedCommunication'];

/** How the agents fare, by the health of their sensors. */
function Agents() {
  const counts = useQuery({
    queryKey: ['/api/machines', 'count', 'health'], refetchInterval: 30_000,
    queryFn: () => Promise.all(states.map((s) => call<number>('GET', '/api/machines/$count', { params: { $filter: `healthStatus eq '${s}'` }, background: true }))),
  });
  return (
    <Card title="Agents" actions={<Go to="/devices">All devices</Go>}>
      {counts.isPending ? <Waiting /> : counts.error ? <Failure error={counts.error} retry={() => void counts.refetch()} /> : (
        <Facts of={states.map((s, i): [string, ReactNode] => [words(s), counts.data[i] === 0 ? '0' : <Go key={s} to={`/devices?health=${s}`}>{counts.data[i].toLocaleString('en')} {counts.data[i] === 1 ? 'device' : 'devices'}</Go>])} />
      )}
    </Card>
  );
}

function Audited() {
  const [told, setTold] = useState<{ intact: boolean; sequence: number; detail: string }>();
  const [error, setError] = useState<unknown>();
  const verify = () => { setError(undefined); post<{ intact: boolean; sequence: number; detail: string }>('/api/vedette/audit/verify').then(setTold, setError); };
  return (
    <Card title="Audit record">
      <p className="quiet">Each record carries a hash over itself and the one before. Checking them finds what was changed, removed or put in between.</p>
      <Button size="small" onClick={verify}>Check the record</Button>
      {told && <MessageBar intent={told.intact ? 'success' : 'error'} layout="multiline" role="status"><MessageBarBody>{told.intact ? `Intact: ${counted(told.sequence, 'record')}.` : told.detail}</MessageBarBody></MessageBar>}
      {error !== undefined && <Failure error={error} />}
    </Card>
  );
}
