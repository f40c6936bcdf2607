import { Button, Field, Input, MessageBar, MessageBarBody, Select, Textarea } from '@fluentui/react-components';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { patch } from '../../api/client';
import { severities, type IncidentHead } from '../../api/types';
import { useNotify } from '../../app/notices';
import { words } from '../../ui/badges';
import css from '../alerts/manage.module.css';
import { half, VerdictFields } from '../alerts/verdict';

/** The form that changes an incident. What is resolved or assigned goes for its alerts as well: the server sees to it. */
export function ManageIncident({ incident: i, done }: { incident: IncidentHead; done?: () => void }) {
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
    onSettled: () => { for (const key of ['/api/incidents', '/api/vedette/incidents', '/api/alerts', 'incident', 'alert']) void cache.invalidateQueries({ queryKey: [key] }); },
  });
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
      <VerdictFields value={v} before={before} set={set} />
      <Field label="Tags" hint="Separated by commas"><Input value={v.tags} onChange={(_, d) => set({ tags: d.value })} maxLength={1000} /></Field>
      <Field label="Comment"><Textarea value={v.comment} onChange={(_, d) => set({ comment: d.value })} maxLength={4000} rows={3} /></Field>
      {change.error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{change.error.message}</MessageBarBody></MessageBar>}
      <div><Button type="submit" appearance="primary" disabled={same || half(v, before) || !v.name.trim() || change.isPending}>{change.isPending ? 'Saving…' : 'Save'}</Button></div>
    </form>
  );
}

const unchanged = { status: '', assignedTo: '', classification: '', determination: '', comment: '' };

/** The form that changes several incidents alike; what is left as it is, is not sent. */
export function ManageIncidents({ incidents, done }: { incidents: IncidentHead[]; done: () => void }) {
  const notify = useNotify();
  const cache = useQueryClient();
  const [v, setV] = useState(unchanged);
  const set = (part: Partial<typeof v>) => setV((old) => ({ ...old, ...part }));
  const changed = Object.fromEntries(Object.entries(v).map(([k, x]) => [k, x.trim()]).filter(([, x]) => x !== ''));
  const change = useMutation({
    mutationFn: async () => {
      const failed: string[] = [];
      for (const i of incidents) await patch(`/api/incidents/${i.incidentId}`, changed).catch((e: unknown) => failed.push(`${i.incidentId}: ${e instanceof Error ? e.message : String(e)}`));
      if (failed.length > 0) throw new Error(`${incidents.length - failed.length} of ${incidents.length} were changed. ${failed.slice(0, 5).join(' ')}`);
    },
    onSuccess: () => { notify({ intent: 'success', title: `${incidents.length} incidents were changed`, brief: true }); done(); },
    onSettled: () => { for (const key of ['/api/incidents', '/api/vedette/incidents', '/api/alerts', 'incident', 'alert']) void cache.invalidateQueries({ queryKey: [key] }); },
  });
  return (
    <form className={css.form} onSubmit={(e) => { e.preventDefault(); change.mutate(); }}>
      <Field label="Status">
        <Select value={v.status} onChange={(_, d) => set({ status: d.value })}><option value="">As it is</option>{['Active', 'InProgress', 'Resolved'].map((s) => <option key={s} value={s}>{words(s)}</option>)}</Select>
      </Field>
      <VerdictFields value={v} before={unchanged} set={set} unset="As it is" />
      <Field label="Comment"><Textarea value={v.comment} onChange={(_, d) => set({ comment: d.value })} maxLength={4000} rows={3} /></Field>
      {change.error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{change.error.message}</MessageBarBody></MessageBar>}
      <div><Button type="submit" appearance="primary" disabled={Object.keys(changed).length === 0 || half(v, unchanged) || change.isPending}>{change.isPending ? 'Saving…' : 'Save'}</Button></div>
    </form>
  );
}
