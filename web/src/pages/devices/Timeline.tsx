import { Button, MessageBar, MessageBarBody, SearchBox, Select, ToggleButton } from '@fluentui/react-components';
import { ArrowDownloadRegular } from '@fluentui/react-icons/svg/arrow-download';
import { FlagFilled, FlagRegular } from '@fluentui/react-icons/svg/flag';
import { SearchRegular } from '@fluentui/react-icons/svg/search';
import { ZoomOutRegular } from '@fluentui/react-icons/svg/zoom-out';
import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { get, quoted, type List } from '../../api/client';
import { stringify } from '../../api/json';
import { useMay, usePreference } from '../../api/session';
import type { Alert, Machine } from '../../api/types';
import { at, Go, hasPage, useGo } from '../../app/links';
import { useNotify } from '../../app/notices';
import { Time, useFormat } from '../../app/time';
import { Badge, words } from '../../ui/badges';
import { saveCSV } from '../../ui/export';
import { Table, type Column } from '../../ui/list/Table';
import { Facts } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';
import { Empty, Failure, Waiting } from '../../ui/states';
import { useAddress } from '../../ui/url';
import { RangeGraph } from './RangeGraph';
import { Techniques } from '../../ui/techniques';
import css from './Timeline.module.css';
import { around, groups, histogram, page, queryOf, type Ask, type Event, type Seam } from './timeline';

const spans: Record<string, number> = { '1h': 3_600_000, '1d': 86_400_000, '7d': 7 * 86_400_000, '30d': 30 * 86_400_000, '180d': 180 * 86_400_000 };
const mostExported = 50_000;

