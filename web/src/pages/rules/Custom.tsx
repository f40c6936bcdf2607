import { Button, Switch } from '@fluentui/react-components';
import { DeleteRegular } from '@fluentui/react-icons/svg/delete';
import { EditRegular } from '@fluentui/react-icons/svg/edit';
import { SearchSquareRegular } from '@fluentui/react-icons/svg/search-square';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { del, get, patch, segment, type List } from '../../api/client';
import { useMay } from '../../api/session';
import { at, useGo } from '../../app/links';
import { useNotify } from '../../app/notices';
import { Time } from '../../app/time';
import { Badge, Severity, words } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { Table, type Column } from '../../ui/list/Table';
import { Facts } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';
import { Empty, Failure, Waiting } from '../../ui/states';
import { useAddress } from '../../ui/url';
import { draftOf, empty, path, periods, type Draft, type Rule } from './api';
import { Backtest } from './Backtest';
import { RuleForm } from './RuleForm';
import css from './rules.module.css';

const columns: Column<Rule>[] = [
  { id: 'name', title: 'Name', value: (r) => r.displayName, width: 280, grow: true, sort: true },
  { id: 'state', title: 'State', value: (r) => (r.isEnabled ? 'On' : 'Off'), cell: (r) => <Badge tone={r.isEnabled ? 'good' : 'quiet'}>{r.isEnabled ? 'On' : 'Off'}</Badge>, width: 80, sort: true },
  { id: 'frequency', title: 'Frequency', value: (r) => periods[r.schedule.period] ?? r.schedule.period, width: 200, sort: true },
  { id: 'severity', title: 'Severity', value: (r) => r.detectionAction.alertTemplate.severity, cell: (r) => <Severity value={words(r.detectionAction.alertTemplate.severity)} />, width: 120, sort: true },
  { id: 'category', title: 'Category', value: (r) => words(r.detectionAction.alertTemplate.category), width: 160, sort: true },
  { id: 'last', title: 'Last run', value: (r) => r.lastRunDetails.lastRunDateTime, cell: (r) => <Time at={r.lastRunDetails.lastRunDateTime} />, width: 180, sort: true },
  { id: 'status', title: 'Result', value: (r) => r.lastRunDetails.status, cell: (r) => (r.lastRunDetails.status ? <Badge tone={r.lastRunDetails.status === 'completed' ? 'good' : r.lastRunDetails.status === 'failed' ? 'bad' : 'busy'}>{words(r.lastRunDetails.status)}</Badge> : <span className="quiet">—</span>), width: 120 },
  { id: 'next', title: 'Next run', value: (r) => r.schedule.nextRunDateTime, cell: (r) => <Time at={r.schedule.nextRunDateTime} />, width: 180, sort: true },
  { id: 'by', title: 'Made by', value: (r) => r.createdBy, width: 140, sort: true },
];

/** Rules that people here wrote. */
export function Custom() {
  const may = useMay();
  const writes = may('CustomDetection.ReadWrite.All');
  const [address, set] = useAddress();
  const [form, setForm] = useState<{ draft: Draft; id?: string }>();
  const { data, error, isPending, refetch } = useQuery({ queryKey: [path], refetchInterval: 30_000, queryFn: async () => (await get<List<Rule>>(path, { $top: 1000 })).value });
  const open = data?.find((r) => r.id === address.open);
  return (
    <div className={css.fill}>
      {writes && <div style={{ marginBottom: 8 }}><Button size="small" appearance="primary" onClick={() => setForm({ draft: empty() })}>Create rule</Button></div>}
      <div className={css.scroll}>
        {isPending ? <Waiting /> : error ? <Failure error={error} retry={() => void refetch()} />
          : data.length === 0 ? <Empty title="There is no custom rule yet">Run a query in advanced hunting and make a rule of it.</Empty>
            : <Table<Rule> label="Custom rules" columns={columns} rows={data} rowKey={(r) => r.id} onOpen={(r) => set({ open: r.id })} openKey={address.open} />}
      </div>
      <SidePanel open={open !== undefined} size="large" title={open?.displayName ?? 'Rule'} close={() => set({ open: undefined })}>
        {open && <One rule={open} writes={writes} edit={() => setForm({ draft: draftOf(open), id: open.id })} gone={() => set({ open: undefined })} />}
      </SidePanel>
      {form && <RuleForm start={form.draft} id={form.id} close={() => setForm(undefined)} />}
    </div>
  );
}

function One({ rule: r, writes, edit, gone }: { rule: Rule; writes: boolean; edit: () => void; gone: () => void }) {
  const ask = useConfirm();
  const go = useGo();
  const cache = useQueryClient();
  const notify = useNotify();
  const stale = () => cache.invalidateQueries({ queryKey: [path] });
  const t = r.detectionAction.alertTemplate;
  const turn = (isEnabled: boolean) => patch(`${path}/${segment(r.id)}`, { isEnabled }).then(stale, (e: Error) => notify({ intent: 'error', title: 'The rule could not be changed', text: e.message }));
  return (
    <>
      <div style={{ display: 'flex', gap: 8, flexWrap: 'wrap', marginBottom: 12, alignItems: 'center' }}>
        {writes && <Switch label={r.isEnabled ? 'On' : 'Off'} checked={r.isEnabled} onChange={(_, d) => void turn(d.checked)} />}
        {writes && <Button size="small" icon={<EditRegular />} onClick={edit}>Edit</Button>}
        <Button size="small" icon={<SearchSquareRegular />} onClick={() => go(at.hunt(r.queryCondition.queryText))}>Open in hunting</Button>
        {writes && <Button size="small" icon={<DeleteRegular />} onClick={() => ask({ title: `Delete “${r.displayName}”`, action: 'Delete rule', reason: 'none', danger: true, body: 'Its alerts stay.', run: async () => { await del(`${path}/${segment(r.id)}`); gone(); await stale(); } })}>Delete</Button>}
      </div>
      <Facts wide of={[
        ['Frequency', periods[r.schedule.period]], ['Last run', <Time key="l" at={r.lastRunDetails.lastRunDateTime} />], ['Next run', <Time key="n" at={r.schedule.nextRunDateTime} />],
        ['Result', r.lastRunDetails.failureReason ?? words(r.lastRunDetails.status)], ['Alert', t.title], ['Severity', <Severity key="s" value={words(t.severity)} />], ['Category', words(t.category)], ['Techniques', t.mitreTechniques.join(', ')],
        ['Actions', r.detectionAction.responseActions.map((a) => words(a['@odata.type'].replace(/^.*\./, '').replace('ResponseAction', ''))).join(', ')], ['Scope', r.detectionAction.organizationalScope?.scopeNames.join(', ') ?? 'All devices'],
        ['Made', <span key="m"><Time at={r.createdDateTime} /> by {r.createdBy}</span>], ['Changed', <span key="c"><Time at={r.lastModifiedDateTime} /> by {r.lastModifiedBy}</span>],
      ]} />
      <h3>Query</h3>
      <pre className={css.text}>{r.queryCondition.queryText}</pre>
      <Backtest request={{ customRuleId: r.id }} />
    </>
  );
}
