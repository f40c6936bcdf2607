import { Button } from '@fluentui/react-components';
import { ArrowDownloadRegular } from '@fluentui/react-icons/svg/arrow-download';
import { ProhibitedRegular } from '@fluentui/react-icons/svg/prohibited';
import { useQuery } from '@tanstack/react-query';
import { get, post, segment, type List } from '../../api/client';
import { literal } from '../../api/hunt';
import { useMay } from '../../api/session';
import { useNotify } from '../../app/notices';
import type { Machine } from '../../api/types';
import { useConfirm } from '../../ui/confirm';
import { Card, Cards, Facts, Page } from '../../ui/Page';
import { Empty, Failure, Waiting } from '../../ui/states';
import { Alerts, Events, Indicators, Machines, Parts, Prevalence } from './parts';
import { useId } from '../../ui/url';
import css from './entities.module.css';
import { counted } from '../../ui/badges';

interface FileEntity { sha1: string | null; sha256: string | null; md5: string | null; size: number | null; fileType: string | null; filePublisher: string | null; signer: string | null; issuer: string | null; isValidCertificate: boolean | null; determinationType: string | null; determinationValue: string | null }
interface FileStats { organizationPrevalence: number; orgFirstSeen: string | null; orgLastSeen: string | null; topFileNames: string[] }

const bytes = (n: number | null): string => (n === null ? '' : n < 1024 ? `${n} bytes` : n < 1 << 20 ? `${(n / 1024).toFixed(1)} KB` : `${(n / (1 << 20)).toFixed(1)} MB`);

/** A file by its hash: where it is, what it did, and what can be done about it everywhere. */
export default function File() {
  const id = useId();
  const may = useMay();
  const ask = useConfirm();
  const notify = useNotify();
  const path = `/api/files/${segment(id)}`;
  const file = useQuery({ queryKey: ['/api/files', id], queryFn: () => get<FileEntity>(path), retry: false });
  const stats = useQuery({ queryKey: ['/api/files', id, 'stats'], queryFn: () => get<FileStats>(`${path}/stats`), retry: false });
  if (file.isPending) return <Page title="File"><Waiting /></Page>;
  if (file.error) return <Page title="File"><Failure error={file.error} retry={() => void file.refetch()} /></Page>;
  const f = file.data;
  const names = stats.data?.topFileNames ?? [];
  const hash = f.sha256 ?? f.sha1 ?? id;
  const devices = async () => (await get<List<Machine>>(`${path}/machines`, { $top: 1000 })).value.map((m) => m.id);
  const everywhere = (title: string, action: string, kind: string) => ask({
    title, action, danger: true, body: `On each device that saw the file in the last 30 days: ${stats.data?.organizationPrevalence ?? 'some'}.`,
    run: async ({ reason }) => {
      const r = await post<{ accepted: number; refused: number }>(`/api/vedette/machineactions/bulk/${kind}`, { Comment: reason, MachineIds: await devices(), Sha1: f.sha1 });
      notify({ intent: r.refused > 0 ? 'warning' : 'success', title: `${action}: asked of ${counted(r.accepted, 'device')}`, text: r.refused > 0 ? `${r.refused} refused.` : 'The action center says what becomes of it.', to: '/actions' });
    },
  });
  const where = f.sha256 ? `SHA256 == ${literal(f.sha256)} or InitiatingProcessSHA256 == ${literal(f.sha256)}` : `SHA1 == ${literal(hash)} or InitiatingProcessSHA1 == ${literal(hash)}`;
  const query = `union DeviceProcessEvents, DeviceFileEvents, DeviceNetworkEvents, DeviceImageLoadEvents, DeviceEvents\n| where Timestamp > ago(30d)\n| where ${where}`;
  return (
    <Page title={names[0] ?? 'File'} aside={<span className="mono quiet wrap">{hash}</span>}
      actions={may('Machine.StopAndQuarantine') && f.sha1 ? (
        <>
          <Button icon={<ProhibitedRegular />} onClick={() => everywhere('Stop and quarantine the file everywhere', 'Stop and quarantine', 'StopAndQuarantineFile')}>Stop and quarantine</Button>
          <Button icon={<ArrowDownloadRegular />} onClick={() => everywhere('Collect the file from devices', 'Collect file', 'RequestSample')}>Collect file</Button>
        </>
      ) : undefined}>
      <Parts parts={[
        { id: 'overview', title: 'Overview', body: (
          <Cards>
            <Card title="File"><Facts of={[['SHA-256', f.sha256 && <span key="2" className="mono">{f.sha256}</span>], ['SHA-1', f.sha1 && <span key="1" className="mono">{f.sha1}</span>], ['MD5', f.md5 && <span key="5" className="mono">{f.md5}</span>], ['Size', bytes(f.size)], ['Publisher', f.filePublisher], ['Signer', f.signer], ['Verdict', [f.determinationType, f.determinationValue].filter(Boolean).join(': ')]]} /></Card>
            {stats.data ? <Prevalence devices={stats.data.organizationPrevalence} first={stats.data.orgFirstSeen} last={stats.data.orgLastSeen} /> : <Card title="In the organisation">{stats.error ? <Failure error={stats.error} /> : <Waiting />}</Card>}
            <Card title="Names">{names.length === 0 ? <Empty title="No name is known" /> : <ul className={`wrap ${css.names}`}>{names.map((n) => <li key={n}>{n}</li>)}</ul>}</Card>
            <Indicators values={[f.sha256, f.sha1].filter((x): x is string => !!x)} type={f.sha256 ? 'FileSha256' : 'FileSha1'} />
          </Cards>
        ) },
        { id: 'devices', title: 'Seen on', body: <Machines kind="files" id={f.sha1 ?? hash} /> },
        { id: 'alerts', title: 'Alerts', body: <Alerts kind="files" id={f.sha1 ?? hash} /> },
        { id: 'events', title: 'Events', body: <Events query={query} columns={['Timestamp', 'DeviceName', 'ActionType', 'FolderPath', 'InitiatingProcessAccountName', 'InitiatingProcessCommandLine']} /> },
      ]} />
    </Page>
  );
}
