import { Button, Dropdown, Input, Option } from '@fluentui/react-components';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { get } from '../../api/client';
import { Time } from '../../app/time';
import { Badge, words } from '../../ui/badges';
import { saveCSV } from '../../ui/export';
import { Table, type Column } from '../../ui/list/Table';
import { Empty, Failure, Waiting } from '../../ui/states';
import { useAddressed } from '../../ui/url';
import { Facts } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';
import css from './settings.module.css';

interface Record { sequence: number; time: string; actor: string; actorKind: string; verb: string; object: string; detail: string; outcome: string }
interface Page { value: Record[]; next: number }

const columns: Column<Record>[] = [
  { id: 'time', title: 'Time', value: (r) => r.time, cell: (r) => <Time at={r.time} />, width: 175 }, { id: 'actor', title: 'Who', value: (r) => r.actor || r.actorKind, width: 130 },
  { id: 'verb', title: 'What', value: (r) => r.verb, width: 150 }, { id: 'outcome', title: 'Outcome', value: (r) => r.outcome, cell: (r) => <Outcome of={r.outcome} />, width: 90 },
  { id: 'detail', title: 'Detail', value: (r) => r.detail, width: 280, grow: true }, { id: 'object', title: 'On', value: (r) => r.object, cell: (r) => <span className="mono" title={r.object}>{r.object || '—'}</span>, width: 220 },
  { id: 'sequence', title: 'No.', value: (r) => r.sequence, width: 80, align: 'end' },
];

function Outcome({ of }: { of: string }) {
  return <Badge tone={of === 'done' ? 'good' : 'bad'}>{words(of)}</Badge>;
}

/** The tamper-evident record of who did what. */
export function Audit() {
  const [actor, setActor] = useAddressed('actor');
  const [verb, setVerb] = useAddressed('verb');
  const [outcome, setOutcome] = useAddressed('outcome');
  const [open, setOpen] = useState<Record>();
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
        <Dropdown size="small" aria-label="Outcome" value={words(outcome) || 'Any outcome'} selectedOptions={[outcome]} onOptionSelect={(_, d) => setOutcome(d.optionValue ?? '')} style={{ minWidth: 120 }}><Option value="">Any outcome</Option><Option value="done">Done</Option><Option value="denied">Denied</Option><Option value="failed">Failed</Option></Dropdown>
        <Button size="small" disabled={rows.length === 0} onClick={() => saveCSV('audit', columns.map((c) => c.title), rows.map((r) => columns.map((c) => c.value(r))))}>Export</Button>
      </div>
      <div className={css.table}>
        {list.isPending ? <Waiting /> : list.error && rows.length === 0 ? <Failure error={list.error} retry={() => void list.refetch()} /> : rows.length === 0 ? <Empty title="No record fits" />
          : <Table<Record> label="Audit log" columns={columns} rows={rows} rowKey={(r) => String(r.sequence)} onOpen={setOpen} openKey={open && String(open.sequence)} onEnd={() => { if (list.hasNextPage && !list.isFetching) void list.fetchNextPage(); }} />}
      </div>
      <SidePanel open={open !== undefined} title="Record" close={() => setOpen(undefined)}>
        {open && (
          <Facts of={[
            ['Time', <Time key="t" at={open.time} />], ['Who', open.actor], ['Kind', words(open.actorKind)], ['What', open.verb], ['Outcome', <Outcome key="o" of={open.outcome} />], ['On', open.object && <span className="mono wrap">{open.object}</span>],
            ['Detail', open.detail && <span className="wrap">{open.detail}</span>], ['Number', open.sequence],
          ]} />
        )}
      </SidePanel>
    </>
  );
}
