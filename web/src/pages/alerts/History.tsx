import { useQuery } from '@tanstack/react-query';
import { get, type List } from '../../api/client';
import type { HistoryEntry } from '../../api/types';
import { Time } from '../../app/time';
import { words } from '../../ui/badges';
import { Empty, Failure, Waiting } from '../../ui/states';
import css from './Alert.module.css';

interface Comment { comment: string; createdBy: string; createdTime: string | null }

/** What was changed on an alert or incident, with its comments, newest first. */
export function History({ path, keyed, comments }: { path: string; keyed: unknown[]; comments: Comment[] }) {
  const found = useQuery({ queryKey: keyed, queryFn: () => get<List<HistoryEntry>>(path) });
  if (found.isPending) return <Waiting />;
  if (found.error) return <Failure error={found.error} retry={() => void found.refetch()} />;
  const all = [
    ...found.data.value.filter((e) => e.field !== 'comment').map((e) => ({ at: e.time, by: e.by, title: change(e), text: '' })),
    ...comments.map((c) => ({ at: c.createdTime ?? '', by: c.createdBy, title: 'commented', text: c.comment })),
  ].sort((a, b) => b.at.localeCompare(a.at));
  if (all.length === 0) return <Empty title="Nobody changed anything yet" />;
  return (
    <ol className={css.timeline}>
      {all.map((e, i) => (
        <li key={i} className={css.step}>
          <span className={css.when}><Time at={e.at} form="short" /></span>
          <span className={css.what}><strong>{e.by}</strong> {e.title}{e.text && <div className="wrap">{e.text}</div>}</span>
        </li>
      ))}
    </ol>
  );
}

// Fields whose values are words of the API; what people and devices chose is shown as it is.
const coded = new Set(['status', 'severity', 'classification', 'determination', 'category']);
const called: Record<string, string> = { assignedTo: 'assignment', incidentName: 'name', incidentId: 'incident' };

function change(e: HistoryEntry): string {
  const name = called[e.field] ?? words(e.field).toLowerCase();
  const value = (v: string) => (coded.has(e.field) ? words(v) : v);
  if (e.field === 'created') return e.new ? `created it with the severity ${words(e.new)}` : 'created it';
  if (e.new === '') return `took the ${name} ${value(e.old)} away`;
  if (e.old === '') return `set the ${name} to ${value(e.new)}`;
  return `changed the ${name} from ${value(e.old)} to ${value(e.new)}`;
}
