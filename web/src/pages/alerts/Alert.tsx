import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { get, segment } from '../../api/client';
import { useMay } from '../../api/session';
import type { Alert as AlertEntity, ProcessNode, ProcessTree as Tree } from '../../api/types';
import { at, Go } from '../../app/links';
import { Time } from '../../app/time';
import { Severity, Status, words } from '../../ui/badges';
import { Card, Facts, Page, Tabs } from '../../ui/Page';
import { Empty, Failure, Waiting } from '../../ui/states';
import { useAddressed, useId } from '../../ui/url';
import { AskExpert } from '../expert/Ask';
import { Techniques } from '../../ui/techniques';
import css from './Alert.module.css';
import { EntityMenu, entityOf, pageOf } from './entity';
import { History } from './History';
import { ManageAlerts } from './manage';
import { ProcessTree } from './ProcessTree';

/** One alert: its story, what it names, and what is done about it. */
export default function Alert() {
  const id = useId();
  const found = useQuery({ queryKey: ['alert', id], queryFn: () => get<AlertEntity>(`/api/alerts/${segment(id)}`), refetchInterval: 60_000 });
  if (found.isPending) return <Waiting />;
  if (!found.data) return <Failure error={found.error} retry={() => void found.refetch()} />;
  return <Shown alert={found.data} />;
}

function Shown({ alert: a }: { alert: AlertEntity }) {
  const may = useMay();
  const [tab, setTab] = useAddressed('tab', 'story');
  const [chosen, setChosen] = useState<number>();
  const tree = useQuery({ queryKey: ['alert', a.id, 'tree'], queryFn: () => get<Tree>(`/api/vedette/alerts/${segment(a.id)}/tree`), staleTime: 60_000 });
  const nodes = tree.data?.processes ?? [];
  const node = chosen === undefined ? undefined : nodes[chosen];
  const write = may('Alert.ReadWrite.All');
  const user = a.relatedUser?.userName && (a.relatedUser.domainName ? `${a.relatedUser.domainName}\\${a.relatedUser.userName}` : a.relatedUser.userName);
  return (
    <Page title={a.title} actions={<AskExpert about={{ alertId: a.id }} name="this alert" />} crumbs={[{ title: 'Alerts', to: '/alerts' }]} aside={<span className={css.states}><Severity value={a.severity} /><Status value={a.status} /></span>}>
      <div className={css.assets}>
        {a.machineId && <span>Device <Go to={at.device(a.machineId)}>{a.computerDnsName ?? a.machineId}</Go></span>}
        {user && <span>User <Go to={at.user(user)}>{user}</Go></span>}
        {a.incidentId !== null && <span>Incident <Go to={at.incident(a.incidentId)}>{a.incidentId}</Go></span>}
        <span className="quiet">Created <Time at={a.alertCreationTime} /></span>
      </div>
      <div className={css.columns}>
        <div className={css.story}>
          <Tabs label="Parts of the alert" value={tab} choose={setTab} of={[['story', 'Alert story'], ['evidence', `Evidence (${a.evidence.length})`], ['history', 'Activity']]} />
          {tab === 'story' && (
            <>
              {a.description && <Card title="What happened"><div className="wrap">{a.description}</div></Card>}
              <Card title="Process tree">
                {tree.isPending ? <Waiting /> : tree.error ? <Failure error={tree.error} retry={() => void tree.refetch()} />
                  : nodes.length === 0 ? <Empty title="No process is known">This alert names no process, or its telemetry is past its retention.</Empty>
                  : <ProcessTree nodes={nodes} chosen={chosen} choose={setChosen} actions={(n) => <EntityMenu entity={processEntity(n, a.machineId)} />} />}
                {tree.data?.truncated && <p className="quiet">There are more processes than are shown here.</p>}
              </Card>
              <Timeline alert={a} />
            </>
          )}
          {tab === 'evidence' && <Evidence alert={a} />}
          {tab === 'history' && <History path={`/api/vedette/alerts/${segment(a.id)}/history`} keyed={['alert', a.id, 'history']} comments={a.comments} />}
        </div>
        <aside className={css.side} aria-label="Details">
          {node && <Card title={node.fileName || 'Process'}><ProcessFacts node={node} machineId={a.machineId} /></Card>}
          {write && <Card title="Manage alert"><ManageAlerts key={a.lastUpdateTime} alerts={[a]} /></Card>}
          <Card title="Details">
            <Facts of={[
              ['Alert ID', <span className="mono">{a.id}</span>], ['Category', words(a.category)],
              ['Techniques', <Techniques of={a.mitreTechniques} />], ['Detection source', words(a.detectionSource)], ['Detector', a.detectorId && <span className="mono">{a.detectorId}</span>],
              ['Threat', a.threatName ?? a.threatFamilyName], ['Investigation', a.investigationState && words(a.investigationState)],
              ['First activity', <Time at={a.firstEventTime} />], ['Last activity', <Time at={a.lastEventTime} />], ['Resolved', a.resolvedTime && <Time at={a.resolvedTime} />],
              ['Device group', a.rbacGroupName], ['Assigned to', a.assignedTo],
              ['Classification', [words(a.classification), words(a.determination)].filter(Boolean).join(': ')],
            ]} />
          </Card>
          {a.recommendedAction && <Card title="Recommended actions"><div className="wrap">{a.recommendedAction}</div></Card>}
        </aside>
      </div>
    </Page>
  );
}

