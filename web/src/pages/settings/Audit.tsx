import { Button, Dropdown, Input, Option } from '@fluentui/react-components';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { get } from '../../api/client';
import { Time } from '../../app/time';
import { Badge } from '../../ui/badges';
import { saveCSV } from '../../ui/export';
import { Table, type Column } from '../../ui/list/Table';
import { Empty, Failure, Waiting } from '../../ui/states';
import { useAddressed } from '../../ui/url';
import css from './settings.module.css';

interface Record { sequence: number; time: string; actor: string; actorKind: string; verb: string; object: string; detail: string; outcome: string }
interface Page { value: Record[]; next: number }

const columns: Column<Record>[] = [
  { id: 'sequence', title: 'No.', value: (r) => r.sequence, width: 80, align: 'end' }, { id: 'time', title: 'Time', value: (r) => r.time, cell: (r) => <Time at={r.time} />, width: 180 },
  { id: 'actor', title: 'Who', value: (r) => r.actor, cell: (r) => <span title={r.actorKind}>{r.actor || r.actorKind}</span>, width: 180 }, { id: 'verb', title: 'What', value: (r) => r.verb, width: 180 },
  { id: 'outcome', title: 'Outcome', value: (r) => r.outcome, cell: (r) => <Badge tone={r.outcome === 'done' ? 'good' : 'bad'}>{r.outcome}</Badge>, width: 100 },
  { id: 'object', title: 'On', value: (r) => r.object, cell: (r) => <span className="mono">{r.object}</span>, width: 260 }, { id: 'detail', title: 'Detail', value: (r) => r.detail, cell: (r) => <span title={r.detail}>{r.detail}</span>, width: 400, grow: true },
];

/** The tamper-evident record of who did what. */
export function Audit() {
  const [actor, setActor] = useAddressed('actor');
  const [verb, setVerb] = useAddressed('verb');
  const [outcome, setOutcome] = useAddressed('outcome');
  const list = useInfiniteQuery({
    queryKey: ['/api/vedette/audit', actor, verb, outcome], initialPageParam: 0,
    queryFn: ({ pageParam }) => get<Page>('/api/vedette/audit', { before: pageParam || undefined, top: 200, actor, verb, outcome }), getNextPageParam: (last: Page) => last.next || undefined,
  });
  const rows = useMemo(() => list.data?.pages.flatMap((p) => p.value) ?? [], [list.data]);
  return (
    <>
      <div className={css.head}>
        <h2>Audit log</h2>
        <Input size="small" placeholder="Who" aria-label="Who" value={actor} onChange={(_, d) => setActor(d.value)} />
        <Input size="small" placeholder="What, such as action" aria-label="What" value={verb} onChange={(_, d) => setVerb(d.value)} />
        <Dropdown size="small" aria-label="Outcome" value={outcome || 'Any outcome'} selectedOptions={[outcome]} onOptionSelect={(_, d) => setOutcome(d.optionValue ?? '')} style={{ minWidth: 120 }}><Option value="">Any outcome</Option><Option value="done">done</Option><Option value="denied">denied</Option><Option value="failed">failed</Option></Dropdown>
        <Button size="small" disabled={rows.length === 0} onClick={() => saveCSV('audit', columns.map((c) => c.title), rows.map((r) => columns.map((c) => c.value(r))))}>Export</Button>
      </div>
      <div className={css.table}>
        {list.isPending ? <Waiting /> : list.error && rows.length === 0 ? <Failure error={list.error} retry={() => void list.refetch()} /> : rows.length === 0 ? <Empty title="No record fits" />
          : <Table<Record> label="Audit log" columns={columns} rows={rows} rowKey={(r) => String(r.sequence)} onEnd={() => { if (list.hasNextPage && !list.isFetching) void list.fetchNextPage(); }} />}
      </div>
    </>
  );
}
