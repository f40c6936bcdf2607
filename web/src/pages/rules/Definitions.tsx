import { Button, Field, Input, MessageBar, MessageBarBody, Textarea } from '@fluentui/react-components';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { del, get, post, type List } from '../../api/client';
import { Time } from '../../app/time';
import { Badge, Severity, words } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { Table, type Column } from '../../ui/list/Table';
import { SidePanel } from '../../ui/SidePanel';
import { Empty, Failure, Waiting } from '../../ui/states';
import css from './rules.module.css';

interface Definition { Id: number; Name: string; Severity: string; Title: string; UxDescription: string; RecommendedAction: string | null; Category: string; CreatedAt: string | null; CreatedBy: string; Enabled: boolean }
interface Ioc { Id: number; Type: string; Value: string; ExpiresAt: string | null; Enabled: boolean; AlertDefinition?: { Id: number } | null }

const path = '/V1.0/AlertDefinitions';
const iocs = '/V1.0/IndicatorsOfCompromise';

const columns: Column<Definition>[] = [
  { id: 'Name', title: 'Name', value: (r) => r.Name, width: 220, grow: true, sort: true },
  { id: 'Title', title: 'Alert title', value: (r) => r.Title, width: 280, sort: true },
  { id: 'Severity', title: 'Severity', value: (r) => r.Severity, cell: (r) => <Severity value={r.Severity} />, width: 120, sort: true },
  { id: 'Category', title: 'Category', value: (r) => words(r.Category), width: 160, sort: true },
  { id: 'Enabled', title: 'State', value: (r) => (r.Enabled ? 'On' : 'Off'), cell: (r) => <Badge tone={r.Enabled ? 'good' : 'quiet'}>{r.Enabled ? 'On' : 'Off'}</Badge>, width: 80, sort: true },
  { id: 'CreatedAt', title: 'Made', value: (r) => r.CreatedAt, cell: (r) => <Time at={r.CreatedAt} />, width: 180, sort: true },
  { id: 'CreatedBy', title: 'By', value: (r) => r.CreatedBy, width: 160, sort: true },
];

/** Alert definitions of the custom threat-intelligence API, and the indicators that belong to each. */
export function Definitions() {
  const [open, setOpen] = useState<Definition>();
  const [making, setMaking] = useState(false);
  const { data, error, isPending, refetch } = useQuery({ queryKey: [path], queryFn: async () => (await get<List<Definition>>(path, { $top: 1000 })).value });
  return (
    <div className={css.fill}>
      <div style={{ marginBottom: 8 }}><Button size="small" appearance="primary" onClick={() => setMaking(true)}>Create definition</Button></div>
      <div className={css.scroll}>
        {isPending ? <Waiting /> : error ? <Failure error={error} retry={() => void refetch()} />
          : data.length === 0 ? <Empty title="There is no definition">A definition is what an alert says that indicators of the custom threat-intelligence API raise.</Empty>
            : <Table<Definition> label="Definitions" columns={columns} rows={data} rowKey={(r) => String(r.Id)} onOpen={setOpen} />}
      </div>
      <SidePanel open={open !== undefined} title={open?.Name ?? ''} close={() => setOpen(undefined)}>{open && <One of={open} gone={() => setOpen(undefined)} />}</SidePanel>
      {making && <Make close={() => setMaking(false)} />}
    </div>
  );
}

