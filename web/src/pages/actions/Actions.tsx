import { Button } from '@fluentui/react-components';
import { ArrowDownloadRegular } from '@fluentui/react-icons/svg/arrow-download';
import { ArrowUndoRegular } from '@fluentui/react-icons/svg/arrow-undo';
import { CheckmarkRegular } from '@fluentui/react-icons/svg/checkmark';
import { DismissRegular } from '@fluentui/react-icons/svg/dismiss';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo } from 'react';
import { get, post, segment } from '../../api/client';
import { useMay } from '../../api/session';
import type { Action } from '../../api/types';
import { at, Go } from '../../app/links';
import { useNotify } from '../../app/notices';
import { Time } from '../../app/time';
import { words } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { options, since, type Filter } from '../../ui/list/filters';
import { ListView } from '../../ui/list/ListView';
import type { Column } from '../../ui/list/Table';
import { Facts, Page, Tabs } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';
import { Failure, Waiting } from '../../ui/states';
import { useAddress } from '../../ui/url';
import { CaseFacts } from '../expert/CaseFacts';
import { inWords, State, Steps, Told, TruthLine } from './Truth';

const columns: Column<Action>[] = [
  { id: 'creationDateTimeUtc', title: 'Requested', value: (a) => a.creationDateTimeUtc, cell: (a) => <Time at={a.creationDateTimeUtc} form="short" />, width: 120 },
  { id: 'type', title: 'Action', value: (a) => words(a.type), cell: (a) => `${words(a.type)}${a.scope ? ` (${a.scope.toLowerCase()})` : ''}`, width: 220 },
  { id: 'state', title: 'State', value: (a) => a.state, cell: (a) => <State of={a} />, sort: 'status', width: 150 },
  { id: 'device', title: 'Device', value: (a) => a.computerDnsName, cell: (a) => <Go to={at.device(a.machineId)}>{a.computerDnsName || a.machineId}</Go>, sort: 'machineId', width: 200 },
  { id: 'requestor', title: 'Requested by', value: (a) => a.requestor, width: 150 },
  { id: 'truth', title: 'What was seen last', value: (a) => inWords(a.error || a.progress?.detail || a.truth), sort: false, width: 190, grow: true },
  { id: 'requestorComment', title: 'Comment', value: (a) => a.requestorComment, sort: false, width: 140 },
  { id: 'lastUpdateDateTimeUtc', title: 'Last change', value: (a) => a.lastUpdateDateTimeUtc, cell: (a) => <Time at={a.lastUpdateDateTimeUtc} form="short" />, width: 120 },
  { id: 'requestSource', title: 'Source', value: (a) => words(a.requestSource), width: 110, hidden: true },
  { id: 'expires', title: 'Expires', value: (a) => a.expirationDateTimeUtc, cell: (a) => <Time at={a.expirationDateTimeUtc} />, sort: false, width: 180, hidden: true },
  { id: 'id', title: 'Action ID', value: (a) => a.id, cell: (a) => <span className="mono">{a.id}</span>, width: 290, hidden: true },
];

const types = ['Isolate', 'Unisolate', 'RestrictCodeExecution', 'UnrestrictCodeExecution', 'RunAntiVirusScan', 'CollectInvestigationPackage', 'StopAndQuarantineFile', 'LiveResponse', 'Offboard', 'AskExpert'];
const common: Filter[] = [
  { id: 'type', title: 'Action', field: 'type', options: types.map((v) => ({ value: v, label: words(v) })) },
  { id: 'by', title: 'Requested by', field: 'requestor' },
  { id: 'device', title: 'Device ID', field: 'machineId', single: true },
  { id: 'source', title: 'Source', field: 'requestSource', options: options('Portal', { value: 'PublicApi', label: 'API' }, 'Rule') },
];
const inHistory: Filter[] = [{ id: 'status', title: 'Result', field: 'status', options: options('Succeeded', 'Failed', { value: 'TimeOut', label: 'Timed out' }, 'Cancelled') }, ...common, since('creationDateTimeUtc', '30d')];
const newest = { id: 'creationDateTimeUtc', desc: true };

/** The views, by their names at the server. */
const views = [{ id: 'pending', title: 'Pending', filters: common }, { id: 'history', title: 'History', filters: inHistory }] as const;

