// What the pages of files, addresses, domains and users share.
import { Button } from '@fluentui/react-components';
import { DocumentSearchRegular } from '@fluentui/react-icons/svg/document-search';
import { ShieldTaskRegular } from '@fluentui/react-icons/svg/shield-task';
import { useQuery } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';
import { call, get, quoted, segment, type List } from '../../api/client';
import { hunt, type Row } from '../../api/hunt';
import { stringify } from '../../api/json';
import { useMay } from '../../api/session';
import { at, Go, useGo } from '../../app/links';
import { Time } from '../../app/time';
import type { Alert, Indicator, Machine } from '../../api/types';
import { Badge, counted, words } from '../../ui/badges';
import { Table, type Column } from '../../ui/list/Table';
import { Card, Facts, Tabs } from '../../ui/Page';
import { Empty, Failure, Waiting } from '../../ui/states';
import { useAddressed } from '../../ui/url';
import { columns as alertColumns } from '../alerts/columns';
import { columns as deviceColumns } from '../devices/columns';
import { IndicatorForm } from '../indicators/IndicatorForm';
import css from './entities.module.css';

export type Kind = 'files' | 'ips' | 'domains' | 'users';

/** A part of the page that is chosen by a tab, which stands in the address. */
export interface Part { id: string; title: string; body: ReactNode }

export function Parts({ parts }: { parts: Part[] }) {
  const [tab, setTab] = useAddressed('tab', parts[0].id);
  const shown = parts.find((p) => p.id === tab) ?? parts[0];
  return (
    <>
      <Tabs label="Parts of the page" value={shown.id} choose={setTab} of={parts.map((p) => [p.id, p.title] as const)} />
      {shown.body}
    </>
  );
}

/** The alerts that name the thing. */
export function Alerts({ kind, id }: { kind: Kind; id: string }) {
  const path = `/api/${kind}/${segment(id)}/alerts`;
  const { data, error, isPending, refetch } = useQuery({ queryKey: ['/api/alerts', path], queryFn: () => get<List<Alert>>(path, { $top: 1000 }) });
  const go = useGo();
  if (isPending) return <Waiting />;
  if (error) return <Failure error={error} retry={() => void refetch()} />;
  if (data.value.length === 0) return <Empty title="No alert names it" />;
  return <div className={css.list}><Table<Alert> label="Alerts" columns={alertColumns} rows={data.value} rowKey={(a) => a.id} sort={{ id: 'alertCreationTime', desc: true }} onOpen={(a) => go(at.alert(a.id))} /></div>;
}

/** The devices that saw it in the last 30 days. */
export function Machines({ kind, id }: { kind: Kind; id: string }) {
  const path = `/api/${kind}/${segment(id)}/machines`;
  const { data, error, isPending, refetch } = useQuery({ queryKey: ['/api/machines', path], queryFn: () => get<List<Machine>>(path, { $top: 1000 }) });
  const go = useGo();
  if (isPending) return <Waiting />;
  if (error) return <Failure error={error} retry={() => void refetch()} />;
  if (data.value.length === 0) return <Empty title="No device saw it in the last 30 days" />;
  return <div className={css.list}><Table<Machine> label="Devices" columns={deviceColumns} rows={data.value} rowKey={(m) => m.id} onOpen={(m) => go(at.device(m.id))} /></div>;
}

