import { Button, Dropdown, Menu, MenuDivider, MenuItem, MenuList, MenuPopover, MenuTrigger, MessageBar, MessageBarBody, MessageBarTitle, Option, type PositioningVirtualElement } from '@fluentui/react-components';
import { ArrowDownloadRegular } from '@fluentui/react-icons/svg/arrow-download';
import { ColumnEditRegular } from '@fluentui/react-icons/svg/column-edit';
import { DismissRegular } from '@fluentui/react-icons/svg/dismiss';
import { MoreHorizontalRegular } from '@fluentui/react-icons/svg/more-horizontal';
import { ShieldTaskRegular } from '@fluentui/react-icons/svg/shield-task';
import { useMemo, useState } from 'react';
import { parse, stringify } from '../../api/json';
import { spelt } from '../../api/text';
import { at, Go } from '../../app/links';
import { useNotify } from '../../app/notices';
import { longestTime, Time } from '../../app/time';
import { Chart } from '../../ui/Chart';
import { saveCSV } from '../../ui/export';
import { EditColumns } from '../../ui/list/ListView';
import { Table, type Column, type Layout, type Sort } from '../../ui/list/Table';
import { SidePanel } from '../../ui/SidePanel';
import { Empty } from '../../ui/states';
import type { Answer, Cells, ResultColumn, Value } from './api';
import { asked, chart, kindNames, kinds, type Kind } from './chart';
import css from './hunting.module.css';
import { TakeActions } from './TakeActions';
import { cell, condition, isTime, shown, type Test } from './values';

interface Row { n: number; cells: Cells }
interface Kept { column: number; value: Value; test: Test }

const tests: [Test, string][] = [['==', 'equals'], ['!=', 'does not equal'], ['contains', 'contains'], ['startswith', 'starts with'], ['endswith', 'ends with']];

function passes(k: Kept, row: Cells): boolean {
  const a = shown(row[k.column]).toLowerCase();
  const b = shown(k.value).toLowerCase();
  if (k.test === '==') return a === b;
  if (k.test === '!=') return a !== b;
  return k.test === 'contains' ? a.includes(b) : k.test === 'startswith' ? a.startsWith(b) : a.endsWith(b);
}

