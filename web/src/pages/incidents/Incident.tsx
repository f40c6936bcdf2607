import { Button } from '@fluentui/react-components';
import { ArrowSwapRegular } from '@fluentui/react-icons/svg/arrow-swap';
import { EditRegular } from '@fluentui/react-icons/svg/edit';
import { MergeRegular } from '@fluentui/react-icons/svg/merge';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useMemo, useState } from 'react';
import { get, type List } from '../../api/client';
import { useMay } from '../../api/session';
import type { Incident as IncidentEntity, IncidentAlert, Investigation } from '../../api/types';
import { at, Go, useGo } from '../../app/links';
import { Time } from '../../app/time';
import { Health, Severity, Status, Tags, words } from '../../ui/badges';
import { Table, type Column, type Sort } from '../../ui/list/Table';
import { Card, Cards, Facts, Page, Tabs } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';
import { Empty, Failure, Waiting } from '../../ui/states';
import { useAddressed, useId } from '../../ui/url';
import { EntityMenu, entityOf, pageOf, type Entity } from '../alerts/entity';
import { History } from '../alerts/History';
import { MergeIncidents, MoveAlerts } from './arrange';
import { AskExpert } from '../expert/Ask';
import { devicesOf, usersOf, type DeviceOf } from './assets';
import { graphOf, type Node } from './graph';
import { Techniques } from '../../ui/techniques';
import css from './Incident.module.css';
import { ManageIncident } from './manage';

const AttackGraph = lazy(async () => ({ default: (await import('./AttackGraph')).AttackGraph }));

/** One incident. */
export default function Incident() {
  const id = useId();
  const found = useQuery({ queryKey: ['incident', id], queryFn: () => get<IncidentEntity>(`/api/incidents/${encodeURIComponent(id)}`), refetchInterval: 30_000 });
  if (found.isPending) return <Waiting />;
  if (!found.data) return <Failure error={found.error} retry={() => void found.refetch()} />;
  if (found.data.redirectIncidentId) {
    return <Empty title="This incident was merged into another" action={<Go to={at.incident(found.data.redirectIncidentId)}>Open incident {found.data.redirectIncidentId}</Go>} />;
  }
  return <Shown incident={found.data} />;
}

