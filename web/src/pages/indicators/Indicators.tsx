import { Button, MessageBar, MessageBarBody } from '@fluentui/react-components';
import { AddRegular } from '@fluentui/react-icons/svg/add';
import { ArrowUploadRegular } from '@fluentui/react-icons/svg/arrow-upload';
import { DeleteRegular } from '@fluentui/react-icons/svg/delete';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { call, del, get, post, segment } from '../../api/client';
import { at, Go } from '../../app/links';
import { useNotify } from '../../app/notices';
import { Time } from '../../app/time';
import type { Indicator } from '../../api/types';
import { Badge, Severity, words } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { save } from '../../ui/export';
import { containing, options, type Filter } from '../../ui/list/filters';
import { ListView } from '../../ui/list/ListView';
import type { Column } from '../../ui/list/Table';
import { Facts, Page, Tabs } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';
import { Failure, Waiting } from '../../ui/states';
import { useAddress, useAddressed } from '../../ui/url';
import { Numbers, type Stats } from '../entities/parts';
import { IndicatorForm, types, type Start } from './IndicatorForm';
import { parseCSV, template } from './csv';
import { Techniques } from '../../ui/techniques';

const kinds: Record<string, { title: string; types: string[] }> = {
  files: { title: 'File hashes', types: ['FileSha1', 'FileSha256', 'FileMd5'] }, ips: { title: 'IP addresses', types: ['IpAddress'] },
  urls: { title: 'URLs and domains', types: ['Url', 'DomainName'] }, certificates: { title: 'Certificates', types: ['CertificateThumbprint'] },
};

const tone = (a: string) => (/Block|Warn/.test(a) ? 'bad' : a === 'Allowed' ? 'good' : 'warn') as 'bad' | 'good' | 'warn';

/** Where the page of what an indicator is about is; '' for none. */
export const about = (i: Indicator): string => (i.indicatorType.startsWith('FileSha') ? at.file(i.indicatorValue) : i.indicatorType === 'IpAddress' && !i.indicatorValue.includes('/') ? at.ip(i.indicatorValue) : i.indicatorType === 'DomainName' ? at.domain(i.indicatorValue) : '');

const columns: Column<Indicator>[] = [
  { id: 'indicatorValue', title: 'Indicator', value: (i) => i.indicatorValue, cell: (i) => (about(i) ? <Go to={about(i)}>{i.indicatorValue}</Go> : i.indicatorValue), width: 300, grow: true },
  { id: 'indicatorType', title: 'Type', value: (i) => types[i.indicatorType] ?? i.indicatorType, width: 130 },
  { id: 'action', title: 'Action', value: (i) => i.action, cell: (i) => <Badge tone={tone(i.action)}>{words(i.action)}</Badge>, width: 175 },
  { id: 'severity', title: 'Severity', value: (i) => i.severity, cell: (i) => <Severity value={i.severity} />, width: 120 },
  { id: 'title', title: 'Title', value: (i) => i.title, width: 240 },
  { id: 'generateAlert', title: 'Alert', value: (i) => (i.generateAlert ? 'Yes' : 'No'), sort: false, width: 80 },
  { id: 'expirationTime', title: 'Expires', value: (i) => i.expirationTime, cell: (i) => (i.expirationTime ? <Time at={i.expirationTime} form="day" /> : 'Never'), width: 130 },
  { id: 'groups', title: 'Scope', value: (i) => (i.rbacGroupNames ?? []).join(', ') || 'All devices', sort: false, width: 150 },
  { id: 'creationTimeDateTimeUtc', title: 'Created', value: (i) => i.creationTimeDateTimeUtc, cell: (i) => <Time at={i.creationTimeDateTimeUtc} />, width: 180 },
  { id: 'createdByDisplayName', title: 'By', value: (i) => i.createdByDisplayName, width: 150 },
];

const filters: Filter[] = [
  { id: 'action', title: 'Action', field: 'action', options: options('Audit', 'Warn', 'Block', { value: 'BlockAndRemediate', label: 'Block and remediate' }, { value: 'Allowed', label: 'Allow' }) },
  { id: 'severity', title: 'Severity', field: 'severity', options: options('High', 'Medium', 'Low', 'Informational') },
];

const newest = { id: 'creationTimeDateTimeUtc', desc: true };

