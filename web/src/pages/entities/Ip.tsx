import { useQuery } from '@tanstack/react-query';
import { get, segment } from '../../api/client';
import { literal } from '../../api/hunt';
import { Card, Cards, Page } from '../../ui/Page';
import { Failure, Waiting } from '../../ui/states';
import { Alerts, Events, Indicators, Machines, Parts, Prevalence } from './parts';
import { useId } from '../../ui/url';

interface Seen { organizationPrevalence: number; orgFirstSeen: string | null; orgLastSeen: string | null }

/** An address: which devices talked with it, and what is known of it. */
export default function Ip() {
  const id = useId();
  const stats = useQuery({ queryKey: ['/api/ips', id, 'stats'], queryFn: () => get<Seen>(`/api/ips/${segment(id)}/stats`), retry: false });
  const query = `union DeviceNetworkEvents, DeviceLogonEvents, DeviceEvents\n| where Timestamp > ago(30d)\n| where RemoteIP == ${literal(id)}`;
  return (
    <Page title={id} aside={<span className="quiet">IP address</span>}>
      <Parts parts={[
        { id: 'overview', title: 'Overview', body: (
          <Cards>
            {stats.data ? <Prevalence devices={stats.data.organizationPrevalence} first={stats.data.orgFirstSeen} last={stats.data.orgLastSeen} /> : <Card title="In the organisation">{stats.error ? <Failure error={stats.error} retry={() => void stats.refetch()} /> : <Waiting />}</Card>}
            <Indicators values={[id]} type="IpAddress" />
          </Cards>
        ) },
        { id: 'devices', title: 'Seen on', body: <Machines kind="ips" id={id} /> },
        { id: 'alerts', title: 'Alerts', body: <Alerts kind="ips" id={id} /> },
        { id: 'events', title: 'Events', body: <Events query={query} columns={['Timestamp', 'DeviceName', 'ActionType', 'RemotePort', 'RemoteUrl', 'AccountName', 'InitiatingProcessCommandLine']} /> },
      ]} />
    </Page>
  );
}
