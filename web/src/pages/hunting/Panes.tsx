import { Button, Input, Tab, TabList, Tooltip } from '@fluentui/react-components';
import { ChevronDoubleLeftRegular } from '@fluentui/react-icons/svg/chevron-double-left';
import { ChevronDoubleRightRegular } from '@fluentui/react-icons/svg/chevron-double-right';
import { ChevronDownRegular } from '@fluentui/react-icons/svg/chevron-down';
import { ChevronRightRegular } from '@fluentui/react-icons/svg/chevron-right';
import { DeleteRegular } from '@fluentui/react-icons/svg/delete';
import { StarFilled, StarRegular } from '@fluentui/react-icons/svg/star';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo, useState, type ReactNode } from 'react';
import { del, get, type List } from '../../api/client';
import { useMay, usePreference } from '../../api/session';
import { Time } from '../../app/time';
import { useConfirm } from '../../ui/confirm';
import { Roving } from '../../ui/Roving';
import { Failure, Waiting } from '../../ui/states';
import { useSaved, type Saved, type Vocabulary } from './api';
import css from './hunting.module.css';
import type { Ran } from './tabs';

type Pane = 'schema' | 'functions' | 'queries' | 'rules' | 'history';
const titles: Record<Pane, string> = { schema: 'Schema', functions: 'Functions', queries: 'Queries', rules: 'Rules', history: 'History' };

interface Props {
  vocabulary: Vocabulary;
  insert: (text: string) => void;
  openQuery: (title: string, text: string, saved?: string) => void;
  history: Ran[];
  clearHistory: () => void;
}

/** What stands beside the editor: what can be named in a query, and queries that are there already. */
export function Panes(p: Props) {
  const [pane, setPane] = usePreference<Pane>('hunting.pane', 'schema');
  const [narrow, setNarrow] = usePreference('hunting.narrow', false);
  const [text, setText] = useState('');
  if (narrow) {
    return <div className={css.side}><div className={css.sideHead}><Tooltip content="Show the panes" relationship="label"><Button size="small" appearance="subtle" icon={<ChevronDoubleRightRegular />} onClick={() => setNarrow(false)} /></Tooltip></div></div>;
  }
  return (
    <aside className={css.side} aria-label="Schema and queries">
      <div className={css.sideHead}>
        <TabList size="small" selectedValue={pane} onTabSelect={(_, d) => { setPane(d.value as Pane); setText(''); }} style={{ flex: 1, overflowX: 'auto' }}>
          {(Object.keys(titles) as Pane[]).map((k) => <Tab key={k} value={k} style={{ padding: '4px 6px', minWidth: 0 }}>{titles[k]}</Tab>)}
        </TabList>
        <Tooltip content="Hide the panes" relationship="label"><Button size="small" appearance="subtle" icon={<ChevronDoubleLeftRegular />} onClick={() => setNarrow(true)} /></Tooltip>
      </div>
      <Input className={css.search} size="small" placeholder={`Search ${titles[pane].toLowerCase()}`} aria-label={`Search ${titles[pane].toLowerCase()}`} value={text} onChange={(_, d) => setText(d.value)} />
      <Roving className={css.sideBody} label={`${titles[pane]}, arrows move in it`} line={`.${css.item}, .${css.columns} > li`}>
        {pane === 'schema' && <Tables {...p} text={text} />}
        {pane === 'functions' && <Functions {...p} text={text} />}
        {pane === 'queries' && <Queries {...p} text={text} />}
        {pane === 'rules' && <Rules {...p} text={text} />}
        {pane === 'history' && <History {...p} text={text} />}
      </Roving>
    </aside>
  );
}

const fits = (text: string, ...where: string[]) => { const t = text.trim().toLowerCase(); return t === '' || where.some((w) => w.toLowerCase().includes(t)); };

/** Groups of tables, by how their names begin. */
function family(name: string): string {
  if (/^DeviceTvm/.test(name)) return 'Vulnerability management';
  if (/^Device/.test(name)) return 'Devices';
  if (/^Alert/.test(name)) return 'Alerts';
  if (/^Vedette/.test(name)) return 'Server';
  return 'Former names';
}

