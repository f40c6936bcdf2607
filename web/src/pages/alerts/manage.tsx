// Changing alerts: one or many alike.
import { Button, Field, MessageBar, MessageBarBody, Select, Textarea } from '@fluentui/react-components';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { patch, post, segment } from '../../api/client';
import type { Alert } from '../../api/types';
import { useNotify } from '../../app/notices';
import { words } from '../../ui/badges';
import css from './manage.module.css';
import { half, VerdictFields } from './verdict';

interface Change { status?: string; assignedTo?: string; classification?: string; determination?: string; comment?: string }

/** Changes alerts and makes what shows them stale. */
export function useChangeAlerts() {
  const cache = useQueryClient();
  return useMutation({
    mutationFn: async ({ ids, change }: { ids: string[]; change: Change }) => {
      if (ids.length === 1) await patch(`/api/alerts/${segment(ids[0])}`, change);
      else await post('/api/alerts/batchUpdate', { alertIds: ids, ...change });
    },
    onSettled: () => {
      for (const key of ['/api/alerts', '/api/incidents', '/api/vedette/incidents', 'alert', 'incident']) void cache.invalidateQueries({ queryKey: [key] });
    },
  });
}

/** The form that changes alerts; what is left as it is, is not sent. */
export function ManageAlerts({ alerts, done }: { alerts: Alert[]; done?: () => void }) {
  const one = alerts.length === 1 ? alerts[0] : undefined;
  const notify = useNotify();
  const change = useChangeAlerts();
  const before = { status: one?.status ?? '', assignedTo: one?.assignedTo ?? '', classification: one?.classification ?? '', determination: one?.determination ?? '' };
  const [v, setV] = useState({ ...before, comment: '' });
  const set = (part: Partial<typeof v>) => setV((old) => ({ ...old, ...part }));
  const changed: Change = Object.fromEntries(Object.entries(v).filter(([k, value]) => (k === 'comment' ? value.trim() !== '' : value !== before[k as keyof typeof before])));
  const save = () => change.mutate({ ids: alerts.map((a) => a.id), change: changed }, {
    onSuccess: () => {
      notify({ intent: 'success', title: alerts.length === 1 ? 'The alert was changed' : `${alerts.length} alerts were changed`, brief: true });
      set({ comment: '' });
      done?.();
    },
  });
  return (
    <form className={css.form} onSubmit={(e) => { e.preventDefault(); save(); }}>
      <Field label="Status">
        <Select value={v.status} onChange={(_, d) => set({ status: d.value })}>
          {!one && <option value="">As it is</option>}
          {['New', 'InProgress', 'Resolved'].map((s) => <option key={s} value={s}>{words(s)}</option>)}
        </Select>
      </Field>
      <VerdictFields value={v} before={before} set={set} unset={one ? 'Not set' : 'As it is'} />
      <Field label="Comment"><Textarea value={v.comment} onChange={(_, d) => set({ comment: d.value })} maxLength={4000} rows={3} /></Field>
      {change.error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{change.error.message}</MessageBarBody></MessageBar>}
      <div><Button type="submit" appearance="primary" disabled={Object.keys(changed).length === 0 || half(v, before) || change.isPending}>{change.isPending ? 'Saving…' : 'Save'}</Button></div>
    </form>
  );
}
