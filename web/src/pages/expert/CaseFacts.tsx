// What was handed to an expert, and what became of it: a part of the action center.
import { Button } from '@fluentui/react-components';
import { useQuery } from '@tanstack/react-query';
import { get, post, segment } from '../../api/client';
import { useMay } from '../../api/session';
import { at, Go } from '../../app/links';
import { useNotify } from '../../app/notices';
import { Time } from '../../app/time';
import { useConfirm } from '../../ui/confirm';
import { Facts } from '../../ui/Page';
import { Failure, Waiting } from '../../ui/states';
import { bytes, type Case } from './api';

type Fact = [string, React.ReactNode];

/** The case of an action of the type AskExpert. */
export function CaseFacts({ id, open }: { id: string; open: boolean }) {
  const may = useMay();
  const ask = useConfirm();
  const notify = useNotify();
  const found = useQuery({ queryKey: ['expert', id, open], enabled: may('Vedette.Expert.Ask'), queryFn: () => get<Case>(`/api/vedette/expert/cases/${segment(id)}`), refetchInterval: open ? 1500 : 30_000 });
  if (!may('Vedette.Expert.Ask')) return null;
  if (found.isPending) return <Waiting />;
  if (!found.data) return <Failure error={found.error} retry={() => void found.refetch()} />;
  const c = found.data;
  const b = c.bundle;
  const good = b?.linked && !c.linkRevokedTime && b.linkExpires && Date.parse(b.linkExpires) > Date.now() && (c.isOpen || c.takenTime);
  const revoke = () => ask({
    title: `End the link for ${c.receiverName}`, action: 'End the link', reason: 'none', body: 'Nobody can fetch the bundle by it any more. What was fetched is out of reach.',
    run: async () => { await post(`/api/vedette/expert/cases/${segment(c.id)}/revoke`); notify({ intent: 'success', title: 'The link has ended', brief: true }); void found.refetch(); },
  });
  return (
    <>
      <h3>Case</h3>
      <Facts of={[
        ['Receiver', c.receiverName], ['Question', <span className="wrap">{c.question}</span>], ['Answer to', c.contact],
        ...(c.alertId ? [['Alert', <Go to={at.alert(c.alertId)}>{c.title}</Go>] as Fact] : c.incidentId ? [['Incident', <Go to={at.incident(c.incidentId)}>{c.title}</Go>] as Fact] : []),
        ['Timeline', <><Time at={c.timelineFrom} form="short" /> – <Time at={c.timelineTo} form="short" /></>],
        ...(c.takenTime ? [['Taken', <><Time at={c.takenTime} /> <span className="wrap">{c.receiverAnswer}</span></>] as Fact] : []),
        ...(c.lastError ? [['Not taken', <span className="wrap">{c.attempts} attempts: {c.lastError}</span>] as Fact] : []),
        ...(b ? [['Bundle', `${b.fileName}, ${bytes(b.size)}, ${b.encrypted ? 'encrypted' : 'not encrypted'}`] as Fact, ['SHA-256', <span className="mono wrap">{b.sha256 || 'not kept any more'}</span>] as Fact] : []),
        ...(b?.linkExpires ? [['Link', c.linkRevokedTime ? <>ended by {c.linkRevokedBy}, <Time at={c.linkRevokedTime} form="short" /></> : <>until <Time at={b.linkExpires} form="short" />, fetched {c.fetchCount} times</>] as Fact] : []),
        ...c.fetches.map((f): Fact => ['Fetched', <><Time at={f.time} form="short" /> from {f.from}</>]),
      ]} />
      {good && <Button size="small" onClick={revoke}>End the link</Button>}
      {b && b.lacks.length > 0 && <><h4>What it lacks</h4><ul>{b.lacks.map((l, i) => <li key={i} className="wrap">{l.what}: {l.why}</li>)}</ul></>}
      {b && <details><summary>What is in it ({b.files.length})</summary><ul>{b.files.map((f) => <li key={f.path} className="wrap"><span className="mono">{f.path}</span> <span className="quiet">{bytes(f.size)}</span></li>)}</ul></details>}
    </>
  );
}