/** The result of a query: a table of all of it, or a chart; rows to look into, to go on from and to act on. */
export function Results({ answer, extend }: { answer: Answer; extend: (line: string) => void }) {
  const [view, setView] = useState<'table' | Kind>(() => asked(answer.render) ?? 'table');
  const [sort, setSort] = useState<Sort>();
  const [layout, setLayout] = useState<Layout>({});
  const [selected, setSelected] = useState<Set<string>>(new Set());
  const [open, setOpen] = useState<Row>();
  const [kept, setKept] = useState<Kept[]>([]);
  const [menu, setMenu] = useState<{ row: Row; column: number; at: { x: number; y: number } }>();
  const [editing, setEditing] = useState(false);
  const [acting, setActing] = useState(false);
  const notify = useNotify();
  const { columns } = answer;

  const all = useMemo<Row[]>(() => answer.rows.map((cells, n) => ({ n, cells })), [answer]);
  const rows = useMemo(() => (kept.length === 0 ? all : all.filter((r) => kept.every((k) => passes(k, r.cells)))), [all, kept]);
  const table = useMemo<Column<Row>[]>(() => columns.map((c, i) => ({
    id: `${i}:${c.Name}`, title: c.Name, sort: true, width: width(c, answer.rows, i), grow: i === columns.length - 1,
    // Numbers at the end of a column that takes the room left would stand far from all the rest.
    align: i < columns.length - 1 && /^(SByte|Int\d+|Double|Decimal|Single)$/i.test(c.Type) ? 'end' : undefined,
    value: (r) => { const v = r.cells[i]; return typeof v === 'object' && v !== null ? stringify(v) : v; },
    plain: isTime(c) ? longestTime : true,
    cell: (r) => cell(columns, r.cells, i),
  })), [columns, answer.rows]);
  const drawn = useMemo(() => (view === 'table' ? undefined : chart(columns, rows.map((r) => r.cells), view, answer.render)), [view, columns, rows, answer.render]);
  const ticked = useMemo(() => (selected.size === 0 ? [] : all.filter((r) => selected.has(String(r.n)))), [all, selected]);

  const copy = (text: string) => navigator.clipboard.writeText(text).then(() => notify({ intent: 'success', title: 'Copied', brief: true }), () => notify({ intent: 'error', title: 'The browser did not let it be copied' }));
  const keep = (column: number, value: Value, test: Test) => { setKept([...kept, { column, value, test }]); setMenu(undefined); };

  return (
    <>
      {!answer.completeness.complete && <Missing answer={answer} />}
      <div className={css.bar} role="toolbar" aria-label="Results">
        <span className={css.told} role="status">
          {rows.length !== all.length && `${rows.length.toLocaleString('en')} of `}{all.length.toLocaleString('en')} {all.length === 1 ? 'row' : 'rows'} · {answer.elapsedSeconds.toFixed(answer.elapsedSeconds < 10 ? 2 : 0)} s
          {all.length >= 100_000 && ' · cut at the limit'}
          {selected.size > 0 && ` · ${selected.size} selected`}
        </span>
        <span className={css.space} />
        {ticked.length > 0 && <Button size="small" appearance="primary" icon={<ShieldTaskRegular />} onClick={() => setActing(true)}>Take actions</Button>}
        <Dropdown size="small" aria-label="Shown as" value={view === 'table' ? 'Table' : kindNames[view]} selectedOptions={[view]} onOptionSelect={(_, d) => setView(d.optionValue as 'table' | Kind)} style={{ minWidth: 150 }}>
          <Option value="table">Table</Option>
          {kinds.map((k) => <Option key={k} value={k}>{kindNames[k]}</Option>)}
        </Dropdown>
        <Button size="small" appearance="subtle" icon={<ColumnEditRegular />} disabled={view !== 'table'} onClick={() => setEditing(true)}>Columns</Button>
        <Button size="small" appearance="subtle" icon={<ArrowDownloadRegular />} disabled={rows.length === 0} onClick={() => saveCSV('hunting', columns.map((c) => c.Name), (ticked.length > 0 ? ticked : rows).map((r) => r.cells))}>Export</Button>
      </div>
      {kept.length > 0 && (
        <div className={css.filters} aria-label="Filters of the result">
          {kept.map((k, i) => (
            <span key={i} className={css.pill}>
              <span className={css.pillText}>{columns[k.column].Name} {tests.find(([t]) => t === k.test)![1]} {shown(k.value) || '(empty)'}</span>
              <Button size="small" appearance="transparent" icon={<DismissRegular />} aria-label="Remove the filter" onClick={() => setKept(kept.filter((_, j) => j !== i))} />
            </span>
          ))}
          <Button size="small" appearance="subtle" onClick={() => { for (const k of kept) extend(condition(columns[k.column], k.value, k.test)); setKept([]); }}>Add to the query</Button>
        </div>
      )}
      {all.length === 0 ? <div className={css.table}><Empty title="The query found nothing">The telemetry of the chosen time holds no such rows.</Empty></div>
        : view === 'table' ? (
          <div className={css.table}>
            <Table<Row> label="Results" columns={table} rows={rows} rowKey={(r) => String(r.n)} sort={sort} onSort={setSort} layout={layout} onLayout={setLayout} selected={selected} onSelect={setSelected}
              onOpen={setOpen} openKey={open && String(open.n)} onCellContext={(row, c, where) => setMenu({ row, column: table.indexOf(c), at: where })} />
          </div>
        ) : (
          <div className={css.chart}>
            {drawn?.spec ? <Chart label={`${kindNames[view]} of the result`} spec={drawn.spec} height={340} /> : <Empty title="This cannot be drawn">{drawn?.why}</Empty>}
            {drawn?.cut && <p className={css.told}>The first 5,000 rows are drawn.</p>}
          </div>
        )}
      {menu && (
        <Menu open onOpenChange={(_, d) => { if (!d.open) setMenu(undefined); }} positioning={{ target: virtual(menu.at) }}>
          <MenuPopover><MenuList>
            {tests.map(([t, name]) => <MenuItem key={t} onClick={() => keep(menu.column, menu.row.cells[menu.column], t)}>Filter: {name} this</MenuItem>)}
            <MenuDivider />
            <MenuItem onClick={() => { extend(condition(columns[menu.column], menu.row.cells[menu.column], '==')); setMenu(undefined); }}>Add to the query: ==</MenuItem>
            <MenuItem onClick={() => { extend(condition(columns[menu.column], menu.row.cells[menu.column], '!=')); setMenu(undefined); }}>Add to the query: !=</MenuItem>
            <MenuDivider />
            <MenuItem onClick={() => void copy(shown(menu.row.cells[menu.column]))}>Copy the value</MenuItem>
            <MenuItem onClick={() => void copy(stringify(Object.fromEntries(columns.map((c, i) => [c.Name, menu.row.cells[i]])), 2))}>Copy the row as JSON</MenuItem>
            <MenuItem onClick={() => { setOpen(menu.row); setMenu(undefined); }}>Inspect the record</MenuItem>
          </MenuList></MenuPopover>
        </Menu>
      )}
      <SidePanel open={open !== undefined} title="Inspect record" close={() => setOpen(undefined)}>
        {open && <Record columns={columns} row={open.cells} keep={keep} extend={extend} copy={copy} />}
      </SidePanel>
      {editing && <EditColumns columns={table as Column<unknown>[]} layout={layout} save={setLayout} close={() => setEditing(false)} />}
      {acting && <TakeActions columns={columns} rows={ticked.map((r) => r.cells)} close={() => setActing(false)} />}
    </>
  );
}

