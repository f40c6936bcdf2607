import { useQuery } from '@tanstack/react-query';
import { ApiError, get, segment } from '../../api/client';
import { literal } from '../../api/hunt';
import { Time } from '../../app/time';
import { words } from '../../ui/badges';
import { Card, Cards, Facts, Page } from '../../ui/Page';
import { Empty, Failure, Waiting } from '../../ui/states';
import type { LogonUser } from '../../api/types';
import { Alerts, Events, Machines, Parts } from './parts';
import { useId } from '../../ui/url';

/** An account: where it logged on, what alerts name it. */
export default function User() {
  const id = useId();
  const user = useQuery({ queryKey: ['/api/users', id], queryFn: () => get<LogonUser>(`/api/users/${segment(id)}`), retry: false });
  const name = id.slice(id.lastIndexOf('\\') + 1);
  const domain = id.includes('\\') ? id.slice(0, id.lastIndexOf('\\')) : '';
  const query = `DeviceLogonEvents\n| where Timestamp > ago(30d)\n| where AccountName =~ ${literal(name)}${domain ? ` and AccountDomain =~ ${literal(domain)}` : ''}`;
  const u = user.data;
  return (
    <Page title={name} aside={<span className="quiet">{domain || 'User'}</span>}>
      <Parts parts={[
        { id: 'overview', title: 'Overview', body: (
          <Cards>
            <Card title="Account">
              {user.isPending ? <Waiting /> : user.error instanceof ApiError && user.error.status === 404 ? <Empty title="No logon of this account is known">It may belong to a service: hunt for what ran as it.</Empty> : user.error ? <Failure error={user.error} retry={() => void user.refetch()} />
                : <Facts of={[['Name', u!.accountName], ['Domain', u!.accountDomain], ['SID', u!.accountSid], ['First logon', <Time key="f" at={u!.firstSeen} />], ['Last logon', <Time key="l" at={u!.lastSeen} />], ['Logon types', (u!.logonTypes ?? '').split(',').map((t) => words(t.trim())).join(', ')]]} />}
            </Card>
          </Cards>
        ) },
        { id: 'devices', title: 'Logged on to', body: <Machines kind="users" id={id} /> },
        { id: 'alerts', title: 'Alerts', body: <Alerts kind="users" id={id} /> },
        { id: 'logons', title: 'Logons', body: <Events query={query} columns={['Timestamp', 'DeviceName', 'ActionType', 'LogonType', 'Protocol', 'RemoteIP', 'RemoteDeviceName', 'FailureReason']} /> },
      ]} />
    </Page>
  );
}