function Favourite({ name, favourites, set }: { name: string; favourites: string[]; set: (f: string[]) => void }) {
  const on = favourites.includes(name);
  return <Button size="small" appearance="transparent" icon={on ? <StarFilled /> : <StarRegular />} aria-label={on ? `Remove ${name} from favourites` : `Add ${name} to favourites`} aria-pressed={on}
    onClick={() => set(on ? favourites.filter((f) => f !== name) : [...favourites, name])} />;
}

function Tables({ vocabulary, insert, text }: Props & { text: string }) {
  const [open, setOpen] = useState<Set<string>>(new Set());
  const [favourites, setFavourites] = usePreference<string[]>('hunting.favourites', []);
  const shown = vocabulary.tables.filter((t) => fits(text, t.name, ...t.columns.map((c) => c.name)));
  const groups = new Map<string, typeof shown>();
  for (const t of shown) {
    const g = favourites.includes(t.name) ? 'Favourites' : t.viewOf ? 'Former names' : family(t.name);
    groups.set(g, [...(groups.get(g) ?? []), t]);
  }
  const order = ['Favourites', 'Alerts', 'Devices', 'Vulnerability management', 'Server', 'Former names'];
  const turn = (name: string) => { const next = new Set(open); if (!next.delete(name)) next.add(name); setOpen(next); };
  if (shown.length === 0) return <p className="quiet" style={{ padding: 8 }}>No table fits.</p>;
  return [...groups].sort((a, b) => order.indexOf(a[0]) - order.indexOf(b[0])).map(([g, ts]) => (
    <div key={g}>
      <h3 className={css.folder}>{g}</h3>
      <ul className={css.list}>
        {ts.map((t) => {
          const on = open.has(t.name);
          return (
            <li key={t.name}>
              <div className={css.item}>
                <button type="button" className={css.turn} aria-expanded={on} aria-label={`Columns of ${t.name}`} onClick={() => turn(t.name)}>{on ? <ChevronDownRegular /> : <ChevronRightRegular />}</button>
                <button type="button" className={css.word} title={`${t.name}\n${t.description}\nInserts the name`} onClick={() => insert(t.name)}>{t.name}</button>
                <Favourite name={t.name} favourites={favourites} set={setFavourites} />
              </div>
              {on && (
                <ul className={css.columns}>
                  {t.columns.map((c) => <li key={c.name}><button type="button" className={css.column} onClick={() => insert(c.name)}><span>{c.name}</span><span className={css.type}>{c.type}</span></button></li>)}
                </ul>
              )}
            </li>
          );
        })}
      </ul>
    </div>
  ));
}

const functionKinds = { table: 'For tables', scalar: 'Scalar', aggregate: 'Aggregate' } as const;

function Functions({ vocabulary, insert, text }: Props & { text: string }) {
  const shown = vocabulary.functions.filter((f) => fits(text, f.name, f.description));
  return (Object.keys(functionKinds) as (keyof typeof functionKinds)[]).map((k) => {
    const of = shown.filter((f) => f.kind === k);
    return of.length > 0 && (
      <div key={k}>
        <h3 className={css.folder}>{functionKinds[k]}</h3>
        <ul className={css.list}>
          {of.map((f) => <li key={f.name} className={css.item}><button type="button" className={css.word} title={`${k === 'table' ? f.name : f.signature}\n${f.description}`} onClick={() => insert(k === 'table' ? `invoke ${f.name}()` : `${f.name}()`)}>{f.name}</button></li>)}
        </ul>
      </div>
    );
  });
}