/** What was done to devices: what runs and waits, and what is over. */
export default function Actions() {
  const [address, set] = useAddress();
  const may = useMay();
  const vote = useVote();
  // A link to one action, or to those of a device, is about all of them.
  const tab = address.tab ?? (address.open || address.device ? 'all' : 'pending');
  const view = views.find((v) => v.id === tab);
  const params = useMemo(() => (view ? { view: view.id } : undefined), [view]);
  const approver = may('Vedette.Action.Approve');
  const waiting = (rows: Action[]) => rows.filter((a) => a.awaitsApproval);
  return (
    <Page title="Action center" fill>
      <Tabs label="Views" value={tab} choose={(id) => set({ tab: id, open: undefined })} of={[...views.map((v) => [v.id, v.title] as const), ['all', 'All']]} />
      <ListView<Action> key={tab} name={`actions-${tab}`} label="Actions" path="/api/vedette/machineactions" params={params} columns={columns} rowKey={(a) => a.id} filters={[...(view?.filters ?? common)]} start={newest} every={tab === 'history' ? 30_000 : 4000}
        onOpen={(a) => set({ open: a.id })} openKey={address.open ?? ''}
        bulk={approver && tab !== 'history' ? (rows, clear) => {
          const open = waiting(rows);
          const kinds = new Set(open.map((a) => a.type));
          const why = open.length === 0 ? 'None of these waits for approval' : kinds.size > 1 ? 'Choose actions of one kind' : '';
          return (
            <>
              <Button size="small" icon={<CheckmarkRegular />} appearance="primary" disabled={why !== ''} title={why} onClick={() => vote(open, 'approve', clear)}>Approve {open.length > 0 ? open.length : ''}</Button>
              <Button size="small" icon={<DismissRegular />} disabled={why !== ''} title={why} onClick={() => vote(open, 'reject', clear)}>Reject</Button>
            </>
          );
        } : undefined}
        empty={tab === 'pending' ? { title: 'Nothing is pending', text: 'What is asked of devices is shown here until it is proven, or has failed.' } : { title: 'Nothing was done to a device yet' }} />
      <SidePanel open={Boolean(address.open)} title="Action" close={() => set({ open: undefined })}>
        {address.open && <One key={address.open} id={address.open} />}
      </SidePanel>
    </Page>
  );
}

function useRefresh() {
  const cache = useQueryClient();
  return () => { for (const key of ['/api/vedette/machineactions', '/api/machineactions', 'action', 'device']) void cache.invalidateQueries({ queryKey: [key] }); };
}

/** Approves or rejects actions; what the server refuses of many is told one by one. */
function useVote() {
  const ask = useConfirm();
  const notify = useNotify();
  const refresh = useRefresh();
  return (actions: Action[], how: 'approve' | 'reject', done?: () => void) => ask({
    title: `${how === 'approve' ? 'Approve' : 'Reject'} ${actions.length === 1 ? words(actions[0].type).toLowerCase() : `${actions.length} actions`}`,
    action: how === 'approve' ? 'Approve' : 'Reject',
    body: <ul>{actions.slice(0, 10).map((a) => <li key={a.id}>{words(a.type)}: {a.computerDnsName || a.machineId}</li>)}{actions.length > 10 && <li>and {actions.length - 10} more</li>}</ul>,
    run: async ({ reason }) => {
      const results = await Promise.allSettled(actions.map((a) => post(`/api/vedette/machineactions/${segment(a.id)}/${how}`, { Comment: reason })));
      refresh();
      const failed = results.filter((r): r is PromiseRejectedResult => r.status === 'rejected');
      if (failed.length > 0) throw new Error(`${failed.length} of ${actions.length}: ${(failed[0].reason as Error).message}`);
      notify({ intent: 'success', title: how === 'approve' ? 'Approved' : 'Rejected', brief: true });
      done?.();
    },
  });
}

/** The actions that bring files, and who may have those. */
const brings: Record<string, string> = { CollectInvestigationPackage: 'Machine.CollectForensics', RequestSample: 'Machine.CollectForensics', LiveResponse: 'Machine.LiveResponse' };

