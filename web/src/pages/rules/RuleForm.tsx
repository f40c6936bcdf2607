import { Button, Checkbox, Combobox, Dropdown, Field, Input, MessageBar, MessageBarBody, Option, Switch, Textarea } from '@fluentui/react-components';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState, type ReactNode } from 'react';
import { get, type List } from '../../api/client';
import { useMay } from '../../api/session';
import { useNotify } from '../../app/notices';
import type { DeviceGroup } from '../../api/types';
import { words } from '../../ui/badges';
import { SidePanel } from '../../ui/SidePanel';
import { check } from '../hunting/api';
import { categories, path, periods, save, type Draft } from './api';
import css from './rules.module.css';

const steps = ['Alert details', 'Impacted entities', 'Actions', 'Scope', 'Summary'] as const;

/** Makes a custom detection rule, or changes one: step by step, as it is asked for everywhere. */
export function RuleForm({ start, id, close }: { start: Draft; id?: string; close: () => void }) {
  const [d, setDraft] = useState(start);
  const [step, setStep] = useState(0);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const notify = useNotify();
  const cache = useQueryClient();
  const may = useMay();
  const set = (change: Partial<Draft>) => setDraft((old) => ({ ...old, ...change }));
  const checked = useQuery({ queryKey: ['hunting', 'check', d.query], enabled: d.query.trim() !== '', queryFn: ({ signal }) => check(d.query, signal), staleTime: 60_000 });
  const groups = useQuery({ queryKey: ['/api/vedette/devicegroups'], enabled: may('Machine.Read.All', 'Vedette.Admin.All'), retry: false, queryFn: async () => (await get<List<DeviceGroup>>('/api/vedette/devicegroups')).value });
  const names = useMemo(() => checked.data?.columns.map((c) => c.Name) ?? [], [checked.data]);
  const lacks = useMemo(() => ['Timestamp', 'ReportId', 'DeviceId'].filter((n) => checked.data && checked.data.problems.length === 0 && !names.includes(n)), [checked.data, names]);
  const wrong = checked.data?.problems ?? [];
  const ready = d.name.trim() !== '' && d.query.trim() !== '' && wrong.length === 0 && lacks.length === 0;

  const submit = async () => {
    setBusy(true);
    setError('');
    try {
      await save(d, id);
      await cache.invalidateQueries({ queryKey: [path] });
      notify({ intent: 'success', title: id ? 'The rule was changed' : 'The rule was made', text: `${d.name}: ${periods[d.period].toLowerCase()}`, to: '/rules' });
      close();
    } catch (e) {
      setError(e instanceof Error ? e.message : String(e));
      setBusy(false);
    }
  };
  const camel = (n: string) => n.charAt(0).toLowerCase() + n.slice(1);
  const users = names.filter((n) => /Account(Name|Sid|Upn|ObjectId)$/.test(n));
  const parts: ReactNode[] = [
    <>
      <Field label="Detection name" required><Input value={d.name} maxLength={256} onChange={(_, v) => set({ name: v.value })} /></Field>
      <Field label="Frequency" hint={d.period === '0' ? 'Looked for in every event as it arrives. One table, and no joins or aggregates.' : 'The first run looks back 30 days.'}>
        <Dropdown value={periods[d.period]} selectedOptions={[d.period]} onOptionSelect={(_, v) => set({ period: v.optionValue! })}>{Object.entries(periods).map(([k, v]) => <Option key={k} value={k}>{v}</Option>)}</Dropdown>
      </Field>
      <Field label="Alert title" hint="The detection's name when it is empty"><Input value={d.title} maxLength={256} onChange={(_, v) => set({ title: v.value })} /></Field>
      <div className={css.pair}>
        <Field label="Severity"><Dropdown value={words(d.severity)} selectedOptions={[d.severity]} onOptionSelect={(_, v) => set({ severity: v.optionValue! })}>{['informational', 'low', 'medium', 'high'].map((s) => <Option key={s} value={s}>{words(s)}</Option>)}</Dropdown></Field>
        <Field label="Category"><Dropdown value={words(d.category)} selectedOptions={[d.category]} onOptionSelect={(_, v) => set({ category: v.optionValue! })}>{categories.map((s) => <Option key={s} value={s}>{words(s)}</Option>)}</Dropdown></Field>
      </div>
      <Field label="MITRE ATT&CK techniques" hint="Ids with commas between, such as T1059.004"><Input value={d.techniques} onChange={(_, v) => set({ techniques: v.value })} /></Field>
      <Field label="Description"><Textarea value={d.description} rows={3} onChange={(_, v) => set({ description: v.value })} /></Field>
      <Field label="Recommended actions"><Textarea value={d.recommended} rows={2} onChange={(_, v) => set({ recommended: v.value })} /></Field>
      <Field label="Query" required validationState={wrong.length > 0 || lacks.length > 0 ? 'error' : 'none'} validationMessage={wrong[0]?.message ?? (lacks.length > 0 ? `The query must return ${lacks.join(', ')}.` : undefined)}>
        <Textarea value={d.query} rows={8} className="mono" onChange={(_, v) => set({ query: v.value })} />
      </Field>
    </>,
    <>
      <p className="quiet">What an alert is about: the column of the query that names it.</p>
      <Field label="Device"><Dropdown value={d.device} selectedOptions={[d.device]} onOptionSelect={(_, v) => set({ device: v.optionValue ?? '' })}>{['deviceId', ...(names.includes('DeviceName') ? ['deviceName'] : [])].map((n) => <Option key={n} value={n}>{n}</Option>)}</Dropdown></Field>
      <Field label="User" hint={users.length === 0 ? 'The query returns no column of an account.' : undefined}><Dropdown value={d.user || 'None'} selectedOptions={[d.user]} onOptionSelect={(_, v) => set({ user: v.optionValue ?? '' })}><Option value="">None</Option>{users.map((n) => <Option key={n} value={camel(n)}>{n}</Option>)}</Dropdown></Field>
    </>,
    <>
      <p className="quiet">Done by itself on the device of each alert, as whoever made the rule.</p>
      <Checkbox label="Isolate the device" checked={d.isolate} onChange={(_, v) => set({ isolate: !!v.checked })} />
      <Checkbox label="Collect an investigation package" checked={d.collect} onChange={(_, v) => set({ collect: !!v.checked })} />
      <Checkbox label="Run an antivirus scan" checked={d.scan} onChange={(_, v) => set({ scan: !!v.checked })} />
      <Checkbox label="Initiate an investigation" checked={d.investigate} onChange={(_, v) => set({ investigate: !!v.checked })} />
      <Checkbox label="Restrict app execution" checked={d.restrict} onChange={(_, v) => set({ restrict: !!v.checked })} />
    </>,
    <>
      <Field label="Device groups" hint="All devices when none is chosen">
        <Combobox multiselect placeholder="All devices" value={undefined} selectedOptions={d.groups} onOptionSelect={(_, v) => set({ groups: v.selectedOptions })} disabled={!groups.data}>
          {(groups.data ?? []).map((g) => <Option key={g.rbacGroupId} value={g.rbacGroupName}>{g.rbacGroupName}</Option>)}
        </Combobox>
      </Field>
      {d.groups.length > 0 && <p>{d.groups.join(', ')}</p>}
      <Switch label={d.enabled ? 'The rule is on' : 'The rule is off'} checked={d.enabled} onChange={(_, v) => set({ enabled: v.checked })} />
    </>,
    <dl className={css.summary}>
      <dt>Name</dt><dd>{d.name || '—'}</dd><dt>Frequency</dt><dd>{periods[d.period]}</dd><dt>Alert</dt><dd>{d.title || d.name} · {words(d.severity)} · {words(d.category)}</dd>
      <dt>Entities</dt><dd>{[d.device, d.user].filter(Boolean).join(', ')}</dd>
      <dt>Actions</dt><dd>{(['isolate', 'collect', 'scan', 'investigate', 'restrict'] as const).filter((k) => d[k]).map(words).join(', ') || 'None'}</dd>
      <dt>Scope</dt><dd>{d.groups.join(', ') || 'All devices'}</dd><dt>Query</dt><dd><pre className={css.text}>{d.query}</pre></dd>
    </dl>,
  ];
  return (
    <SidePanel open size="large" title={id ? 'Edit detection rule' : 'Create detection rule'} close={close}>
      <ol className={css.steps} aria-label="Steps">
        {steps.map((s, i) => <li key={s}><button type="button" className={i === step ? css.stepOn : css.step} aria-current={i === step ? 'step' : undefined} onClick={() => setStep(i)}>{i + 1}. {s}</button></li>)}
      </ol>
      <div className={css.form}>{parts[step]}</div>
      {error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
      <div className={css.buttons}>
        <Button disabled={step === 0} onClick={() => setStep(step - 1)}>Back</Button>
        {step < steps.length - 1 && <Button onClick={() => setStep(step + 1)}>Next</Button>}
        <Button appearance="primary" disabled={!ready || busy} onClick={() => void submit()}>{busy ? 'One moment…' : id ? 'Save' : 'Create'}</Button>
      </div>
    </SidePanel>
  );
}