function Shown({ incident: i }: { incident: IncidentEntity }) {
  const may = useMay();
  const [tab, setTab] = useAddressed('tab', 'story');
  const [managing, setManaging] = useState(false);
  const [merging, setMerging] = useState(false);
  const devices = useMemo(() => devicesOf(i), [i]);
  const users = useMemo(() => usersOf(i), [i]);
  const evidence = useMemo(() => evidenceOf(i), [i]);
  const investigations = [...new Set(i.alerts.map((a) => a.investigationId).filter((n): n is number => n !== null))];
  return (
    <Page title={i.incidentName} fill={tab === 'story' || tab === 'alerts'} crumbs={[{ title: 'Incidents', to: '/incidents' }]}
      aside={<span className={css.states}><Severity value={i.severity} /><Status value={i.status} /><span className="quiet">#{i.incidentId}</span>{i.tags.length > 0 && <Tags of={i.tags} />}</span>}
      actions={(
        <>
          <AskExpert about={{ incidentId: i.incidentId }} name="this incident" />
          {may('Incident.ReadWrite.All') && (
            <>
              <Button icon={<EditRegular />} onClick={() => setManaging(true)}>Manage incident</Button>
              <Button icon={<MergeRegular />} onClick={() => setMerging(true)}>Merge</Button>
            </>
          )}
        </>
      )}>
      <Tabs label="Parts of the incident" value={tab} choose={setTab} of={[
        ['story', 'Attack story'], ['alerts', `Alerts (${i.alerts.length})`], ['assets', `Assets (${devices.length + users.length})`], ...(investigations.length > 0 ? [['investigations', `Investigations (${investigations.length})`] as const] : []),
        ['evidence', `Evidence (${evidence.length})`], ['summary', 'Summary'], ['similar', 'Similar incidents'], ['activity', 'Activity'],
      ]} />
      {tab === 'story' && <Story incident={i} />}
      {tab === 'alerts' && <Alerts incident={i} />}
      {tab === 'assets' && <Assets devices={devices} users={users} />}
      {tab === 'investigations' && <Investigations ids={investigations} />}
      {tab === 'evidence' && <Evidence of={evidence} />}
      {tab === 'summary' && <Summary incident={i} devices={devices} users={users} evidence={evidence} />}
      {tab === 'similar' && <Similar incident={i} />}
      {tab === 'activity' && <Card><History path={`/api/vedette/incidents/${i.incidentId}/history`} keyed={['incident', String(i.incidentId), 'history']} comments={i.comments} /></Card>}
      {merging && <MergeIncidents incidents={[{ ...i, alertCount: i.alerts.length }]} close={() => setMerging(false)} />}
      <SidePanel open={managing} title="Manage incident" close={() => setManaging(false)}>
        <ManageIncident key={i.lastUpdateTime} incident={i} done={() => setManaging(false)} />
      </SidePanel>
    </Page>
  );
}

function Story({ incident: i }: { incident: IncidentEntity }) {
  const graph = useMemo(() => graphOf(i), [i]);
  const [node, setNode] = useState<Node>();
  const [only, setOnly] = useState<string>();
  const alerts = useMemo(() => [...i.alerts].sort((a, b) => (a.firstActivity ?? '').localeCompare(b.firstActivity ?? '')), [i]);
  return (
    <div className={css.story}>
      <section className={css.alerts} aria-label="Alerts of the story">
        <h2 className={css.h}>Alerts</h2>
        <ol className={css.list}>
          {alerts.map((a) => (
            <li key={a.alertId}>
              <button type="button" className={only === a.alertId ? css.alertOn : css.alert} aria-pressed={only === a.alertId} onClick={() => setOnly(only === a.alertId ? undefined : a.alertId)}>
                <span className={css.alertHead}><Severity value={a.severity} /><Status value={a.status} /></span>
                <strong>{a.title}</strong>
                <span className="quiet"><Time at={a.firstActivity} form="short" />{a.devices[0] && ` · ${a.devices[0].deviceDnsName ?? ''}`}</span>
              </button>
            </li>
          ))}
        </ol>
      </section>
      <section className={css.graph} aria-label="Incident graph">
        {graph.nodes.length === 0 ? <Empty title="The alerts of this incident name nothing" /> : <Suspense fallback={<Waiting label="Drawing" />}><AttackGraph graph={graph} chosen={node?.id} choose={setNode} only={only} /></Suspense>}
      </section>
      {(node || only) && (
        <aside className={css.side} aria-label="Details">
          {node ? <NodeFacts node={node} incident={i} /> : <AlertFacts alert={i.alerts.find((a) => a.alertId === only)!} />}
        </aside>
      )}
    </div>
  );
}

function NodeFacts({ node: n, incident: i }: { node: Node; incident: IncidentEntity }) {
  const named = i.alerts.filter((a) => n.alerts.includes(a.alertId));
  const page = n.kind === 'device' ? at.device(n.deviceId!) : n.entity ? pageOf(n.entity) : '';
  return (
    <>
      <div className={css.sideHead}><h2 className={css.h}>{n.title}</h2>{n.entity && <EntityMenu entity={n.entity} />}</div>
      <Facts of={[
        ['Kind', n.entity?.kind ?? words(n.kind)],
        ...(n.detail && n.kind !== 'cluster' ? [['Details', <span className="mono wrap">{n.detail}</span>] as [string, React.ReactNode]] : []),
        ...(n.entity?.sha1 ? [['SHA-1', <span className="mono">{n.entity.sha1}</span>] as [string, React.ReactNode]] : []),
        ...(page ? [['Page', <Go to={page}>{n.title}</Go>] as [string, React.ReactNode]] : []),
        ...(n.deviceId && n.kind !== 'device' ? [['Device', <Go to={at.device(n.deviceId)}>{i.alerts.flatMap((a) => a.devices).find((d) => d.mdatpDeviceId === n.deviceId)?.deviceDnsName ?? n.deviceId}</Go>] as [string, React.ReactNode]] : []),
        ['Named by', <ul className={css.plain}>{named.map((a) => <li key={a.alertId}><Go to={at.alert(a.alertId)}>{a.title}</Go></li>)}</ul>],
      ]} />
      {n.members && <ul className={css.members}>{n.members.map((m) => <li key={m.id}><span className="mono wrap">{m.detail || m.title}</span>{m.entity && <EntityMenu entity={m.entity} />}</li>)}</ul>}
    </>
  );
}

function AlertFacts({ alert: a }: { alert: IncidentAlert }) {
  return (
    <>
      <h2 className={css.h}>{a.title}</h2>
      <p><Go to={at.alert(a.alertId)}>Open the alert page</Go></p>
      <Facts of={[
        ['Severity', <Severity value={a.severity} />], ['Status', <Status value={a.status} />], ['Category', words(a.category)], ['Techniques', <Techniques of={a.mitreTechniques} />],
        ['Detection source', words(a.detectionSource)], ['First activity', <Time at={a.firstActivity} />], ['Last activity', <Time at={a.lastActivity} />],
        ['What happened', a.description && <span className="wrap">{a.description}</span>],
      ]} />
    </>
  );
}

const alertColumns: Column<IncidentAlert>[] = [
  { id: 'title', title: 'Alert', value: (a) => a.title, cell: (a) => <Go to={at.alert(a.alertId)}>{a.title}</Go>, width: 280, grow: true },
  { id: 'severity', title: 'Severity', value: (a) => ['High', 'Medium', 'Low', 'Informational'].indexOf(a.severity), cell: (a) => <Severity value={a.severity} />, width: 120 },
  { id: 'status', title: 'Status', value: (a) => a.status, cell: (a) => <Status value={a.status} />, width: 120 },
  { id: 'device', title: 'Device', value: (a) => a.devices[0]?.deviceDnsName, cell: (a) => (a.devices[0] ? <Go to={at.device(a.devices[0].mdatpDeviceId)}>{a.devices[0].deviceDnsName ?? a.devices[0].mdatpDeviceId}</Go> : '—'), width: 190 },
  { id: 'category', title: 'Category', value: (a) => words(a.category), width: 160 },
  { id: 'techniques', title: 'Techniques', value: (a) => a.mitreTechniques.join(', '), width: 150 },
  { id: 'first', title: 'First activity', value: (a) => a.firstActivity, cell: (a) => <Time at={a.firstActivity} />, width: 180 },
  { id: 'assigned', title: 'Assigned to', value: (a) => a.assignedTo, width: 140 },
];

function Alerts({ incident: i }: { incident: IncidentEntity }) {
  const [sort, setSort] = useState<Sort | undefined>({ id: 'first', desc: true });
  const [selected, setSelected] = useState<Set<string>>(new Set());
  const [moving, setMoving] = useState<string[]>();
  const go = useGo();
  const write = useMay()('Incident.ReadWrite.All');
  const ticked = i.alerts.filter((a) => selected.has(a.alertId)).map((a) => a.alertId);
  return (
    <>
      {write && (
        <div className={css.commands} role="toolbar" aria-label="Alerts of the incident">
          <span className="quiet" role="status">{ticked.length > 0 ? `${ticked.length} selected` : `${i.alerts.length} ${i.alerts.length === 1 ? 'alert' : 'alerts'}`}</span>
          <Button size="small" icon={<ArrowSwapRegular />} disabled={ticked.length === 0} onClick={() => setMoving(ticked)}>Move to another incident</Button>
        </div>
      )}
      <div className={css.table}><Table label="Alerts of the incident" columns={alertColumns} rows={i.alerts} rowKey={(a) => a.alertId} sort={sort} onSort={setSort} onOpen={(a) => go(at.alert(a.alertId))} selected={write ? selected : undefined} onSelect={setSelected} /></div>
      {moving && <MoveAlerts ids={moving} from={[i.incidentId]} close={() => setMoving(undefined)} />}
    </>
  );
}

function Assets({ devices, users }: { devices: DeviceOf[]; users: string[] }) {
  return (
    <Cards>
      <Card title={`Devices (${devices.length})`}>
        {devices.length === 0 && <p className="quiet">None is named.</p>}
        <ul className={css.plain}>
          {devices.map((d) => (
            <li key={d.id} className={css.asset}>
              <span className={css.grow}><Go to={at.device(d.id)}>{d.name}</Go><div className="quiet">{[d.platform, d.group].filter(Boolean).join(' · ')}</div></span>
              {d.risk && <Severity value={d.risk} />}{d.health && <Health value={d.health} />}<span className="quiet">{d.alerts} {d.alerts === 1 ? 'alert' : 'alerts'}</span>
            </li>
          ))}
        </ul>
      </Card>
      <Card title={`Users (${users.length})`}>
        {users.length === 0 && <p className="quiet">None is named.</p>}
        <ul className={css.plain}>{users.map((u) => <li key={u} className={css.asset}><Go to={at.user(u)}>{u}</Go></li>)}</ul>
      </Card>
    </Cards>
  );
}

function Investigations({ ids }: { ids: number[] }) {
  const found = useQuery({ queryKey: ['/api/investigations', ids], queryFn: () => get<List<Investigation>>('/api/investigations', { $filter: ids.map((n) => `id eq '${n}'`).join(' or ') }), refetchInterval: 20_000 });
  if (found.isPending) return <Waiting />;
  if (found.error) return <Failure error={found.error} retry={() => void found.refetch()} />;
  return (
    <Cards>
      {found.data.value.map((v) => (
        <Card key={v.id} title={`Investigation ${v.id}`}>
          <Facts of={[['State', <Status value={v.state} />], ['Details', v.statusDetails], ['Device', <Go to={at.device(v.machineId)}>{v.computerDnsName ?? v.machineId}</Go>], ['Started', <Time at={v.startTime} />], ['Ended', v.endTime && <Time at={v.endTime} />]]} />
        </Card>
      ))}
    </Cards>
  );
}

interface Piece { entity: Entity; alerts: IncidentAlert[]; first: string }

/** What the alerts of an incident name, each thing once. */
function evidenceOf(i: IncidentEntity): Piece[] {
  const found = new Map<string, Piece>();
  for (const a of i.alerts) {
    for (const e of a.entities) {
      const entity = entityOf(e, a.devices[0]?.mdatpDeviceId);
      const key = `${entity.kind}/${entity.sha256 ?? entity.sha1 ?? entity.copy}/${entity.kind === 'Process' ? entity.copy : ''}`;
      const known = found.get(key);
      if (!known) found.set(key, { entity, alerts: [a], first: e.evidenceCreationTime ?? a.firstActivity ?? '' });
      else if (!known.alerts.includes(a)) known.alerts.push(a);
    }
  }
  return [...found.values()].sort((a, b) => a.entity.kind.localeCompare(b.entity.kind) || b.alerts.length - a.alerts.length);
}

function Evidence({ of }: { of: Piece[] }) {
  if (of.length === 0) return <Empty title="The alerts of this incident name nothing" />;
  return (
    <ul className={css.evidence}>
      {of.map((p, n) => {
        const page = pageOf(p.entity);
        return (
          <li key={n} className={css.piece}>
            <span className={css.kind}>{p.entity.kind}</span>
            <span className={css.grow}>{page ? <Go to={page}>{p.entity.title}</Go> : <strong>{p.entity.title}</strong>}{p.entity.detail && <div className="mono wrap">{p.entity.detail}</div>}</span>
            <span className="quiet">{p.alerts.length} {p.alerts.length === 1 ? 'alert' : 'alerts'}</span>
            <Time at={p.first} form="short" />
            <EntityMenu entity={p.entity} />
          </li>
        );
      })}
    </ul>
  );
}

function Summary({ incident: i, devices, users, evidence }: { incident: IncidentEntity; devices: DeviceOf[]; users: string[]; evidence: Piece[] }) {
  const count = (f: (a: IncidentAlert) => string) => [...i.alerts.reduce((m, a) => m.set(f(a), (m.get(f(a)) ?? 0) + 1), new Map<string, number>())].sort((a, b) => b[1] - a[1]);
  const techniques = [...new Set(i.alerts.flatMap((a) => a.mitreTechniques))].sort();
  const times = i.alerts.flatMap((a) => [a.firstActivity, a.lastActivity]).filter((t): t is string => Boolean(t)).sort();
  return (
    <Cards>
      <Card title="Incident"><Facts of={[['Status', <Status value={i.status} />], ['Assigned to', i.assignedTo], ['Classification', i.classification === 'Unknown' ? 'Not set' : [i.classification, i.determination].filter((c) => c && c !== 'NotAvailable').map(words).join(': ')], ['First activity', <Time at={times[0]} />], ['Last activity', <Time at={times.at(-1)} />], ['Created', <Time at={i.createdTime} />]]} /></Card>
      <Card title="Alerts"><Facts of={[
        ['Active', `${i.alerts.filter((a) => a.status !== 'Resolved').length} of ${i.alerts.length}`], ['By severity', count((a) => a.severity).map(([s, n]) => <div key={s}><Severity value={s} /> {n}</div>)],
        ['By category', count((a) => words(a.category) || 'None').map(([s, n]) => <div key={s}>{s}: {n}</div>)]]} /></Card>
      <Card title="Scope"><Facts of={[['Devices', devices.length], ['Users', users.length], ['Evidence', evidence.length]]} /></Card>
      <Card title="Techniques">{techniques.length === 0 ? <p className="quiet">No technique is named.</p> : <Techniques of={techniques} />}</Card>
    </Cards>
  );
}

/** Incidents that share something, those that share most first. */
function Similar({ incident: i }: { incident: IncidentEntity }) {
  const found = useQuery({ queryKey: ['/api/incidents', 'similar', i.incidentId], staleTime: 60_000, queryFn: () => get<List<IncidentEntity>>('/api/incidents', { $orderby: 'lastUpdateTime desc', $top: 100 }) });
  const likes = useMemo(() => {
    const traits = (x: IncidentEntity) => new Map<string, string>([
      ...x.alerts.map((a) => [`t/${a.title}`, `alert “${a.title}”`] as const),
      ...devicesOf(x).map((d) => [`d/${d.id}`, `device ${d.name}`] as const),
      ...usersOf(x).map((u) => [`u/${u}`, `user ${u}`] as const),
      ...evidenceOf(x).filter((p) => p.entity.ip || p.entity.url || p.entity.sha1).map((p) => [`e/${p.entity.copy}`, `${p.entity.kind.toLowerCase()} ${p.entity.title}`] as const),
    ]);
    const own = traits(i);
    const others = (found.data?.value ?? []).filter((x) => x.incidentId !== i.incidentId).map((x) => ({ x, of: traits(x) }));
    // What every third incident has, such as a shell, tells nothing.
    const common = (k: string) => others.length > 3 && others.filter((o) => o.of.has(k)).length > others.length / 3;
    const telling = new Set([...own.keys()].filter((k) => !common(k)));
    return others.map(({ x, of }) => ({ x, shared: [...of].filter(([k]) => telling.has(k)).map(([, v]) => v) }))
      .filter((l) => l.shared.length > 0).sort((a, b) => b.shared.length - a.shared.length).slice(0, 20);
  }, [found.data, i]);
  if (found.isPending) return <Waiting />;
  if (found.error) return <Failure error={found.error} retry={() => void found.refetch()} />;
  if (likes.length === 0) return <Empty title="No other incident shares an alert, device, user or evidence with this one">The hundred incidents that changed last were compared.</Empty>;
  return (
    <ul className={css.evidence}>
      {likes.map(({ x, shared }) => (
        <li key={x.incidentId} className={css.piece}>
          <span className={css.grow}><Go to={at.incident(x.incidentId)}>{x.incidentName}</Go><div className="quiet">Shares {shared.slice(0, 4).join(', ')}{shared.length > 4 ? ` and ${shared.length - 4} more` : ''}</div></span>
          <Severity value={x.severity} /><Status value={x.status} /><Time at={x.lastUpdateTime} form="short" />
        </li>
      ))}
    </ul>
  );
}
