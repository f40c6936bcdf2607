import { Button, Field, Input, MessageBar, MessageBarBody, Select, Textarea } from '@fluentui/react-components';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { patch } from '../../api/client';
import { useUser } from '../../api/session';
import { severities, type Incident } from '../../api/types';
import { useNotify } from '../../app/notices';
import { words } from '../../ui/badges';
import { determinations } from '../alerts/manage';
import css from '../alerts/manage.module.css';

/** The form that changes an incident. What is resolved or assigned goes for its alerts as well: the server sees to it. */
export function ManageIncident({ incident: i, done }: { incident: Incident; done?: () => void }) {
  const user = useUser();
  const notify = useNotify();
  const cache = useQueryClient();
  const none = (s: string) => (s === 'Unknown' || s === 'NotSet' || s === 'NotAvailable' ? '' : s);
  const before = {
    name: i.incidentName, severity: i.severity, status: i.status, assignedTo: i.assignedTo ?? '',
    classification: none(i.classification), determination: none(i.determination), tags: i.tags.join(', '),
  };
  const [v, setV] = useState({ ...before, comment: '' });
  const set = (part: Partial<typeof v>) => setV((old) => ({ ...old, ...part }));
  const differs = (k: keyof typeof before) => v[k] !== before[k];
  const change = useMutation({
    mutationFn: async () => {
      const own: Record<string, unknown> = {};
      if (differs('name')) own.incidentName = v.name.trim();
      if (differs('severity')) own.severity = v.severity;
      if (Object.keys(own).length > 0) await patch(`/api/vedette/incidents/${i.incidentId}`, own);
      const published: Record<string, unknown> = {};
      for (const k of ['status', 'assignedTo', 'classification', 'determination'] as const) if (differs(k)) published[k] = v[k];
      if (published.classification && !published.determination) published.determination = v.determination;
      if (differs('tags')) published.tags = v.tags.split(',').map((t) => t.trim()).filter(Boolean);
      if (v.comment.trim()) published.comment = v.comment.trim();
      if (Object.keys(published).length > 0) await patch(`/api/incidents/${i.incidentId}`, published);
    },
    onSuccess: () => { notify({ intent: 'success', title: 'The incident was changed', brief: true }); done?.(); },
    onSettled: () => { for (const key of ['/api/incidents', '/api/alerts', 'incident', 'alert']) void cache.invalidateQueries({ queryKey: [key] }); },
  });
  const half = differs('classification') && v.classification !== '' && v.determination === '';
  const same = !v.comment.trim() && (Object.keys(before) as (keyof typeof before)[]).every((k) => !differs(k));
  return (
    <form className={css.form} onSubmit={(e) => { e.preventDefault(); change.mutate(); }}>
      <Field label="Name" required><Input value={v.name} maxLength={256} onChange={(_, d) => set({ name: d.value })} /></Field>
      <Field label="Severity">
        <Select value={v.severity} onChange={(_, d) => set({ severity: d.value })}>{severities.map((s) => <option key={s}>{s}</option>)}</Select>
      </Field>
      <Field label="Status">
        <Select value={v.status} onChange={(_, d) => set({ status: d.value })}>{['Active', 'InProgress', 'Resolved'].map((s) => <option key={s} value={s}>{words(s)}</option>)}</Select>
      </Field>
      <Field label="Assigned to">
        <div className={css.row}>
          <Input value={v.assignedTo} maxLength={256} onChange={(_, d) => set({ assignedTo: d.value })} className={css.grow} />
          <Button type="button" onClick={() => set({ assignedTo: user.login })}>To me</Button>
        </div>
      </Field>
      <Field label="Classification">
        <Select value={v.classification} onChange={(_, d) => set({ classification: d.value, determination: '' })}>
          <option value="" disabled={before.classification !== ''}>Not set</option>
          {Object.keys(determinations).map((c) => <option key={c} value={c}>{words(c)}</option>)}
        </Select>
      </Field>
      {v.classification && (
        <Field label="Determination" required={half}>
          <Select value={v.determination} onChange={(_, d) => set({ determination: d.value })}>
            <option value="" disabled>Choose one</option>
            {determinations[v.classification]?.map((d) => <option key={d} value={d}>{words(d)}</option>)}
          </Select>
        </Field>
      )}
      <Field label="Tags" hint="Separated by commas"><Input value={v.tags} onChange={(_, d) => set({ tags: d.value })} maxLength={1000} /></Field>
      <Field label="Comment"><Textarea value={v.comment} onChange={(_, d) => set({ comment: d.value })} maxLength={4000} rows={3} /></Field>
      {change.error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{change.error.message}</MessageBarBody></MessageBar>}
      <div><Button type="submit" appearance="primary" disabled={same || half || !v.name.trim() || change.isPending}>{change.isPending ? 'Saving…' : 'Save'}</Button></div>
    </form>
  );
}