/** What happened on a device, newest first. The range, filters and search stand in the address. */
export default function Timeline({ machine: m }: { machine: Machine }) {
  const [address, set] = useAddress();
  const may = useMay();
  const notify = useNotify();
  const go = useGo();
  const format = useFormat();
  const [open, setOpen] = useState<Event>();
  const [exporting, setExporting] = useState(false);
  const [flags, setFlags] = usePreference<string[]>(`flags.${m.id.slice(0, 40)}`, []);
  const span = address.span ?? '7d';
  // The end of a range up to now is fixed while it is looked at: rows must not move under the reader.
  const [now, setNow] = useState(() => Math.ceil(Date.now() / 1000) * 1000);
  const whole = useMemo(() => ({ from: now - (spans[span] ?? spans['7d']), to: now }), [now, span]);
  const range = useMemo(() => {
    const from = Date.parse(address.from ?? '');
    const to = Date.parse(address.to ?? '');
    return Number.isNaN(from) || Number.isNaN(to) || from >= to ? whole : { from, to };
  }, [address.from, address.to, whole]);
  const zoomed = range !== whole;
  const chosen = useMemo(() => (address.groups ? address.groups.split(',').filter((g) => groups.some((x) => x.id === g)) : []), [address.groups]);
  const only = address.only ?? '';
  const ask = useMemo<Ask>(() => ({ device: m.id, range, groups: chosen, search: address.find ?? '' }), [m.id, range, chosen, address.find]);

  const bins = useQuery({ queryKey: ['timeline', 'bins', { ...ask, range: whole }], queryFn: ({ signal }) => histogram({ ...ask, range: whole }, 120, signal), staleTime: Infinity, placeholderData: keepPreviousData });
  const found = useInfiniteQuery({
    queryKey: ['timeline', ask], staleTime: Infinity, structuralSharing: false, initialPageParam: undefined as Seam | undefined, enabled: only !== 'alerts',
    queryFn: ({ pageParam, signal }) => page(ask, pageParam, signal),
    getNextPageParam: (last) => last.next,
  });
  const alerts = useQuery({
    queryKey: ['/api/alerts', 'timeline', m.id, range], enabled: may('Alert.Read.All'), staleTime: 60_000,
    queryFn: () => get<List<Alert>>('/api/alerts', { $filter: `machineId eq ${quoted(m.id)} and lastEventTime ge ${new Date(range.from).toISOString()} and firstEventTime lt ${new Date(range.to).toISOString()}`, $top: 1000 }),
  });
  const events = useMemo(() => (found.data?.pages ?? []).flatMap((p) => p.events), [found.data]);
  const rows = useMemo(() => {
    const text = (address.find ?? '').toLowerCase();
    const raised = (alerts.data?.value ?? []).filter((a) => !text || a.title.toLowerCase().includes(text)).map((a): Event => ({
      key: `alert/${a.id}`, at: a.lastEventTime ?? a.alertCreationTime ?? '', table: 'Alert', action: a.mitreTechniques.length > 0 ? 'Technique' : 'Alert', row: {}, what: a.title, user: a.relatedUser?.userName ?? '',
      alert: { id: a.id, techniques: a.mitreTechniques, severity: a.severity },
    }));
    if (only === 'alerts') return raised.sort((a, b) => b.at.localeCompare(a.at));
    // Alerts older than what is loaded wait for their place.
    const oldest = found.hasNextPage ? events.at(-1)?.at ?? '' : '';
    const shown = chosen.length > 0 ? events : merge(events, raised.filter((a) => a.at >= oldest).sort((a, b) => b.at.localeCompare(a.at)));
    return only === 'flagged' ? shown.filter((e) => flags.includes(e.key)) : shown;
  }, [alerts.data, events, only, flags, chosen, address.find, found.hasNextPage]);
  const { fetchNextPage, hasNextPage, isFetchingNextPage } = found;
  const more = useCallback(() => { if (hasNextPage && !isFetchingNextPage) void fetchNextPage(); }, [hasNextPage, isFetchingNextPage, fetchNextPage]);

  const flag = useCallback((key: string) => setFlags(flags.includes(key) ? flags.filter((k) => k !== key) : [key, ...flags].slice(0, 1000)), [flags, setFlags]);
  const columns = useMemo<Column<Event>[]>(() => [
    { id: 'flag', title: 'Flag', value: (e) => (flags.includes(e.key) ? 'flagged' : ''), width: 50, cell: (e) => (
      <button type="button" className={css.flag} aria-pressed={flags.includes(e.key)} aria-label={flags.includes(e.key) ? 'Remove the flag' : 'Flag this event'} onClick={() => flag(e.key)}>{flags.includes(e.key) ? <FlagFilled /> : <FlagRegular />}</button>) },
    { id: 'at', title: 'Time', value: (e) => e.at, cell: (e) => <span className="mono">{format.short(e.at).split(',')[0]} {format.clock(e.at)}</span>, width: 165 },
    { id: 'action', title: 'Event', value: (e) => words(e.action), cell: (e) => (e.alert ? <strong>{e.action}</strong> : words(e.action)), width: 190 },
    { id: 'what', title: 'What happened', value: (e) => e.what, grow: true, width: 420, cell: (e) => (e.alert ? <span className={css.alert}><Go to={at.alert(e.alert.id)}>{e.what}</Go>{e.alert.techniques.map((t) => <Badge key={t} tone="busy">{t}</Badge>)}</span> : <span className="mono" title={e.what}>{e.what}</span>) },
    { id: 'user', title: 'User', value: (e) => e.user, width: 150 },
  ], [flags, flag, format]);

  const exportAll = async () => {
    setExporting(true);
    try {
      const out: Event[] = [];
      let from: Seam | undefined;
      const control = new AbortController();
      while (out.length < mostExported) {
        const p = await page(ask, from, control.signal);
        out.push(...p.events);
        from = p.next;
        if (!from) break;
      }
      const names = Object.keys(out[0]?.row ?? {});
      saveCSV(`timeline-${m.computerDnsName ?? m.id}`, names, out.map((e) => names.map((n) => e.row[n])));
      if (out.length >= mostExported) notify({ intent: 'warning', title: `The newest ${mostExported.toLocaleString('en')} events were exported`, text: 'Choose a shorter range for the rest.' });
    } catch (e) {
      notify({ intent: 'error', title: 'The timeline could not be exported', text: e instanceof Error ? e.message : '' });
    } finally {
      setExporting(false);
    }
  };
  const toggle = (id: string) => {
    const next = chosen.includes(id) ? chosen.filter((g) => g !== id) : [...chosen, id];
    set({ groups: next.join(',') || undefined });
  };
  const complete = found.data?.pages.every((p) => p.complete) ?? true;
  return (
    <div className={css.timeline}>
      <div className={css.bar}>
        <Select size="small" aria-label="Range" value={span} onChange={(_, d) => { setNow(Math.ceil(Date.now() / 1000) * 1000); set({ span: d.value === '7d' ? undefined : d.value, from: undefined, to: undefined }); }}>
          <option value="1h">1 hour</option><option value="1d">1 day</option><option value="7d">1 week</option><option value="30d">30 days</option><option value="180d">6 months</option>
        </Select>
        <Find text={address.find ?? ''} set={(find) => set({ find: find || undefined })} />
        {groups.map((g) => <ToggleButton key={g.id} size="small" shape="circular" checked={chosen.includes(g.id)} onClick={() => toggle(g.id)}>{g.title}</ToggleButton>)}
        <ToggleButton size="small" shape="circular" checked={only === 'alerts'} onClick={() => set({ only: only === 'alerts' ? undefined : 'alerts' })}>Techniques</ToggleButton>
        <ToggleButton size="small" shape="circular" icon={<FlagRegular />} checked={only === 'flagged'} onClick={() => set({ only: only === 'flagged' ? undefined : 'flagged' })}>Flagged</ToggleButton>
        <span className={css.space} />
        {hasPage('/hunting') && <Button size="small" appearance="subtle" icon={<SearchRegular />} onClick={() => go(at.hunt(queryOf(ask)))}>Hunt</Button>}
        <Button size="small" appearance="subtle" icon={<ArrowDownloadRegular />} disabled={exporting || events.length === 0} onClick={() => void exportAll()}>{exporting ? 'Exporting…' : 'Export'}</Button>
      </div>
      <RangeGraph bins={bins.data ?? []} whole={whole} range={range} choose={(r) => set({ from: new Date(r.from).toISOString(), to: new Date(r.to).toISOString() })} alerts={alerts.data?.value.map((a) => Date.parse(a.lastEventTime ?? '')) ?? []} />
      <div className={css.range}>
        <span><Time at={new Date(range.from)} /> – <Time at={new Date(range.to)} /></span>
        {zoomed && <Button size="small" appearance="transparent" icon={<ZoomOutRegular />} onClick={() => set({ from: undefined, to: undefined })}>Whole range</Button>}
        <span className="quiet" role="status">{found.isFetching ? 'Loading…' : `${rows.length.toLocaleString('en')}${found.hasNextPage ? '+' : ''} events`}</span>
      </div>
      {!complete && <MessageBar intent="warning"><MessageBarBody>Telemetry of this time was lost: the timeline is not complete. The loss ledger, VedetteTelemetryGaps, says what and why.</MessageBarBody></MessageBar>}
      <div className={css.table}>
        {found.isPending && only !== 'alerts' ? <Waiting /> : found.error ? <Failure error={found.error} retry={() => void found.refetch()} />
          : rows.length === 0 ? <Empty title="Nothing happened that fits">Choose a longer range or fewer filters.</Empty>
          : <Table label="Events of the device" columns={columns} rows={rows} rowKey={(e) => e.key} sorted onOpen={setOpen} openKey={open?.key} onEnd={only === 'alerts' ? undefined : more} rowClass={(e) => (e.alert ? css.alertRow : undefined)} />}
      </div>
      <SidePanel open={open !== undefined} title={open ? (open.alert ? open.what : words(open.action)) : ''} close={() => setOpen(undefined)}
        actions={open && !open.alert && hasPage('/hunting') && <div><Button size="small" icon={<SearchRegular />} onClick={() => go(at.hunt(around(m, open)))}>Hunt for related events</Button></div>}>
        {open && <EventFacts event={open} />}
      </SidePanel>
    </div>
  );
}

