import { Button, Dropdown, Field, Input, MessageBar, MessageBarBody, Option, Switch, Textarea } from '@fluentui/react-components';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { del, get, patch, post, type List } from '../../api/client';
import { useMay } from '../../api/session';
import { Time } from '../../app/time';
import { Badge } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { Table, type Column } from '../../ui/list/Table';
import { SidePanel } from '../../ui/SidePanel';
import { Empty, Failure, Waiting } from '../../ui/states';
import css from './rules.module.css';

interface Condition { field: string; op: string; values: string[] }
interface Suppression { id: number; name: string; comment: string; enabled: boolean; action: string; machineIds: string[]; rbacGroupIds: number[]; conditions: Condition[]; createdBy: string; createdTime: string; matchedAlerts: number; lastMatchTime: string | null }

const path = '/api/vedette/suppressions';
const said = (c: Condition) => `${c.field} ${c.op} ${c.values.join(' or ')}`;

const columns: Column<Suppression>[] = [
  { id: 'name', title: 'Name', value: (r) => r.name, width: 240, sort: true },
  { id: 'state', title: 'State', value: (r) => (r.enabled ? 'On' : 'Off'), cell: (r) => <Badge tone={r.enabled ? 'good' : 'quiet'}>{r.enabled ? 'On' : 'Off'}</Badge>, width: 80, sort: true },
  { id: 'action', title: 'Alerts are', value: (r) => (r.action === 'Hide' ? 'Hidden' : 'Resolved'), width: 110, sort: true },
  { id: 'conditions', title: 'When', value: (r) => r.conditions.map(said).join(' and '), width: 360, grow: true },
  { id: 'matched', title: 'Suppressed', value: (r) => r.matchedAlerts, width: 110, sort: true, align: 'end' },
  { id: 'last', title: 'Last', value: (r) => r.lastMatchTime, cell: (r) => <Time at={r.lastMatchTime} />, width: 180, sort: true },
  { id: 'by', title: 'Made by', value: (r) => r.createdBy, width: 140, sort: true },
];

/** Rules by which alerts are kept out of the queues. */
export function Suppressions() {
  const may = useMay();
  const writes = may('Alert.ReadWrite.All');
  const [open, setOpen] = useState<Partial<Suppression>>();
  const { data, error, isPending, refetch } = useQuery({ queryKey: [path], queryFn: async () => (await get<List<Suppression>>(path)).value });
  return (
    <div className={css.fill}>
      {writes && <div style={{ marginBottom: 8 }}><Button size="small" appearance="primary" onClick={() => setOpen({ enabled: true, action: 'Resolve', conditions: [{ field: 'title', op: 'equals', values: [''] }] })}>Create suppression</Button></div>}
      <div className={css.scroll}>
        {isPending ? <Waiting /> : error ? <Failure error={error} retry={() => void refetch()} /> : data.length === 0 ? <Empty title="Nothing is suppressed">A suppression keeps alerts that are known to be harmless out of the queues.</Empty>
          : <Table<Suppression> label="Suppression rules" columns={columns} rows={data} rowKey={(r) => String(r.id)} onOpen={setOpen} />}
      </div>
      {open && <Form key={open.id ?? 'new'} start={open} writes={writes} close={() => setOpen(undefined)} />}
    </div>
  );
}

const fields = ['title', 'category', 'severity', 'detectionSource', 'rule', 'technique', 'deviceName', 'userName', 'entityType', 'fileName', 'filePath', 'sha1', 'sha256', 'commandLine', 'parentProcessName', 'ipAddress', 'url', 'accountName', 'accountDomain'];
const ops = ['equals', 'startsWith', 'endsWith', 'contains', 'matches'];

function Form({ start, writes, close }: { start: Partial<Suppression>; writes: boolean; close: () => void }) {
  const [d, setDraft] = useState({ name: start.name ?? '', comment: start.comment ?? '', enabled: start.enabled ?? true, action: start.action ?? 'Resolve', conditions: start.conditions ?? [] });
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const cache = useQueryClient();
  const ask = useConfirm();
  const stale = () => cache.invalidateQueries({ queryKey: [path] });
  const condition = (i: number, change: Partial<Condition>) => setDraft({ ...d, conditions: d.conditions.map((c, j) => (i === j ? { ...c, ...change } : c)) });
  const submit = async () => {
    setBusy(true);
    setError('');
    try {
      await (start.id ? patch(`${path}/${start.id}`, d) : post(path, d));
      await stale();
      close();
    } catch (e) {
      setError(e instanceof Error ? e.message : String(e));
      setBusy(false);
    }
  };
  return (
    <SidePanel open title={start.id ? start.name! : 'Create suppression'} close={close}>
      <form className={css.form} onSubmit={(e) => { e.preventDefault(); void submit(); }}>
        <Field label="Name" required><Input value={d.name} onChange={(_, v) => setDraft({ ...d, name: v.value })} /></Field>
        <Field label="Alerts are"><Dropdown value={d.action === 'Hide' ? 'Hidden' : 'Resolved'} selectedOptions={[d.action]} onOptionSelect={(_, v) => setDraft({ ...d, action: v.optionValue! })}><Option value="Resolve">Resolved</Option><Option value="Hide">Hidden</Option></Dropdown></Field>
        {d.conditions.map((c, i) => (
          <div key={i} className={css.pair} style={{ gridTemplateColumns: '1fr 1fr 2fr auto' }}>
            <Dropdown aria-label="Field" value={c.field} selectedOptions={[c.field]} onOptionSelect={(_, v) => condition(i, { field: v.optionValue! })} style={{ minWidth: 0 }}>{[...new Set([c.field, ...fields])].map((f) => <Option key={f} value={f}>{f}</Option>)}</Dropdown>
            <Dropdown aria-label="How" value={c.op} selectedOptions={[c.op]} onOptionSelect={(_, v) => condition(i, { op: v.optionValue! })} style={{ minWidth: 0 }}>{ops.map((f) => <Option key={f} value={f}>{f}</Option>)}</Dropdown>
            <Input aria-label="Value" value={c.values.join(' | ')} onChange={(_, v) => condition(i, { values: v.value.split(' | ') })} />
            <Button type="button" size="small" onClick={() => setDraft({ ...d, conditions: d.conditions.filter((_, j) => j !== i) })} disabled={d.conditions.length < 2}>Remove</Button>
          </div>
        ))}
        <div><Button type="button" size="small" onClick={() => setDraft({ ...d, conditions: [...d.conditions, { field: 'commandLine', op: 'contains', values: [''] }] })}>Add condition</Button></div>
        <Field label="Comment"><Textarea value={d.comment} onChange={(_, v) => setDraft({ ...d, comment: v.value })} /></Field>
        <Switch label={d.enabled ? 'On' : 'Off'} checked={d.enabled} onChange={(_, v) => setDraft({ ...d, enabled: v.checked })} />
        {error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
        {writes && (
          <div className={css.buttons}>
            {start.id && <Button type="button" onClick={() => ask({ title: `Delete “${start.name}”`, action: 'Delete', reason: 'none', run: async () => { await del(`${path}/${start.id}`); await stale(); close(); } })}>Delete</Button>}
            <Button type="submit" appearance="primary" disabled={busy || d.name.trim() === ''}>{start.id ? 'Save' : 'Create'}</Button>
          </div>
        )}
      </form>
    </SidePanel>
  );
}