/** The latest events that concern it, by a query, with a way to go on from it. */
export function Events({ query, columns }: { query: string; columns: string[] }) {
  const may = useMay();
  const can = may('AdvancedQuery.Read.All');
  const go = useGo();
  const { data, error, isPending, refetch } = useQuery({ queryKey: ['hunt', query], enabled: can, queryFn: ({ signal }) => hunt(`${query}\n| top 1000 by Timestamp desc`, signal), staleTime: 60_000 });
  if (!can) return <Empty title="You may not hunt">Events are shown to who has the permission for hunting.</Empty>;
  if (isPending) return <Waiting label="Looking for events" />;
  if (error) return <Failure error={error} retry={() => void refetch()} />;
  const list: Column<Row>[] = columns.map((c, i) => ({
    id: c, title: words(c), width: c === 'Timestamp' ? 190 : 190, grow: i === columns.length - 1, sort: true, value: (r) => { const v = r[c]; return typeof v === 'object' ? stringify(v) : (v as string); },
    cell: (r) => {
      const v = String(r[c] ?? '');
      if (c === 'Timestamp') return <Time at={v} />;
      if (c === 'DeviceName' && r.DeviceId) return <Go to={at.device(String(r.DeviceId))}>{v}</Go>;
      if (/^RemoteIP$/.test(c) && v) return <Go to={at.ip(v)}>{v}</Go>;
      if (/AccountName$/.test(c) && v) return <Go to={at.user(v)}>{v}</Go>;
      if (c === 'ActionType' || c === 'LogonType') return words(v);
      return v;
    },
  }));
  return (
    <>
      <div style={{ display: 'flex', alignItems: 'center', gap: 12, marginBottom: 8 }}>
        <span className="quiet">{data.rows.length >= 1000 ? 'The latest 1,000 events' : counted(data.rows.length, 'event')}{!data.complete && ' · telemetry of the time is missing'}</span>
        <Button size="small" appearance="subtle" icon={<DocumentSearchRegular />} onClick={() => go(at.hunt(`${query}\n| sort by Timestamp desc`))}>Hunt for more</Button>
      </div>
      {data.rows.length === 0 ? <Empty title="No event of the last 30 days concerns it" /> : <div className={css.list}><Table<Row> label="Events" columns={list} rows={data.rows} rowKey={(r) => `${r.DeviceId}-${r.ReportId}-${r.Timestamp}-${r.ActionType}`} /></div>}
    </>
  );
}

/** Big numbers beside each other. */
export function Numbers({ of }: { of: [string, ReactNode][] }) {
  return <div className={css.numbers}>{of.map(([name, v]) => <div key={name} className={css.number}><strong>{v}</strong><span>{name}</span></div>)}</div>;
}

/** How often it was seen in the organisation. */
export function Prevalence({ devices, first, last }: { devices: number; first: string | null; last: string | null }) {
  return <Card title="In the organisation"><Numbers of={[['devices in 30 days', devices.toLocaleString('en')]]} /><div style={{ height: 12 }} /><Facts of={[['First seen', <Time key="f" at={first} />], ['Last seen', <Time key="l" at={last} />]]} /></Card>;
}

export interface Stats { matches: number; blocks: number; alerts: number; devices: number; firstMatch: string | null; lastMatch: string | null }

/** The indicators that are about it, with what was seen of them, and a way to make one. */
export function Indicators({ values, type }: { values: string[]; type: string }) {
  const may = useMay();
  const can = may('Ti.ReadWrite', 'Ti.ReadWrite.All');
  const [making, setMaking] = useState(false);
  const filter = values.map((v) => `indicatorValue eq ${quoted(v)}`).join(' or ');
  const { data, error, isPending } = useQuery({
    queryKey: ['/api/indicators', 'of', filter], enabled: can, refetchInterval: 10_000,
    queryFn: async () => Promise.all((await call<List<Indicator>>('GET', '/api/indicators', { params: { $filter: filter }, background: true })).value.map(async (i) => ({ i, stats: await call<Stats>('GET', `/api/indicators/${segment(i.id)}/stats`, { background: true }).catch(() => undefined) }))),
  });
  if (!can) return null;
  return (
    <Card title="Indicators" actions={<Button size="small" icon={<ShieldTaskRegular />} onClick={() => setMaking(true)}>Add indicator</Button>}>
      {isPending ? <Waiting /> : error ? <Failure error={error} /> : data.length === 0 ? <p className="quiet">No indicator is about it.</p> : data.map(({ i, stats }) => (
        <div key={i.id} style={{ marginBottom: 12 }}>
          <div style={{ display: 'flex', gap: 8, alignItems: 'center', flexWrap: 'wrap' }}><Badge tone={/Block|Warn/.test(i.action) ? 'bad' : i.action === 'Allowed' ? 'good' : 'warn'}>{words(i.action)}</Badge><Go to={`/indicators?open=${segment(i.id)}`}>{i.title}</Go></div>
          {stats && <div style={{ marginTop: 8 }}><Numbers of={[['matches', stats.matches.toLocaleString('en')], ['blocked', stats.blocks.toLocaleString('en')], ['alerts', stats.alerts.toLocaleString('en')], ['devices', stats.devices.toLocaleString('en')]]} /></div>}
        </div>
      ))}
      {making && <IndicatorForm start={{ indicatorValue: values[0], indicatorType: type }} close={() => setMaking(false)} />}
    </Card>
  );
}