function processEntity(n: ProcessNode, machineId: string | null) {
  return { kind: 'Process', title: n.fileName || 'Process', detail: n.processCommandLine, sha1: n.sha1 || null, sha256: n.sha256 || null, deviceId: machineId, copy: n.processCommandLine || n.filePath };
}

/** A process in words. */
export function ProcessFacts({ node: n, machineId }: { node: ProcessNode; machineId: string | null }) {
  const page = pageOf(processEntity(n, machineId));
  return (
    <Facts of={[
      ['Command line', <span className="mono wrap">{n.processCommandLine}</span>], ['Path', <span className="mono">{n.filePath}</span>], ['Process ID', n.processId],
      ['Started', <Time at={n.processCreationTime} />], ['Account', n.domainName ? `${n.domainName}\\${n.accountName}` : n.accountName],
      ['SHA-1', n.sha1 && (page ? <Go to={page} className="go mono">{n.sha1}</Go> : <span className="mono">{n.sha1}</span>)], ['SHA-256', n.sha256 && <span className="mono">{n.sha256}</span>],
    ]} />
  );
}

function Timeline({ alert: a }: { alert: AlertEntity }) {
  const steps = useMemo(() => [...a.evidence].filter((e) => e.evidenceCreationTime || e.processCreationTime)
    .map((e) => ({ e, at: e.processCreationTime ?? e.evidenceCreationTime! })).sort((x, y) => x.at.localeCompare(y.at)), [a.evidence]);
  if (steps.length === 0) return null;
  return (
    <Card title="Timeline">
      <ol className={css.timeline}>
        {steps.map(({ e, at: when }, i) => {
          const thing = entityOf(e, a.machineId);
          return (
            <li key={i} className={css.step}>
              <span className={css.when}><Time at={when} form="clock" /></span>
              <span className={css.what}><strong>{thing.title}</strong> <span className="quiet">{thing.kind}</span>{thing.detail && <div className="mono wrap">{thing.detail}</div>}</span>
            </li>
          );
        })}
      </ol>
    </Card>
  );
}

function Evidence({ alert: a }: { alert: AlertEntity }) {
  if (a.evidence.length === 0) return <Empty title="This alert names nothing" />;
  return (
    <ul className={css.evidence}>
      {a.evidence.map((e, i) => {
        const thing = entityOf(e, a.machineId);
        const page = pageOf(thing);
        return (
          <li key={i} className={css.thing}>
            <span className={css.kind}>{thing.kind}</span>
            <span className={css.what}>
              {page ? <Go to={page}>{thing.title}</Go> : <strong>{thing.title}</strong>}
              {thing.detail && <div className="mono wrap">{thing.detail}</div>}
              {thing.sha1 && <div className="mono quiet">SHA-1 {thing.sha1}</div>}
            </span>
            {e.detectionStatus && <Status value={e.detectionStatus} />}
            <EntityMenu entity={thing} />
          </li>
        );
      })}
    </ul>
  );
}
