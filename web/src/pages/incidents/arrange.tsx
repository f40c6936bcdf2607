// Putting alerts into other incidents: one incident into another, or some alerts into another or a new one.
import { Button, Combobox, Field, MessageBar, MessageBarBody, Option, Radio, RadioGroup } from '@fluentui/react-components';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useDeferredValue, useState } from 'react';
import { get, post, segment, type List } from '../../api/client';
import type { IncidentHead, QueuedIncident } from '../../api/types';
import { at, useGo } from '../../app/links';
import { useNotify } from '../../app/notices';
import { words } from '../../ui/badges';
import { containing } from '../../ui/list/filters';
import { SidePanel } from '../../ui/SidePanel';
import css from '../alerts/manage.module.css';

const label = (i: IncidentHead) => `${i.incidentId}: ${i.incidentName}`;

/** Chooses one incident by its name or number; those of `not` are left out. */
function Choose({ title, chosen, choose, not }: { title: string; chosen: QueuedIncident | undefined; choose: (i: QueuedIncident | undefined) => void; not: number[] }) {
  const [text, setText] = useState('');
  const asked = useDeferredValue(text.trim());
  const found = useQuery({
    queryKey: ['/api/vedette/incidents', 'choose', asked], placeholderData: (old) => old,
    queryFn: () => get<List<QueuedIncident>>('/api/vedette/incidents', {
      $filter: ["status ne 'Redirected'", asked && `(${containing('incidentName')([asked])}${/^\d{1,15}$/.test(asked) ? ` or incidentId eq ${asked}` : ''})`].filter(Boolean).join(' and '), $orderby: 'lastUpdateTime desc', $top: 20,
    }),
  });
  const offered = (found.data?.value ?? []).filter((i) => !not.includes(i.incidentId));
  return (
    <Field label={title} required hint="By its name or number" validationState={found.error ? 'error' : 'none'} validationMessage={found.error?.message}>
      <Combobox value={chosen ? label(chosen) : text} selectedOptions={chosen ? [String(chosen.incidentId)] : []} placeholder="Search incidents"
        onChange={(e) => { choose(undefined); setText(e.target.value); }} onOptionSelect={(_, d) => choose(offered.find((i) => String(i.incidentId) === d.optionValue))}>
        {offered.map((i) => (
          <Option key={i.incidentId} value={String(i.incidentId)} text={label(i)}>
            <span>{label(i)}<span className="quiet"> · {words(i.severity)} · {words(i.status)} · {i.alertCount} {i.alertCount === 1 ? 'alert' : 'alerts'}</span></span>
          </Option>
        ))}
        {offered.length === 0 && !found.isPending && <Option disabled value="" text="">No incident fits</Option>}
      </Combobox>
    </Field>
  );
}

type Placed = Pick<IncidentHead, 'incidentId' | 'incidentName'>;

/** Does it, tells of it, and makes what shows incidents and alerts stale. */
function useArrange<T>(run: (v: T) => Promise<Placed>, told: (i: Placed) => string, done: (i: Placed) => void) {
  const cache = useQueryClient();
  const notify = useNotify();
  return useMutation({
    mutationFn: run,
    onSuccess: (i) => { notify({ intent: 'success', title: told(i), text: i.incidentName, to: at.incident(i.incidentId), brief: true }); done(i); },
    onSettled: () => { for (const key of ['/api/incidents', '/api/vedette/incidents', '/api/alerts', 'incident', 'alert']) void cache.invalidateQueries({ queryKey: [key] }); },
  });
}

const failure = (error: Error | null) => error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error.message}</MessageBarBody></MessageBar>;

/** Merges incidents into one of them, or one into another that is chosen. */
export function MergeIncidents({ incidents, close }: { incidents: (IncidentHead & { alertCount: number })[]; close: () => void }) {
  const go = useGo();
  const several = incidents.length > 1;
  const [into, setInto] = useState<IncidentHead | undefined>(several ? [...incidents].sort((a, b) => b.alertCount - a.alertCount)[0] : undefined);
  const merge = useArrange<IncidentHead>(async (target) => {
    let last: Placed = target;
    for (const i of incidents) if (i.incidentId !== target.incidentId) last = await post<Placed>(`/api/vedette/incidents/${segment(i.incidentId)}/merge`, { into: target.incidentId });
    return last;
  }, () => (several ? 'The incidents were merged' : 'The incident was merged'), (i) => { close(); go(at.incident(i.incidentId)); });
  return (
    <SidePanel open title={several ? `Merge ${incidents.length} incidents` : `Merge incident ${incidents[0].incidentId}`} close={close}>
      <form className={css.form} onSubmit={(e) => { e.preventDefault(); if (into) merge.mutate(into); }}>
        <p>All alerts go into one incident. The {several ? 'others keep their numbers, which lead' : 'number of this one stays, and leads'} there. This cannot be undone; alerts can be moved out again.</p>
        {several ? (
          <Field label="The incident that stays" required>
            <RadioGroup value={into ? String(into.incidentId) : ''} onChange={(_, d) => setInto(incidents.find((i) => String(i.incidentId) === d.value))}>
              {incidents.map((i) => <Radio key={i.incidentId} value={String(i.incidentId)} label={<>{label(i)}<div className="quiet">{words(i.severity)} · {words(i.status)} · {i.alertCount} {i.alertCount === 1 ? 'alert' : 'alerts'}</div></>} />)}
            </RadioGroup>
          </Field>
        ) : <Choose title="Into the incident" chosen={into as QueuedIncident | undefined} choose={setInto} not={[incidents[0].incidentId]} />}
        {failure(merge.error)}
        <div><Button type="submit" appearance="primary" disabled={!into || merge.isPending}>{merge.isPending ? 'Merging…' : 'Merge'}</Button></div>
      </form>
    </SidePanel>
  );
}

/** Moves alerts to another incident, or to one that is made of them. */
export function MoveAlerts({ ids, from, close }: { ids: string[]; from: number[]; close: () => void }) {
  const go = useGo();
  const [where, setWhere] = useState<'other' | 'new'>('other');
  const [to, setTo] = useState<QueuedIncident>();
  const move = useArrange<void>(() => post<Placed>('/api/vedette/incidents/move', { alertIds: ids, ...(where === 'other' ? { incidentId: to!.incidentId } : {}) }),
    (i) => `${ids.length === 1 ? 'The alert is' : `${ids.length} alerts are`} in incident ${i.incidentId}`, (i) => { close(); if (from.length > 0) go(at.incident(i.incidentId)); });
  return (
    <SidePanel open title={ids.length === 1 ? 'Move an alert' : `Move ${ids.length} alerts`} close={close}>
      <form className={css.form} onSubmit={(e) => { e.preventDefault(); move.mutate(); }}>
        <RadioGroup value={where} onChange={(_, d) => setWhere(d.value as 'other' | 'new')} aria-label="Where to">
          <Radio value="other" label="To another incident" />
          <Radio value="new" label="To a new incident" />
        </RadioGroup>
        {where === 'other' && <Choose title="To the incident" chosen={to} choose={setTo} not={from} />}
        <p className="quiet">An incident that has no alert left leads to the other from then on.</p>
        {failure(move.error)}
        <div><Button type="submit" appearance="primary" disabled={(where === 'other' && !to) || move.isPending}>{move.isPending ? 'Moving…' : 'Move'}</Button></div>
      </form>
    </SidePanel>
  );
}