function One({ id }: { id: string }) {
  const may = useMay();
  const ask = useConfirm();
  const vote = useVote();
  const refresh = useRefresh();
  const notify = useNotify();
  const found = useQuery({ queryKey: ['action', id], queryFn: () => get<Action>(`/api/vedette/machineactions/${segment(id)}`), refetchInterval: (q) => (q.state.data?.isOpen ? 1500 : false) });
  if (found.isPending) return <Waiting />;
  if (!found.data) return <Failure error={found.error} retry={() => void found.refetch()} />;
  const a = found.data;
  const device = a.computerDnsName || a.machineId;
  const cancel = () => ask({
    title: `Cancel ${words(a.type).toLowerCase()} of ${device}`, action: 'Cancel the action', body: 'What the device already did is not undone by this.',
    run: async ({ reason }) => { await post(`/api/machineactions/${segment(a.id)}/cancel`, { Comment: reason }); refresh(); },
  });
  const undo = () => ask({
    title: `Undo ${words(a.type).toLowerCase()} of ${device}`, action: words(a.undoType), body: `This asks the device for ${words(a.undoType).toLowerCase()}.`,
    run: async ({ reason }) => { await post(`/api/vedette/machineactions/${segment(a.id)}/undo`, { Comment: reason }); refresh(); notify({ intent: 'ongoing', title: `${words(a.undoType)} was requested`, text: device, brief: true }); },
  });
  const download = async (index: number) => {
    try {
      const { value } = await get<{ value: string }>(`/api/machineactions/${segment(a.id)}/${a.type === 'LiveResponse' ? `GetLiveResponseResultDownloadLink(index=${index})` : 'getPackageUri'}`);
      // The published address of a package stands in quotation marks.
      const link = new URL(value.replace(/^"|"$/g, ''));
      // The ticket is what counts: it is fetched where this page came from.
      window.location.assign(link.pathname + link.search);
    } catch (e) {
      notify({ intent: 'error', title: 'The file could not be fetched', text: e instanceof Error ? e.message : '' });
    }
  };
  const approver = may('Vedette.Action.Approve');
  return (
    <>
      <h3>{words(a.type)}{a.scope ? ` (${a.scope.toLowerCase()})` : ''}</h3>
      <TruthLine of={a} />
      <div style={{ display: 'flex', gap: 8, flexWrap: 'wrap', marginBottom: 14 }}>
        {a.awaitsApproval && approver && <><Button appearance="primary" icon={<CheckmarkRegular />} onClick={() => vote([a], 'approve')}>Approve</Button><Button icon={<DismissRegular />} onClick={() => vote([a], 'reject')}>Reject</Button></>}
        {a.isOpen && <Button onClick={cancel}>Cancel</Button>}
        {a.undoType && <Button icon={<ArrowUndoRegular />} onClick={undo}>{words(a.undoType)}</Button>}
        {!a.isOpen && may(brings[a.type] ?? '') && a.artifacts.map((f) => (
          <Button key={f.index} icon={<ArrowDownloadRegular />} onClick={() => void download(f.index)}>{a.type === 'CollectInvestigationPackage' ? 'Download package' : `Download ${f.name}`}</Button>
        ))}
      </div>
      <Facts of={[
        ['State', <State of={a} />], ['What was seen last', <Told text={a.truth} />], ...(a.error ? [['Error', <span className="wrap">{a.error}</span>] as [string, React.ReactNode]] : []),
        ...(a.progress ? [['Progress', `${a.progress.percent >= 0 ? `${a.progress.percent} %` : ''} ${a.progress.detail}`] as [string, React.ReactNode]] : []),
        ['Device', <Go to={at.device(a.machineId)}>{device}</Go>], ['Requested by', a.requestor], ['Comment', <span className="wrap">{a.requestorComment}</span>], ['Source', words(a.requestSource)],
        ...(a.fileSha1 ? [['File', <Go to={at.file(a.fileSha1)} className="go mono">{a.fileSha1}</Go>] as [string, React.ReactNode]] : []),
        ['Requested', <Time at={a.creationDateTimeUtc} />], ...(a.isOpen ? [['Expires', <Time at={a.expirationDateTimeUtc} />] as [string, React.ReactNode]] : []),
        ...(a.cancellation ? [['Cancelled', <span>{a.cancellation.by}: {a.cancellation.comment}</span>] as [string, React.ReactNode]] : []),
        ['Action ID', <span className="mono">{a.id}</span>],
      ]} />
      {a.approval && (
        <>
          <h3>Approval</h3>
          <Facts of={[
            ['Until', <Time at={a.approval.until} />],
            ...a.approval.demands.map((d): [string, React.ReactNode] => [d.name, `${d.approvals - d.missing} of ${d.approvals} agreed`]),
            ...a.approval.votes.map((v): [string, React.ReactNode] => [`${v.by} ${v.approves ? 'agreed' : 'refused'}`, <><Time at={v.time} form="short" /> {v.comment}</>]),
          ]} />
        </>
      )}
      {a.type === 'AskExpert' && <CaseFacts id={a.id} open={a.isOpen} />}
      <h3>Steps</h3>
      <Steps of={a} />
    </>
  );
}