/** Where the pointer is, as an element to open a menu at. */
const virtual = ({ x, y }: { x: number; y: number }): PositioningVirtualElement => ({ getBoundingClientRect: () => new DOMRect(x, y, 0, 0) });

/** A width that shows most of what the first rows hold. */
function width(c: ResultColumn, rows: Cells[], i: number): number {
  if (/^DateTime$/i.test(c.Type)) return 190;
  let most = c.Name.length + 3;
  for (let n = 0; n < Math.min(60, rows.length); n++) most = Math.max(most, Math.min(44, shown(rows[n][i]).length));
  return Math.max(80, Math.round(most * 7.6) + 28);
}

/** Every field of one row. */
function Record({ columns, row, keep, extend, copy }: { columns: ResultColumn[]; row: Cells; keep: (i: number, v: Value, t: Test) => void; extend: (line: string) => void; copy: (text: string) => void }) {
  const [withEmpty, setWithEmpty] = useState(false);
  const fields = columns.map((c, i) => [c, i] as const).filter(([, i]) => withEmpty || shown(row[i]) !== '');
  return (
    <>
      <dl className={css.fields}>
        {fields.map(([c, i]) => (
          <div key={i} className={css.field}>
            <dt>{c.Name}</dt>
            <dd className={pretty(row[i]) ? 'mono' : undefined}>{pretty(row[i]) ?? cell(columns, row, i)}</dd>
            <dd>
              <Menu>
                <MenuTrigger disableButtonEnhancement><Button size="small" appearance="subtle" icon={<MoreHorizontalRegular />} aria-label={`More for ${c.Name}`} /></MenuTrigger>
                <MenuPopover><MenuList>
                  {tests.map(([t, name]) => <MenuItem key={t} onClick={() => keep(i, row[i], t)}>Filter: {name} this</MenuItem>)}
                  <MenuDivider />
                  <MenuItem onClick={() => extend(condition(c, row[i], '=='))}>Add to the query: ==</MenuItem>
                  <MenuItem onClick={() => extend(condition(c, row[i], '!='))}>Add to the query: !=</MenuItem>
                  <MenuDivider />
                  <MenuItem onClick={() => copy(shown(row[i]))}>Copy the value</MenuItem>
                </MenuList></MenuPopover>
              </Menu>
            </dd>
          </div>
        ))}
      </dl>
      <Button size="small" appearance="subtle" onClick={() => setWithEmpty(!withEmpty)}>{withEmpty ? 'Hide empty fields' : 'Show empty fields'}</Button>
    </>
  );
}

/** JSON in lines, for values and texts that hold it. */
function pretty(v: Value): string | undefined {
  if (v !== null && typeof v === 'object') return stringify(v, 2);
  if (typeof v !== 'string' || !/^\s*[[{]/.test(v)) return undefined;
  try { return spelt(stringify(parse(v), 2)); } catch { return undefined; }
}

/** Says which telemetry is known to be missing from the answer. */
function Missing({ answer }: { answer: Answer }) {
  const { gaps, more } = answer.completeness;
  const [open, setOpen] = useState(false);
  const lost = gaps.reduce((n, g) => n + g.eventsLost, 0);
  return (
    <MessageBar intent="warning" layout="multiline">
      <MessageBarBody>
        <MessageBarTitle>Telemetry is missing</MessageBarTitle>
        In the time that the query looks at, {lost > 0 ? `${lost.toLocaleString('en')}${more ? ' or more' : ''} events were lost` : 'an unknown number of events was lost'} on {new Set(gaps.map((g) => g.deviceId)).size} {new Set(gaps.map((g) => g.deviceId)).size === 1 ? 'device' : 'devices'}. That nothing was found there does not mean that nothing happened.{' '}
        <Button size="small" appearance="transparent" onClick={() => setOpen(!open)} aria-expanded={open}>{open ? 'Less' : 'Which'}</Button>
        {open && <ul>{gaps.slice(0, 20).map((g, i) => <li key={i}><Go to={at.device(g.deviceId)}>{g.deviceId.slice(0, 12)}…</Go>: {g.reason} ({g.source}), {g.eventsLost || 'an unknown number of'} events, <Time at={g.from} form="short" /> to <Time at={g.to} form="short" /></li>)}</ul>}
      </MessageBarBody>
    </MessageBar>
  );
}
