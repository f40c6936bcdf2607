import { Button, Dropdown, MessageBar, MessageBarBody, Option, ProgressBar } from '@fluentui/react-components';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { call, del, post, segment } from '../../api/client';
import { at, Go } from '../../app/links';
import { Time } from '../../app/time';
import { Numbers } from '../entities/parts';

interface Job {
  id: string; status: string; progress: number; from: string; to: string; examined: number; alerts: number; error: string;
  byDevice: { name: string; count: number }[]; byDay: { name: string; count: number }[];
  samples: { timestamp: string; machineId: string; computerDnsName: string; title: string }[];
}

const lives: Record<string, number> = { 'Last 24 hours': 1, 'Last 7 days': 7, 'Last 30 days': 30 };

/** What a rule would have found in telemetry that is there. */
export function Backtest({ request }: { request: object }) {
  const [span, setSpan] = useState('Last 7 days');
  const [id, setID] = useState<string>();
  const [error, setError] = useState('');
  const job = useQuery({
    queryKey: ['/api/vedette/backtests', id], enabled: id !== undefined, retry: false,
    queryFn: () => call<Job>('GET', `/api/vedette/backtests/${segment(id!)}`, { background: true }), refetchInterval: (q) => (q.state.data && !/^(Running|Queued|InProgress)$/i.test(q.state.data.status) ? false : 700),
  });
  const start = async () => {
    setError('');
    try {
      const to = new Date();
      setID((await post<Job>('/api/vedette/backtests', { ...request, from: new Date(to.getTime() - lives[span] * 86_400_000).toISOString(), to: to.toISOString() })).id);
    } catch (e) {
      setError(e instanceof Error ? e.message : String(e));
    }
  };
  const j = job.data;
  const running = id !== undefined && (!j || /^(Running|Queued|InProgress)$/i.test(j.status));
  return (
    <section aria-label="Backtest">
      <h3>Backtest</h3>
      <div style={{ display: 'flex', gap: 8, marginBottom: 12 }}>
        <Dropdown size="small" aria-label="Time" value={span} selectedOptions={[span]} onOptionSelect={(_, d) => setSpan(d.optionValue!)}>{Object.keys(lives).map((l) => <Option key={l} value={l}>{l}</Option>)}</Dropdown>
        {running ? <Button size="small" onClick={() => { void del(`/api/vedette/backtests/${segment(id)}`).catch(() => undefined); setID(undefined); }}>Cancel</Button> : <Button size="small" onClick={() => void start()}>Run over past telemetry</Button>}
      </div>
      {error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
      {job.error && <MessageBar intent="error" role="alert"><MessageBarBody>{job.error.message}</MessageBarBody></MessageBar>}
      {running && <ProgressBar value={j?.progress} aria-label="Progress of the backtest" />}
      {j && !running && (j.error ? <MessageBar intent="error" layout="multiline"><MessageBarBody>{j.error}</MessageBarBody></MessageBar> : (
        <>
          <Numbers of={[['alerts', j.alerts.toLocaleString('en')], ['events examined', j.examined.toLocaleString('en')], ['devices', j.byDevice.length]]} />
          <ul>{j.samples.slice(0, 10).map((s, i) => <li key={i}><Time at={s.timestamp} form="short" /> <Go to={at.device(s.machineId)}>{s.computerDnsName}</Go>: {s.title}</li>)}</ul>
        </>
      ))}
    </section>
  );
}
