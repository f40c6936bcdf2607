import { useQuery } from '@tanstack/react-query';
import { get } from '../../api/client';
import { hunt } from '../../api/hunt';
import { Time } from '../../app/time';
import { Card, Cards, Facts } from '../../ui/Page';
import { Failure, Waiting } from '../../ui/states';
import { bytes } from '../live/api';
import type { ServerSettings } from './Server';
import css from './settings.module.css';

// Of the tables that fill first, so that asking costs little.
const tables = ['DeviceProcessEvents', 'DeviceFileEvents', 'DeviceNetworkEvents', 'DeviceLogonEvents', 'DeviceEvents'];
const query = tables.map((t) => `(${t} | summarize Oldest = min(Timestamp), Events = count() | extend Table = "${t}")`).join(',\n');

/** How long what is kept. */
export function Retention() {
  const settings = useQuery({ queryKey: ['/api/vedette/settings'], queryFn: () => get<ServerSettings>('/api/vedette/settings') });
  const kept = useQuery({ queryKey: ['hunt', 'retention'], staleTime: 5 * 60_000, queryFn: ({ signal }) => hunt(`union ${query}`, signal) });
  if (settings.isPending) return <Waiting />;
  if (settings.error) return <Failure error={settings.error} retry={() => void settings.refetch()} />;
  const s = settings.data;
  const days = `${s.telemetryRetentionDays.toFixed(0)} days`;
  return (
    <>
      <div className={css.head}><h2>Retention</h2></div>
      <p className={css.text}>How long telemetry is kept is set when the server is started: the flag --retention, VEDETTED_RETENTION, or retention in its configuration file. A shorter time takes effect at the next start and removes what is older.</p>
      <Cards>
        <Card title="What is kept">
          <Facts of={[
            ['Telemetry, and devices that sent none since', days], ['Recordings and files of live response', days], ['Packages and results of actions', days], ['Notifications that were sent', '30 days'],
            ['Indicators that have expired', '180 days'], ['Alerts, incidents, actions', 'Until the server is removed'], ['Audit record', 'Until the server is removed; no entry can be taken out'],
            ['Left free on the disk', s.diskReserveBytes > 0 ? `${bytes(s.diskReserveBytes)}: below that, devices keep their telemetry` : 'None is set'],
          ]} />
        </Card>
        <Card title="Telemetry that is there">
          {kept.isPending ? <Waiting label="Counting" /> : kept.error ? <Failure error={kept.error} retry={() => void kept.refetch()} /> : (
            <Facts of={tables.map((t) => {
              const row = kept.data.rows.find((r) => r.Table === t);
              const n = Number(row?.Events ?? 0);
              return [t, n === 0 ? 'Nothing yet' : <span key={t}>{n.toLocaleString('en')} events since <Time at={String(row!.Oldest)} form="short" /></span>];
            })} />
          )}
        </Card>
      </Cards>
    </>
  );
}
