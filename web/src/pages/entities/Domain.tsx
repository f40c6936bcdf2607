import { useQuery } from '@tanstack/react-query';
import { get, segment } from '../../api/client';
import { literal } from '../../api/hunt';
import { Card, Cards, Page } from '../../ui/Page';
import { Failure, Waiting } from '../../ui/states';
import { Alerts, Events, Indicators, Machines, Parts, Prevalence } from './parts';
import { useId } from '../../ui/url';

interface Seen { organizationPrevalence: number; orgFirstSeen: string | null; orgLastSeen: string | null }

/** A domain: which devices asked for it or went there. */
export default function Domain() {
  const id = useId();
  const stats = useQuery({ queryKey: ['/api/domains', id, 'stats'], queryFn: () => get<Seen>(`/api/domains/${segment(id)}/stats`), retry: false });
  const query = `union DeviceNetworkEvents, DeviceEvents\n| where Timestamp > ago(30d)\n| where RemoteUrl has ${literal(id)} or tostring(AdditionalFields.DnsQueryString) =~ ${literal(id)}`;
  return (
    <Page title={id} aside={<span className="quiet">Domain</span>}>
      <Parts parts={[
        { id: 'overview', title: 'Overview', body: (
          <Cards>
            {stats.data ? <Prevalence devices={stats.data.organizationPrevalence} first={stats.data.orgFirstSeen} last={stats.data.orgLastSeen} /> : <Card title="In the organisation">{stats.error ? <Failure error={stats.error} retry={() => void stats.refetch()} /> : <Waiting />}</Card>}
            <Indicators values={[id]} type="DomainName" />
          </Cards>
        ) },
        { id: 'devices', title: 'Seen on', body: <Machines kind="domains" id={id} /> },
        { id: 'alerts', title: 'Alerts', body: <Alerts kind="domains" id={id} /> },
        { id: 'events', title: 'Events', body: <Events query={query} columns={['Timestamp', 'DeviceName', 'ActionType', 'RemoteIP', 'RemoteUrl', 'InitiatingProcessAccountName', 'InitiatingProcessCommandLine']} /> },
      ]} />
    </Page>
  );
}