/** Indicators of compromise: what is looked for, and what devices let through or not. */
export default function Indicators() {
  const [kind, setKind] = useAddressed('kind', 'files');
  const [address, set] = useAddress();
  const [making, setMaking] = useState<Start>();
  const [failed, setFailed] = useState<string[]>();
  const input = useRef<HTMLInputElement>(null);
  const ask = useConfirm();
  const notify = useNotify();
  const cache = useQueryClient();
  const shown = kinds[kind] ?? kinds.files;
  const stale = () => cache.invalidateQueries({ queryKey: ['/api/indicators'] });
  const remove = (rows: Indicator[], clear: () => void) => ask({
    title: `Delete ${rows.length} ${rows.length === 1 ? 'indicator' : 'indicators'}`, action: 'Delete', reason: 'none', danger: true, body: 'Devices no longer act on them; what was found stays.',
    run: async () => { await post('/api/indicators/BatchDelete', { IndicatorIds: rows.map((r) => r.id) }); clear(); await stale(); },
  });
  const take = async (file: File) => {
    setFailed(undefined);
    try {
      if (file.size > 8 << 20) throw new Error('The file is larger than 8 MB.');
      const list = parseCSV(await file.text());
      const out: string[] = [];
      for (let i = 0; i < list.length; i += 500) {
        const { value } = await post<{ value: { indicator: string; isFailed: boolean; failureReason: string | null }[] }>('/api/indicators/import', { Indicators: list.slice(i, i + 500) });
        out.push(...value.filter((v) => v.isFailed).map((v) => `${v.indicator}: ${v.failureReason ?? 'refused'}`));
      }
      await stale();
      notify({ intent: out.length > 0 ? 'warning' : 'success', title: `${list.length - out.length} of ${list.length} indicators were imported` });
      if (out.length > 0) setFailed(out);
    } catch (e) {
      setFailed([e instanceof Error ? e.message : String(e)]);
    }
    if (input.current) input.current.value = '';
  };
  return (
    <Page title="Indicators" fill actions={
      <>
        <Button icon={<AddRegular />} appearance="primary" onClick={() => setMaking({ indicatorType: shown.types.at(-1) })}>Add indicator</Button>
        <Button icon={<ArrowUploadRegular />} onClick={() => input.current?.click()}>Import CSV</Button>
        <Button appearance="subtle" onClick={() => save('indicators-template.csv', 'text/csv', template)}>Template</Button>
        <input ref={input} type="file" accept=".csv,text/csv" hidden aria-label="CSV file" onChange={(e) => { if (e.target.files?.[0]) void take(e.target.files[0]); }} />
      </>
    }>
      <Tabs label="Kinds of indicators" value={kind} choose={setKind} of={Object.entries(kinds).map(([k, v]) => [k, v.title] as const)} />
      {failed && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>Not imported: <ul>{failed.slice(0, 10).map((f) => <li key={f}>{f}</li>)}</ul>{failed.length > 10 && `and ${failed.length - 10} more`} <Button size="small" onClick={() => setFailed(undefined)}>Dismiss</Button></MessageBarBody></MessageBar>}
      <ListView<Indicator> key={kind} name="indicators" label="Indicators" path="/api/indicators" columns={columns} rowKey={(i) => i.id} filters={filters} start={newest}
        always={shown.types.map((t) => `indicatorType eq '${t}'`).join(' or ')} search={{ hint: 'Search values and titles', odata: (t) => containing('indicatorValue', 'title')([t]) }}
        onOpen={(i) => set({ open: i.id })} openKey={address.open} bulk={(rows, clear) => <Button size="small" icon={<DeleteRegular />} onClick={() => remove(rows, clear)}>Delete</Button>}
        empty={{ title: 'There is no indicator of this kind', text: 'Add one, or import a list as CSV.' }} />
      <SidePanel open={!!address.open} title="Indicator" close={() => set({ open: undefined })}>
        {address.open && <One id={address.open} edit={setMaking} gone={() => { set({ open: undefined }); void stale(); }} />}
      </SidePanel>
      {making && <IndicatorForm start={making} close={() => setMaking(undefined)} />}
    </Page>
  );
}

function One({ id, edit, gone }: { id: string; edit: (i: Indicator) => void; gone: () => void }) {
  const ask = useConfirm();
  const one = useQuery({ queryKey: ['/api/indicators', 'one', id], retry: false, queryFn: () => get<Indicator>(`/api/indicators/${segment(id)}`) });
  const stats = useQuery({ queryKey: ['/api/indicators', 'stats', id], retry: false, refetchInterval: 10_000, queryFn: () => call<Stats>('GET', `/api/indicators/${segment(id)}/stats`, { background: true }) });
  if (one.isPending) return <Waiting />;
  if (one.error) return <Failure error={one.error} />;
  const i = one.data;
  return (
    <>
      {stats.data && <Numbers of={[['matches', stats.data.matches.toLocaleString('en')], ['blocked', stats.data.blocks.toLocaleString('en')], ['alerts', stats.data.alerts.toLocaleString('en')], ['devices', stats.data.devices.toLocaleString('en')]]} />}
      <div style={{ height: 16 }} />
      <Facts of={[
        ['Value', about(i) ? <Go key="v" to={about(i)}>{i.indicatorValue}</Go> : i.indicatorValue], ['Type', types[i.indicatorType]], ['Action', <Badge key="a" tone={tone(i.action)}>{words(i.action)}</Badge>], ['Severity', <Severity key="s" value={i.severity} />],
        ['Title', i.title], ['Description', i.description], ['Recommended actions', i.recommendedActions], ['Techniques', <Techniques key="t" of={i.mitreTechniques ?? []} />], ['Scope', (i.rbacGroupNames ?? []).join(', ') || 'All devices'],
        ['First match', <Time key="f" at={stats.data?.firstMatch} />], ['Last match', <Time key="l" at={stats.data?.lastMatch} />], ['Expires', i.expirationTime ? <Time key="e" at={i.expirationTime} /> : 'Never'], ['Created', <span key="c"><Time at={i.creationTimeDateTimeUtc} /> by {i.createdByDisplayName}</span>],
      ]} />
      <div style={{ display: 'flex', gap: 8, marginTop: 16 }}>
        <Button onClick={() => edit(i)}>Edit</Button>
        <Button icon={<DeleteRegular />} onClick={() => ask({ title: 'Delete the indicator', action: 'Delete', reason: 'none', danger: true, run: async () => { await del(`/api/indicators/${segment(id)}`); gone(); } })}>Delete</Button>
      </div>
    </>
  );
}
