import { Button, MessageBar, MessageBarBody, SearchBox, Select, ToggleButton } from '@fluentui/react-components';
import { ArrowDownloadRegular } from '@fluentui/react-icons/svg/arrow-download';
import { FlagFilled, FlagRegular } from '@fluentui/react-icons/svg/flag';
import { SearchRegular } from '@fluentui/react-icons/svg/search';
import { ZoomOutRegular } from '@fluentui/react-icons/svg/zoom-out';
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
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
import { Events, type Place } from './events';
import { around, groups, outline, queryOf, section, type Ask, type Bin, type Event, type Range } from './timeline';

const spans: Record<string, number> = { '1h': 3_600_000, '1d': 86_400_000, '7d': 7 * 86_400_000, '30d': 30 * 86_400_000, '180d': 180 * 86_400_000 };
const mostExported = 50_000;
/** Events that are read at once. */
const pageSize = 400;
const none: Bin[] = [];
const unflagged: string[] = [];
const noAlerts: Event[] = [];
const keyOf = (e: Event) => e.key;
const classOf = (e: Event) => (e.alert ? css.alertRow : undefined);

/** What happened on a device, newest first. The range, filters and search stand in the address. */
export default function Timeline({ machine: m }: { machine: Machine }) {
  const [address, set] = useAddress();
  const may = useMay();
  const notify = useNotify();
  const go = useGo();
  const format = useFormat();
  const [open, setOpen] = useState<Event>();
  const [exporting, setExporting] = useState(false);
  const [flags, setFlags] = usePreference<string[]>(`flags.${m.id.slice(0, 40)}`, unflagged);
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
  const flagged = only === 'flagged' ? flags : undefined;
  const ask = useMemo<Ask>(() => ({ device: m.id, range, groups: chosen, search: address.find ?? '', flagged }), [m.id, range, chosen, address.find, flagged]);

  // The whole range's outline draws the graph; the part that is chosen has one of its own.
  const asOf = useCallback((r: Range) => outline({ ...ask, range: r }, pageSize, 120), [ask]);
  const graph = useQuery({ queryKey: ['timeline', 'outline', { ...ask, range: whole }], queryFn: () => asOf(whole), staleTime: Infinity, placeholderData: keepPreviousData, structuralSharing: false });
  const cache = useQueryClient();
  const store = useMemo(() => new Events({
    section: (after, until, top) => section(ask, after, until, top),
    outline: () => cache.fetchQuery({ queryKey: ['timeline', 'outline', ask], queryFn: () => asOf(ask.range), staleTime: Infinity, structuralSharing: false }),
  }, pageSize), [ask, asOf, cache]);
  useEffect(() => { if (only !== 'alerts') store.start(); return () => store.stop(); }, [store, only]);
  const known = useSyncExternalStore(store.subscribe, store.read);
  const alerts = useQuery({
    queryKey: ['/api/alerts', 'timeline', m.id, range], enabled: may('Alert.Read.All'), staleTime: 60_000,
    queryFn: () => get<List<Alert>>('/api/alerts', { $filter: `machineId eq ${quoted(m.id)} and lastEventTime ge ${new Date(range.from).toISOString()} and firstEventTime lt ${new Date(range.to).toISOString()}`, $top: 1000 }),
  });
  const raised = useMemo(() => {
    const text = (address.find ?? '').toLowerCase();
    return (alerts.data?.value ?? []).filter((a) => !text || a.title.toLowerCase().includes(text)).map((a): Event => ({
      key: `alert/${a.id}`, at: a.lastEventTime ?? a.alertCreationTime ?? '', table: 'Alert', action: a.mitreTechniques.length > 0 ? 'Technique' : 'Alert', row: {}, what: a.title, user: a.relatedUser?.userName ?? '',
      alert: { id: a.id, techniques: a.mitreTechniques, severity: a.severity },
    })).filter((a) => only !== 'flagged' || flags.includes(a.key)).sort((a, b) => b.at.localeCompare(a.at));
  }, [alerts.data, address.find, only, flags]);
  useEffect(() => store.raise(chosen.length > 0 ? noAlerts : raised), [store, raised, chosen]);
  const times = useMemo(() => (alerts.data?.value ?? []).map((a) => Date.parse(a.lastEventTime ?? '')), [alerts.data]);
  const rows = only === 'alerts' ? raised : known;
  const count = only === 'alerts' ? raised.length : known.count;

  // Where somebody is, for the graph; and where somebody wants to be, to the event as soon as it is there.
  const [here, setHere] = useState<number>();
  const [place, setPlace] = useState<{ index: number }>();
  const goal = useRef<string>(undefined);
  const seeing = useRef<ReturnType<typeof setTimeout>>(undefined);
  const look = useCallback((first: number, end: number) => {
    store.look(first, end);
    clearTimeout(seeing.current);
    seeing.current = setTimeout(() => setHere(store.timeAt((first + end) >> 1)), 120);
  }, [store]);
  const jump = useCallback((t: number) => {
    const time = new Date(t).toISOString();
    const { index, exact } = store.indexOf(time);
    goal.current = exact ? undefined : time;
    setPlace({ index });
  }, [store]);
  useEffect(() => {
    const found = goal.current === undefined ? undefined : store.indexOf(goal.current);
    if (!found?.exact) return;
    goal.current = undefined;
    setPlace({ index: found.index });
  }, [known, store]);
  useEffect(() => { goal.current = undefined; setPlace(undefined); setHere(undefined); }, [store]);

  const flag = useCallback((key: string) => setFlags(flags.includes(key) ? flags.filter((k) => k !== key) : [key, ...flags].slice(0, 1000)), [flags, setFlags]);
  const columns = useMemo<Column<Event>[]>(() => [
    { id: 'flag', title: 'Flag', value: (e) => (flags.includes(e.key) ? 'flagged' : ''), width: 50, cell: (e) => (
      <button type="button" className={css.flag} aria-pressed={flags.includes(e.key)} aria-label={flags.includes(e.key) ? 'Remove the flag' : 'Flag this event'} onClick={() => flag(e.key)}>{flags.includes(e.key) ? <FlagFilled /> : <FlagRegular />}</button>) },
    { id: 'at', title: 'Time', value: (e) => e.at, cell: (e) => <span className="mono">{format.short(e.at).split(',')[0]} {format.clock(e.at)}</span>, width: 165, plain: '30 Sept 00:00:00.000' },
    { id: 'action', title: 'Event', value: (e) => words(e.action), cell: (e) => (e.alert ? <strong>{e.action}</strong> : words(e.action)), width: 190, plain: true },
    { id: 'what', title: 'What happened', value: (e) => e.what, grow: true, width: 420, plain: true, cell: (e) => (e.alert ? <span className={css.alert}><Go to={at.alert(e.alert.id)}>{e.what}</Go>{e.alert.techniques.map((t) => <Badge key={t} tone="busy">{t}</Badge>)}</span> : <span className="mono" title={e.what}>{e.what}</span>) },
    { id: 'user', title: 'User', value: (e) => e.user, width: 150 },
  ], [flags, flag, format]);

  const exportAll = async () => {
    setExporting(true);
    try {
      const out: Event[] = [];
      let from: Place | undefined;
      do {
        const part = await section(ask, from, undefined, 5000);
        out.push(...part.events);
        from = part.cut ? part.last : undefined;
      } while (from && out.length < mostExported);
      const names = Object.keys(out[0]?.row ?? {});
      saveCSV(`timeline-${m.computerDnsName ?? m.id}`, names, out.map((e) => names.map((n) => e.row[n])));
      if (from) notify({ intent: 'warning', title: `The newest ${out.length.toLocaleString('en')} events were exported`, text: 'Choose a shorter range for the rest.' });
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
  const complete = graph.data?.complete ?? true;
  const failed = only === 'alerts' ? alerts.error ?? undefined : known.error;
  const status = only === 'alerts' ? alerts.isPending : known.empty;
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
        <Button size="small" appearance="subtle" icon={<ArrowDownloadRegular />} disabled={exporting || count === 0 || only === 'alerts'} onClick={() => void exportAll()}>{exporting ? 'Exporting…' : 'Export'}</Button>
      </div>
      <RangeGraph bins={graph.data?.bins ?? none} whole={whole} range={range} choose={(r) => set({ from: new Date(r.from).toISOString(), to: new Date(r.to).toISOString() })} jump={only === 'alerts' ? undefined : jump} here={count > 0 ? here : undefined} alerts={times} />
      <div className={css.range}>
        <span><Time at={new Date(range.from)} /> – <Time at={new Date(range.to)} /></span>
        {zoomed && <Button size="small" appearance="transparent" icon={<ZoomOutRegular />} onClick={() => set({ from: undefined, to: undefined })}>Whole range</Button>}
        <span className="quiet" role="status">{status ? 'Loading…' : `${count.toLocaleString('en')}${only === 'alerts' || known.whole ? '' : ' or more'} ${count === 1 ? 'event' : 'events'}`}</span>
      </div>
      {!complete && <MessageBar intent="warning"><MessageBarBody>Telemetry of this time was lost: the timeline is not complete. The loss ledger, VedetteTelemetryGaps, says what and why.</MessageBarBody></MessageBar>}
      {failed !== undefined && count > 0 && <MessageBar intent="error"><MessageBarBody>Some events could not be read: {failed instanceof Error ? failed.message : 'unknown'} <Button size="small" onClick={store.retry}>Try again</Button></MessageBarBody></MessageBar>}
      <div className={css.table}>
        {status ? <Waiting /> : count === 0 ? (failed ? <Failure error={failed} retry={store.retry} /> : <Empty title="Nothing happened that fits">Choose a longer range or fewer filters.</Empty>)
          : <Table label="Events of the device" columns={columns} rows={rows} rowKey={keyOf} sorted onOpen={setOpen} openKey={open?.key} onSight={only === 'alerts' ? undefined : look} place={place} rowClass={classOf} />}
      </div>
      <SidePanel open={open !== undefined} title={open ? (open.alert ? open.what : words(open.action)) : ''} close={() => setOpen(undefined)}
        actions={open && !open.alert && hasPage('/hunting') && <div><Button size="small" icon={<SearchRegular />} onClick={() => go(at.hunt(around(m, open)))}>Hunt for related events</Button></div>}>
        {open && <EventFacts event={open} />}
      </SidePanel>
    </div>
  );
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