/** Two lists that are newest first as one. */
function merge(a: Event[], b: Event[]): Event[] {
  const out: Event[] = [];
  let j = 0;
  for (const e of a) {
    while (j < b.length && b[j].at >= e.at) out.push(b[j++]);
    out.push(e);
  }
  return out.concat(b.slice(j));
}

function Find({ text, set }: { text: string; set: (t: string) => void }) {
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  return <form onSubmit={(e) => { e.preventDefault(); set(typed.trim()); }}><SearchBox size="small" placeholder="Search events, Enter" aria-label="Search events" value={typed} onChange={(_, d) => { setTyped(d.value); if (!d.value) set(''); }} /></form>;
}

function EventFacts({ event: e }: { event: Event }) {
  if (e.alert) return <Facts of={[['Alert', <Go to={at.alert(e.alert.id)}>{e.what}</Go>], ['Severity', e.alert.severity], ['Techniques', <Techniques of={e.alert.techniques} />], ['Time', <Time at={e.at} />]]} />;
  const r = e.row;
  const chain = [r.InitiatingProcessParentFileName, r.InitiatingProcessCommandLine || r.InitiatingProcessFileName, e.table === 'DeviceProcessEvents' ? r.ProcessCommandLine || r.FileName : undefined].filter(Boolean).map(String);
  const link = (name: string, v: string) => {
    if (name === 'SHA1' || name === 'InitiatingProcessSHA1') return <Go to={at.file(v)} className="go mono">{v}</Go>;
    if (name === 'RemoteIP') return <Go to={at.ip(v)}>{v}</Go>;
    return <span className={/CommandLine|Path|Fields|Id$/.test(name) ? 'mono wrap' : 'wrap'}>{v}</span>;
  };
  return (
    <>
      {chain.length > 1 && <ol className={css.chain} aria-label="Process chain">{chain.map((c, i) => <li key={i} style={{ marginLeft: i * 14 }} className="mono wrap">{c}</li>)}</ol>}
      <Facts of={Object.entries(r).filter(([, v]) => v !== null && v !== '' && v !== undefined).map(([k, v]) => [words(k), k === 'Timestamp' ? <Time at={String(v)} /> : link(k, typeof v === 'object' ? stringify(v) : String(v))])} />
    </>
  );
}
