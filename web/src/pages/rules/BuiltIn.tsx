import { Button, MessageBar, MessageBarBody, Switch } from '@fluentui/react-components';
import { ArrowUploadRegular } from '@fluentui/react-icons/svg/arrow-upload';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo, useRef, useState } from 'react';
import { del, get, post, segment, type List } from '../../api/client';
import { useMay } from '../../api/session';
import { useNotify } from '../../app/notices';
import { Badge, Severity, words } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { Table, type Column } from '../../ui/list/Table';
import { Facts } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';
import { Failure, Waiting } from '../../ui/states';
import { useAddress } from '../../ui/url';
import { Backtest } from './Backtest';
import { Techniques } from '../../ui/techniques';
import css from './rules.module.css';

interface RuleFile { id: string; name: string; title: string; description: string; severity: string; category: string; mitreTechniques: string[]; origin: string; isEnabled: boolean; problem: string; tests: { case: string; alerts: number; why?: string }[] }

const path = '/api/vedette/detections';

const columns: Column<RuleFile>[] = [
  { id: 'title', title: 'Title', value: (r) => inWords(r.title), width: 380, grow: true, sort: true },
  { id: 'state', title: 'State', value: (r) => (r.problem ? 'Broken' : r.isEnabled ? 'On' : 'Off'), cell: (r) => <Badge tone={r.problem ? 'bad' : r.isEnabled ? 'good' : 'quiet'}>{r.problem ? 'Broken' : r.isEnabled ? 'On' : 'Off'}</Badge>, width: 90, sort: true },
  { id: 'severity', title: 'Severity', value: (r) => r.severity, cell: (r) => <Severity value={r.severity} />, width: 120, sort: true },
  { id: 'category', title: 'Category', value: (r) => words(r.category), width: 170, sort: true },
  { id: 'techniques', title: 'Techniques', value: (r) => r.mitreTechniques.join(', '), width: 200, sort: true },
  { id: 'tests', title: 'Tests', value: (r) => r.tests.length, cell: (r) => <Tests of={r} />, width: 110, sort: true },
  { id: 'origin', title: 'Origin', value: (r) => words(r.origin), width: 110, sort: true },
  { id: 'name', title: 'Name', value: (r) => r.name, width: 220, sort: true },
];

// What the title of a rule leaves open until it raises an alert.
const left: Record<string, string> = { FileName: 'file', FolderPath: 'path', InitiatingProcessFileName: 'process', AccountName: 'user', RemoteIP: 'address', RemoteUrl: 'host', ProcessCommandLine: 'command' };
const inWords = (title: string): string => title.replace(/\{\{(\w+)\}\}/g, (_, name: string) => `[${left[name] ?? words(name).toLowerCase()}]`);

const failed = (r: RuleFile) => r.tests.filter((t) => t.why).length;

function Tests({ of: r }: { of: RuleFile }) {
  if (r.tests.length === 0) return <span className="quiet">None</span>;
  return failed(r) > 0 ? <Badge tone="bad">{failed(r)} failed</Badge> : <Badge tone="good">{r.tests.length} pass</Badge>;
}

/** Rule files: those that ship with the server, of its directory, and imported ones. */
export function BuiltIn() {
  const may = useMay();
  const writes = may('CustomDetection.ReadWrite.All');
  const [address, set] = useAddress();
  const { data, error, isPending, refetch } = useQuery({ queryKey: [path], queryFn: async () => (await get<List<RuleFile>>(path)).value });
  const input = useRef<HTMLInputElement>(null);
  const [wrong, setWrong] = useState('');
  const notify = useNotify();
  const cache = useQueryClient();
  const open = useMemo(() => data?.find((r) => r.id === address.open), [data, address.open]);
  const take = async (files: FileList) => {
    setWrong('');
    try {
      const all = [...files];
      const test = all.find((f) => /\.test\.ya?ml$/.test(f.name));
      const rule = all.find((f) => f !== test);
      if (!rule) throw new Error('Choose the rule file, and its .test.yaml beside it.');
      const made = await post<RuleFile>(path, { rule: await rule.text(), test: test ? await test.text() : '' });
      await cache.invalidateQueries({ queryKey: [path] });
      notify({ intent: made.problem ? 'warning' : 'success', title: `The rule ${made.name} was imported`, text: made.problem });
    } catch (e) {
      setWrong(e instanceof Error ? e.message : String(e));
    }
    if (input.current) input.current.value = '';
  };
  return (
    <div className={css.fill}>
      {writes && (
        <div style={{ marginBottom: 8 }}>
          <Button size="small" icon={<ArrowUploadRegular />} onClick={() => input.current?.click()}>Import rule and test</Button>
          <input ref={input} type="file" multiple hidden accept=".yaml,.yml" aria-label="Rule file and test" onChange={(e) => { if (e.target.files) void take(e.target.files); }} />
        </div>
      )}
      {wrong && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody className="wrap">{wrong}</MessageBarBody></MessageBar>}
      <div className={css.scroll}>
        {isPending ? <Waiting /> : error ? <Failure error={error} retry={() => void refetch()} />
          : <Table<RuleFile> label="Built-in rules" columns={columns} rows={data} rowKey={(r) => r.id} onOpen={(r) => set({ open: r.id })} openKey={address.open} />}
      </div>
      <SidePanel open={open !== undefined} size="large" title={open?.name ?? 'Rule'} close={() => set({ open: undefined })}>
        {open && <One rule={open} writes={writes} gone={() => set({ open: undefined })} />}
      </SidePanel>
    </div>
  );
}

function One({ rule: r, writes, gone }: { rule: RuleFile; writes: boolean; gone: () => void }) {
  const cache = useQueryClient();
  const notify = useNotify();
  const ask = useConfirm();
  const stale = () => cache.invalidateQueries({ queryKey: [path] });
  const turn = (on: boolean) => post(`${path}/${segment(r.id)}/${on ? 'enable' : 'disable'}`).then(stale, (e: Error) => notify({ intent: 'error', title: 'The rule could not be changed', text: e.message }));
  return (
    <>
      <div style={{ display: 'flex', gap: 8, alignItems: 'center', marginBottom: 12 }}>
        {writes && <Switch label={r.isEnabled ? 'On' : 'Off'} checked={r.isEnabled} onChange={(_, d) => void turn(d.checked)} />}
        {writes && r.origin === 'imported' && <Button size="small" onClick={() => ask({ title: `Delete the rule ${r.name}`, action: 'Delete rule', reason: 'none', run: async () => { await del(`${path}/${segment(r.id)}`); gone(); await stale(); } })}>Delete</Button>}
      </div>
      {r.problem && <MessageBar intent="error" layout="multiline"><MessageBarBody className="wrap">{r.problem}</MessageBarBody></MessageBar>}
      <Facts wide of={[['Title', inWords(r.title)], ['Severity', <Severity key="s" value={r.severity} />], ['Category', words(r.category)], ['Techniques', <Techniques key="t" of={r.mitreTechniques} />], ['Origin', words(r.origin)]]} />
      <p className="wrap">{r.description}</p>
      <h3>Tests</h3>
      {r.tests.length === 0 ? <p className="quiet">The rule has no tests.</p> : r.tests.map((t) => <div key={t.case} className={css.case}><Badge tone={t.why ? 'bad' : 'good'}>{t.why ? 'Failed' : 'Passes'}</Badge><span>{t.case}{t.why && `: ${t.why}`}</span></div>)}
      <Backtest request={{ ruleId: r.id }} />
    </>
  );
}
