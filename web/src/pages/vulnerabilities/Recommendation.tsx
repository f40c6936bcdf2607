// One recommendation: what it mends, on which devices, and what was decided about it.
import { Button, Dropdown, Field, Input, MessageBar, MessageBarBody, Option, Tab, TabList, Textarea } from '@fluentui/react-components';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { del, get, post, segment } from '../../api/client';
import { useMay } from '../../api/session';
import type { MachineReference, Recommendation as Entity, Vulnerability } from '../../api/types';
import { useNotify } from '../../app/notices';
import { Status, words } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { ListView } from '../../ui/list/ListView';
import { Card, Facts, Page } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';
import { Failure, Waiting } from '../../ui/states';
import { useAddressed, useId } from '../../ui/url';
import { machines, vulnerabilities } from './columns';
import css from './vulnerabilities.module.css';

const crumbs = [{ title: 'Vulnerabilities', to: '/vulnerabilities' }, { title: 'Recommendations', to: '/vulnerabilities?tab=recommendations' }];
const unsorted = vulnerabilities.map((c) => ({ ...c, sort: false }));

export default function Recommendation() {
  const id = useId();
  const [tab, setTab] = useAddressed('tab', 'overview');
  const [asking, setAsking] = useState(false);
  const may = useMay();
  const ask = useConfirm();
  const cache = useQueryClient();
  const path = `/api/recommendations/${segment(id)}`;
  const own = `/api/vedette/recommendations/${segment(id)}/exception`;
  const found = useQuery({ queryKey: ['/api/recommendations', id], queryFn: () => get<Entity>(path) });
  if (found.isPending) return <Waiting />;
  if (!found.data) return <Page title={id} crumbs={crumbs}><Failure error={found.error} retry={() => void found.refetch()} /></Page>;
  const r = found.data;
  const stale = () => cache.invalidateQueries({ queryKey: ['/api/recommendations'] });
  const except = () => ask({ title: 'Make an exception', action: 'Make the exception', body: 'The recommendation is counted as decided: it weighs in no score until the exception ends.', run: async ({ reason }) => { await post(own, { reason }); await stale(); } });
  const end = () => ask({ title: 'End the exception', action: 'End the exception', reason: 'none', run: async () => { await del(own); await stale(); } });
  const decides = may('SecurityConfiguration.ReadWrite.All', 'Vedette.Admin.All');
  const isException = r.status === 'Exception';
  return (
    <Page title={r.recommendationName} crumbs={crumbs} fill={tab !== 'overview'} aside={<Status value={r.status} />}
      actions={(
        <>
          {decides && !isException && <Button appearance="primary" onClick={() => setAsking(true)}>Request remediation</Button>}
          {decides && <Button onClick={isException ? end : except}>{isException ? 'End the exception' : 'Make an exception'}</Button>}
        </>
      )}>
      <TabList selectedValue={tab} onTabSelect={(_, d) => setTab(String(d.value))} aria-label="Parts of the recommendation" className={css.tabs}><Tab value="overview">Overview</Tab><Tab value="devices">Exposed devices ({r.exposedMachinesCount})</Tab><Tab value="vulnerabilities">Vulnerabilities ({r.weaknesses})</Tab></TabList>
      {tab === 'overview' && (
        <Card title="Details">
          <Facts wide of={[
            ['What to do', [words(r.remediationType), r.recommendedVersion && `to ${r.recommendedVersion}`].filter(Boolean).join(' ')], ['Product', [r.vendor, r.productName].filter(Boolean).join(' ')], ['Category', [words(r.recommendationCategory), words(r.subCategory)].filter(Boolean).join(', ')],
            ['Exposed devices', `${r.exposedMachinesCount} of ${r.totalMachineCount}`], ['Weaknesses', r.weaknesses], ['Severity score', r.severityScore?.toFixed(1)], ['Impact on exposure', r.exposureImpact?.toFixed(1)], ['Impact on configuration', r.configScoreImpact?.toFixed(1)],
            ['Public exploit', r.publicExploit ? 'Yes' : 'No'], ['Active alert', r.activeAlert ? 'Yes' : 'No'], ['Related component', r.relatedComponent],
          ]} />
        </Card>
      )}
      {tab === 'devices' && <ListView<MachineReference> name="recommendation-devices" label="Exposed devices" path={`${path}/machineReferences`} columns={machines} rowKey={(m) => m.id} empty={{ title: 'No device is exposed' }} />}
      {tab === 'vulnerabilities' && <ListView<Vulnerability> name="recommendation-vulnerabilities" label="What it mends" path={`${path}/vulnerabilities`} columns={unsorted} rowKey={(v) => v.id} empty={{ title: 'It mends no vulnerability', text: 'It is about a setting.' }} />}
      {asking && <Remediation of={r} close={() => setAsking(false)} />}
    </Page>
  );
}

function Remediation({ of: r, close }: { of: Entity; close: () => void }) {
  const [d, setDraft] = useState({ priority: 'Medium', days: '14', notes: '' });
  const set = (change: Partial<typeof d>) => setDraft({ ...d, ...change });
  const notify = useNotify();
  const cache = useQueryClient();
  const days = Math.floor(Number(d.days) || 0);
  const request = useMutation({
    mutationFn: () => post('/api/vedette/remediationTasks', { recommendationId: r.id, priority: d.priority, requesterNotes: d.notes.trim() || undefined, ...(days > 0 ? { dueOn: new Date(Date.now() + days * 86_400_000).toISOString() } : {}) }),
    onSuccess: () => { notify({ intent: 'success', title: 'The remediation was asked for', text: r.recommendationName, to: '/vulnerabilities?tab=remediation' }); void cache.invalidateQueries({ queryKey: ['/api/remediationTasks'] }); close(); },
  });
  return (
    <SidePanel open title="Request remediation" close={close}>
      <form className={css.form} onSubmit={(e) => { e.preventDefault(); request.mutate(); }}>
        <p>{r.recommendationName}, on {r.exposedMachinesCount} {r.exposedMachinesCount === 1 ? 'device' : 'devices'}. The activity counts the devices that still have it; it changes nothing on them.</p>
        <Field label="Priority"><Dropdown value={d.priority} selectedOptions={[d.priority]} onOptionSelect={(_, v) => set({ priority: v.optionValue! })}>{['Low', 'Medium', 'High'].map((p) => <Option key={p} value={p}>{p}</Option>)}</Dropdown></Field>
        <Field label="Due in days" hint="Without a date when it is empty"><Input type="number" min={0} value={d.days} onChange={(_, v) => set({ days: v.value })} /></Field>
        <Field label="Notes"><Textarea rows={3} maxLength={4000} value={d.notes} onChange={(_, v) => set({ notes: v.value })} /></Field>
        {request.error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{request.error.message}</MessageBarBody></MessageBar>}
        <div><Button type="submit" appearance="primary" disabled={request.isPending}>{request.isPending ? 'Asking…' : 'Request'}</Button></div>
      </form>
    </SidePanel>
  );
}