/** The form that changes several incidents alike; what is left as it is, is not sent. */
export function ManageIncidents({ incidents, done }: { incidents: Incident[]; done: () => void }) {
  const user = useUser();
  const notify = useNotify();
  const cache = useQueryClient();
  const [v, setV] = useState({ status: '', assignedTo: '', classification: '', determination: '', comment: '' });
  const set = (part: Partial<typeof v>) => setV((old) => ({ ...old, ...part }));
  const changed = Object.fromEntries(Object.entries(v).map(([k, x]) => [k, x.trim()]).filter(([, x]) => x !== ''));
  const change = useMutation({
    mutationFn: async () => {
      const failed: string[] = [];
      for (const i of incidents) await patch(`/api/incidents/${i.incidentId}`, changed).catch((e: unknown) => failed.push(`${i.incidentId}: ${e instanceof Error ? e.message : String(e)}`));
      if (failed.length > 0) throw new Error(`${incidents.length - failed.length} of ${incidents.length} were changed. ${failed.slice(0, 5).join(' ')}`);
    },
    onSuccess: () => { notify({ intent: 'success', title: `${incidents.length} incidents were changed`, brief: true }); done(); },
    onSettled: () => { for (const key of ['/api/incidents', '/api/alerts', 'incident', 'alert']) void cache.invalidateQueries({ queryKey: [key] }); },
  });
  return (
    <form className={css.form} onSubmit={(e) => { e.preventDefault(); change.mutate(); }}>
      <Field label="Status">
        <Select value={v.status} onChange={(_, d) => set({ status: d.value })}><option value="">As it is</option>{['Active', 'InProgress', 'Resolved'].map((s) => <option key={s} value={s}>{words(s)}</option>)}</Select>
      </Field>
      <Field label="Assigned to">
        <div className={css.row}>
          <Input value={v.assignedTo} placeholder="As it is" maxLength={256} onChange={(_, d) => set({ assignedTo: d.value })} className={css.grow} />
          <Button type="button" onClick={() => set({ assignedTo: user.login })}>To me</Button>
        </div>
      </Field>
      <Field label="Classification">
        <Select value={v.classification} onChange={(_, d) => set({ classification: d.value, determination: '' })}><option value="">As it is</option>{Object.keys(determinations).map((c) => <option key={c} value={c}>{words(c)}</option>)}</Select>
      </Field>
      {v.classification && (
        <Field label="Determination" required>
          <Select value={v.determination} onChange={(_, d) => set({ determination: d.value })}><option value="" disabled>Choose one</option>{determinations[v.classification]?.map((d) => <option key={d} value={d}>{words(d)}</option>)}</Select>
        </Field>
      )}
      <Field label="Comment"><Textarea value={v.comment} onChange={(_, d) => set({ comment: d.value })} maxLength={4000} rows={3} /></Field>
      {change.error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{change.error.message}</MessageBarBody></MessageBar>}
      <div><Button type="submit" appearance="primary" disabled={Object.keys(changed).length === 0 || (v.classification !== '' && v.determination === '') || change.isPending}>{change.isPending ? 'Saving…' : 'Save'}</Button></div>
    </form>
  );
}