function One({ of: d, gone }: { of: Definition; gone: () => void }) {
  const cache = useQueryClient();
  const ask = useConfirm();
  const [value, setValue] = useState('');
  const [wrong, setWrong] = useState('');
  const { data, error, isPending } = useQuery({ queryKey: [iocs, d.Id], queryFn: async () => (await get<List<Ioc>>(iocs, { $filter: `AlertDefinition/Id eq ${d.Id}`, $top: 500 })).value });
  const type = /^\d+\.\d+\.\d+\.\d+$|:/.test(value.trim()) ? 'IpAddress' : /^[0-9a-f]{40}$/i.test(value.trim()) ? 'Sha1' : /^[0-9a-f]{64}$/i.test(value.trim()) ? 'Sha256' : 'DomainName';
  const add = async () => {
    setWrong('');
    try {
      await post(iocs, { Type: type, Value: value.trim(), DetectionFunction: 'Equals', Enabled: true, 'AlertDefinition@odata.bind': `AlertDefinitions(${d.Id})` });
      setValue('');
      await cache.invalidateQueries({ queryKey: [iocs] });
    } catch (e) { setWrong(e instanceof Error ? e.message : String(e)); }
  };
  return (
    <>
      <p className="wrap">{d.UxDescription}</p>
      <h3>Indicators</h3>
      <form style={{ display: 'flex', gap: 8, marginBottom: 8 }} onSubmit={(e) => { e.preventDefault(); void add(); }}><Input style={{ flex: 1 }} aria-label="Address, domain or hash" placeholder="Address, domain or hash" value={value} onChange={(_, v) => setValue(v.value)} /><Button type="submit" disabled={value.trim() === ''}>Add</Button></form>
      {wrong && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{wrong}</MessageBarBody></MessageBar>}
      {isPending ? <Waiting /> : error ? <Failure error={error} /> : data.length === 0 ? <p className="quiet">None yet.</p> : data.map((i) => <div key={i.Id} className={css.case}><span className="quiet">{words(i.Type)}</span><span className="wrap" style={{ flex: 1 }}>{i.Value}</span><Button size="small" appearance="subtle" onClick={() => ask({ title: 'Delete the indicator', action: 'Delete', reason: 'none', run: async () => { await del(`${iocs}(${i.Id})`); await cache.invalidateQueries({ queryKey: [iocs] }); } })}>Delete</Button></div>)}
      <div className={css.buttons}><Button onClick={() => ask({ title: `Delete “${d.Name}”`, action: 'Delete definition', reason: 'none', body: 'Its indicators raise no alert any more.', run: async () => { await del(`${path}(${d.Id})`); await cache.invalidateQueries({ queryKey: [path] }); gone(); } })}>Delete definition</Button></div>
    </>
  );
}

function Make({ close }: { close: () => void }) {
  const [d, setDraft] = useState({ Name: '', Title: '', UxDescription: '', RecommendedAction: '' });
  const [wrong, setWrong] = useState('');
  const cache = useQueryClient();
  const submit = async () => {
    setWrong('');
    try {
      await post(path, { ...d, Severity: 'Medium', Category: 'SuspiciousActivity', InternalDescription: d.UxDescription, Enabled: true });
      await cache.invalidateQueries({ queryKey: [path] });
      close();
    } catch (e) { setWrong(e instanceof Error ? e.message : String(e)); }
  };
  return (
    <SidePanel open title="Create definition" close={close}>
      <form className={css.form} onSubmit={(e) => { e.preventDefault(); void submit(); }}>
        <Field label="Name" required><Input value={d.Name} onChange={(_, v) => setDraft({ ...d, Name: v.value })} /></Field>
        <Field label="Alert title" required><Input value={d.Title} onChange={(_, v) => setDraft({ ...d, Title: v.value })} /></Field>
        <Field label="Description" required><Textarea value={d.UxDescription} onChange={(_, v) => setDraft({ ...d, UxDescription: v.value })} /></Field>
        <Field label="Recommended action"><Textarea value={d.RecommendedAction} onChange={(_, v) => setDraft({ ...d, RecommendedAction: v.value })} /></Field>
        {wrong && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{wrong}</MessageBarBody></MessageBar>}
        <div className={css.buttons}><Button type="submit" appearance="primary" disabled={!d.Name || !d.Title || !d.UxDescription}>Create</Button></div>
      </form>
    </SidePanel>
  );
}