function Queries({ openQuery, text }: Props & { text: string }) {
  const { data, error, isPending, refetch } = useSaved();
  const ask = useConfirm();
  const cache = useQueryClient();
  const may = useMay();
  const shown = (data ?? []).filter((q) => fits(text, q.name, q.folder, q.query));
  if (isPending) return <Waiting />;
  if (error) return <Failure error={error} retry={() => void refetch()} />;
  if (shown.length === 0) return <p className="quiet" style={{ padding: 8 }}>{data.length === 0 ? 'Queries that you save stand here, with those that others share.' : 'No query fits.'}</p>;
  const remove = (q: Saved) => ask({ title: `Delete “${q.name}”`, action: 'Delete query', reason: 'none', body: q.isShared ? 'It is shared: nobody will find it any more.' : undefined,
    run: async () => { await del(`/api/vedette/queries/${q.id}`); await cache.invalidateQueries({ queryKey: ['/api/vedette/queries'] }); } });
  const groups = new Map<string, Saved[]>();
  for (const q of shown) {
    const g = `${q.isShared ? 'Shared' : 'My queries'}${q.folder ? ` / ${q.folder}` : ''}`;
    groups.set(g, [...(groups.get(g) ?? []), q]);
  }
  return [...groups].map(([g, qs]) => (
    <div key={g}>
      <h3 className={css.folder}>{g}</h3>
      <ul className={css.list}>
        {qs.map((q) => (
          <li key={q.id} className={css.item}>
            <button type="button" className={css.word} title={`${q.description || q.query.slice(0, 400)}\n\nby ${q.createdBy}`} onClick={() => openQuery(q.name, q.query, q.isOwn ? q.id : undefined)}>{q.name}</button>
            {(q.isOwn || may('Vedette.Admin.All')) && <Button size="small" appearance="transparent" icon={<DeleteRegular />} aria-label={`Delete ${q.name}`} onClick={() => remove(q)} />}
          </li>
        ))}
      </ul>
    </div>
  ));
}

interface RuleEntity { id: string; displayName: string; isEnabled: boolean; queryCondition: { queryText: string } }

function Rules({ openQuery, text }: Props & { text: string }) {
  const may = useMay();
  const can = may('CustomDetection.Read.All', 'CustomDetection.ReadWrite.All');
  const { data, error, isPending, refetch } = useQuery({ queryKey: ['/beta/security/rules/detectionRules', 'pane'], enabled: can, queryFn: async () => (await get<List<RuleEntity>>('/beta/security/rules/detectionRules', { $top: 200 })).value });
  const shown = useMemo(() => (data ?? []).filter((r) => fits(text, r.displayName, r.queryCondition.queryText)), [data, text]);
  if (!can) return <p className="quiet" style={{ padding: 8 }}>You may not see detection rules.</p>;
  if (isPending) return <Waiting />;
  if (error) return <Failure error={error} retry={() => void refetch()} />;
  let body: ReactNode = <p className="quiet" style={{ padding: 8 }}>There is no custom rule yet. Run a query and make one of it.</p>;
  if (shown.length > 0) body = <ul className={css.list}>{shown.map((r) => <li key={r.id} className={css.item}><button type="button" className={css.word} title={r.queryCondition.queryText} onClick={() => openQuery(r.displayName, r.queryCondition.queryText)}>{r.displayName}{r.isEnabled ? '' : ' (off)'}</button></li>)}</ul>;
  return body;
}

function History({ openQuery, history, clearHistory, text }: Props & { text: string }) {
  const shown = history.filter((h) => fits(text, h.text));
  if (shown.length === 0) return <p className="quiet" style={{ padding: 8 }}>{history.length === 0 ? 'Queries that you ran stand here.' : 'No query fits.'}</p>;
  return (
    <>
      <ul className={css.list}>
        {shown.map((h) => (
          <li key={h.at} className={css.item}>
            <button type="button" className={css.word} title={h.text} onClick={() => openQuery('From history', h.text)}>
              <div className="clip mono">{h.text.replace(/^\s*\/\/.*$/gm, '').trim().split('\n').slice(0, 2).join(' ')}</div>
              <div className={css.told}><Time at={h.at} form="short" /> · {h.error ? 'failed' : `${h.rows.toLocaleString('en')} rows · ${h.seconds.toFixed(1)} s`}</div>
            </button>
          </li>
        ))}
      </ul>
      {text === '' && <Button size="small" appearance="subtle" onClick={clearHistory} style={{ margin: 6 }}>Clear the history</Button>}
    </>
  );
}
