// One recommendation: what it mends, on which devices, and what was decided about it.
import { Button, Dropdown, Field, Input, MessageBar, MessageBarBody, Option, Textarea } from '@fluentui/react-components';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { del, get, post, segment } from '../../api/client';
import { useMay } from '../../api/session';
import type { MachineReference, Recommendation as Entity, Vulnerability } from '../../api/types';
import { useNotify } from '../../app/notices';
import { Badge, counted, words } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { ListView } from '../../ui/list/ListView';
import { Card, Facts, Page, Tabs } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';
import { Failure, Waiting } from '../../ui/states';
import { useAddressed, useId } from '../../ui/url';
import { machines, vulnerabilities } from './columns';
import { Time } from '../../app/time';
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
  const except = () => ask({
    title: `Make an exception: ${r.recommendationName}`, action: 'Make the exception', body: 'The recommendation is counted as decided until the exception ends: it is not among the active ones. Devices stay as they are.', choices: terms, label: 'Justification', hint: 'Kept with the exception and shown to everybody who sees it', most: 2000,
    run: async ({ reason, choice }) => { await post(own, { reason, ...(choice === 'open' ? {} : { expirationDateTimeUtc: inDays(Number(choice)) }) }); await stale(); },
  });
  const end = () => ask({ title: 'End the exception', action: 'End the exception', reason: 'none', run: async () => { await del(own); await stale(); } });
  const decides = may('SecurityConfiguration.ReadWrite.All', 'Vedette.Admin.All');
  const isException = r.status === 'Exception';
  return (
    <Page title={r.recommendationName} crumbs={crumbs} fill={tab !== 'overview'} aside={<Badge tone={isException ? 'quiet' : 'bad'}>{isException ? 'Exception' : 'Active'}</Badge>}
      actions={(
        <>
          {decides && !isException && <Button appearance="primary" onClick={() => setAsking(true)}>Request remediation</Button>}
          {decides && <Button onClick={isException ? end : except}>{isException ? 'End the exception' : 'Make an exception'}</Button>}
        </>
      )}>
      <Tabs label="Parts of the recommendation" value={tab} choose={setTab} of={[['overview', 'Overview'], ['devices', `Exposed devices (${r.exposedMachinesCount})`], ['vulnerabilities', `Vulnerabilities (${r.weaknesses})`]]} />
      {tab === 'overview' && isException && <Decided id={r.id} path={own} />}
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

const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString();
const terms = [{ value: '30', title: 'For 30 days' }, { value: '60', title: 'For 60 days' }, { value: '90', title: 'For 90 days' }, { value: 'open', title: 'Until somebody ends it' }];

interface ExceptionOf { reason: string; createdBy: string; creationDateTimeUtc: string; expirationDateTimeUtc: string | null }

/** Why a recommendation is not followed. */
function Decided({ id, path }: { id: string; path: string }) {
  const found = useQuery({ queryKey: ['exception of a recommendation', id], queryFn: () => get<ExceptionOf>(path), retry: false });
  if (!found.data) return null;
  const e = found.data;
  return <Card title="Exception" className={css.decided}><Facts wide of={[['Why', <span key="w" className="wrap">{e.reason}</span>], ['By', e.createdBy], ['Since', <Time key="s" at={e.creationDateTimeUtc} />], ['Ends', e.expirationDateTimeUtc ? <Time key="e" at={e.expirationDateTimeUtc} /> : 'When somebody ends it']]} /></Card>;
}

/** The most days that a remediation may be given: ten years. */
const mostDays = 3650;

function Remediation({ of: r, close }: { of: Entity; close: () => void }) {
  const [d, setDraft] = useState({ priority: 'Medium', days: '14', notes: '' });
  const set = (change: Partial<typeof d>) => setDraft({ ...d, ...change });
  const notify = useNotify();
  const cache = useQueryClient();
  const days = Number(d.days);
  const wrong = d.days.trim() !== '' && !(Number.isInteger(days) && days >= 1 && days <= mostDays) ? `Whole days from 1 to ${mostDays.toLocaleString('en')}, or nothing for no date` : '';
  const request = useMutation({
    mutationFn: () => post('/api/vedette/remediationTasks', { recommendationId: r.id, priority: d.priority, requesterNotes: d.notes.trim() || undefined, ...(d.days.trim() !== '' ? { dueOn: inDays(days) } : {}) }),
    onSuccess: () => { notify({ intent: 'success', title: 'The remediation was asked for', text: r.recommendationName, to: '/vulnerabilities?tab=remediation' }); void cache.invalidateQueries({ queryKey: ['/api/remediationTasks'] }); close(); },
  });
  return (
    <SidePanel open title="Request remediation" close={close}>
      <form className={css.form} noValidate onSubmit={(e) => { e.preventDefault(); if (!wrong) request.mutate(); }}>
        <p>{r.recommendationName}, on {counted(r.exposedMachinesCount, 'device')}. The activity counts the devices that still have it; it changes nothing on them.</p>
        <Field label="Priority"><Dropdown value={d.priority} selectedOptions={[d.priority]} onOptionSelect={(_, v) => set({ priority: v.optionValue! })}>{['Low', 'Medium', 'High'].map((p) => <Option key={p} value={p}>{p}</Option>)}</Dropdown></Field>
        <Field label="Due in days" hint="Without a date when it is empty" validationMessage={wrong} validationState={wrong ? 'error' : 'none'}><Input inputMode="numeric" value={d.days} onChange={(_, v) => set({ days: v.value })} /></Field>
        <Field label="Notes"><Textarea rows={3} maxLength={4000} value={d.notes} onChange={(_, v) => set({ notes: v.value })} /></Field>
        {request.error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{request.error.message}</MessageBarBody></MessageBar>}
        <div><Button type="submit" appearance="primary" disabled={request.isPending || wrong !== ''}>{request.isPending ? 'Asking…' : 'Request'}</Button></div>
      </form>
    </SidePanel>
  );
}
