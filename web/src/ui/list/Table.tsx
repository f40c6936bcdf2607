import { ArrowSortDownFilled } from '@fluentui/react-icons/svg/arrow-sort-down';
import { ArrowSortUpFilled } from '@fluentui/react-icons/svg/arrow-sort-up';
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent, type ReactNode } from 'react';
import css from './Table.module.css';
import { TableRow, type Told } from './TableRow';
import { useWindow } from './useWindow';

export type Cell = string | number | bigint | boolean | null | undefined;

/** A column of a table of T. */
export interface Column<T> {
  id: string;
  title: string;
  /** What the column sorts by and what is exported. */
  value: (row: T) => Cell;
  /** How it is shown; the value as text when it is not said. */
  cell?: (row: T) => ReactNode;
  /** Pixels; 160 when it is not said. */
  width?: number;
  /** Takes the room that is left. */
  grow?: boolean;
  /** Whether it can be sorted by; a text is the name that the server sorts by. */
  sort?: boolean | string;
  /** Not shown until somebody asks for it. */
  hidden?: boolean;
  align?: 'end';
  /** The cell shows the value's text and nothing more, or a text no longer than this one, in the fonts of the page: where
   *  that fits nothing is cut off. */
  plain?: boolean | string;
}

/** Rows that are not all there: a table shows those that are and tells by onSight which it wants. */
export interface Rows<T> {
  count: number;
  /** undefined for a row that is not there yet. */
  at: (index: number) => T | undefined;
  /** How many rows have come in above what is in sight, all in all; the table keeps what is in sight where it is. */
  above?: number;
}

export interface Sort { id: string; desc: boolean }

/** What somebody chose about columns: kept as a preference. */
export interface Layout { hidden?: string[]; shown?: string[]; order?: string[]; widths?: Record<string, number> }

/** The columns in the order and choice of a layout. */
export function arranged<T>(columns: Column<T>[], layout: Layout): Column<T>[] {
  const order = layout.order ?? [];
  const place = (c: Column<T>, i: number) => { const n = order.indexOf(c.id); return n < 0 ? order.length + i : n; };
  return columns.map((c, i) => [c, place(c, i)] as const).sort((a, b) => a[1] - b[1]).map(([c]) => c)
    .filter((c) => (c.hidden ? layout.shown?.includes(c.id) : !layout.hidden?.includes(c.id)));
}

/** Compares cells: numbers as numbers, texts as people order them, nothing last. */
export function compare(a: Cell, b: Cell): number {
  const none = (v: Cell) => v === null || v === undefined || v === '';
  if (none(a) || none(b)) return none(a) === none(b) ? 0 : none(a) ? 1 : -1;
  const number = (v: Cell) => typeof v === 'number' || typeof v === 'bigint';
  if (number(a) && number(b)) return a! < b! ? -1 : a! > b! ? 1 : 0;
  return collator.compare(String(a), String(b));
}
const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

const rowHeight = 36;
const untouched: Layout = {};
const least = 60;

interface TableProps<T> {
  /** What the table is of, for those who hear it. */
  label: string;
  columns: Column<T>[];
  /** All of them, or, for lists of any length, a way to those that are there; the latter are neither sorted nor ticked. */
  rows: T[] | Rows<T>;
  rowKey: (row: T) => string;
  sort?: Sort;
  onSort?: (s: Sort | undefined) => void;
  /** The server has sorted the rows already. */
  sorted?: boolean;
  layout?: Layout;
  onLayout?: (l: Layout) => void;
  /** Rows that are ticked; without it none can be. */
  selected?: ReadonlySet<string>;
  onSelect?: (s: Set<string>) => void;
  /** A row was chosen by click or Enter. */
  onOpen?: (row: T) => void;
  /** The row that is open beside the table. */
  openKey?: string;
  /** The end is near: more rows can be fetched. */
  onEnd?: () => void;
  /** The rows that are in sight, and some around, changed. */
  onSight?: (first: number, end: number) => void;
  /** A row to go to, whenever this is another one. */
  place?: { index: number };
  /** Extra attributes of a row, for tests and colour. */
  rowClass?: (row: T) => string | undefined;
  onCellContext?: (row: T, column: Column<T>, at: { x: number; y: number }) => void;
}

/** A table of any length: only the rows in sight are in the document. It fills its parent. Arrow keys move between
 *  rows, Enter opens, Space ticks. */
export function Table<T>(p: TableProps<T>) {
  const { columns, rowKey, sort, sorted, layout = untouched, onLayout, selected, onSelect, onOpen, onEnd, onSight, place } = p;
  const box = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(0);
  const [dragging, setDragging] = useState<{ id: string; width: number }>();
  const shown = useMemo(() => arranged(columns, layout), [columns, layout]);

  const given = p.rows;
  const all = useMemo(() => {
    if (!Array.isArray(given)) return undefined;
    const by = sort && !sorted ? columns.find((c) => c.id === sort.id) : undefined;
    if (!by) return given;
    const keyed = given.map((r) => [by.value(r), r] as const);
    keyed.sort((a, b) => (sort!.desc ? -compare(a[0], b[0]) : compare(a[0], b[0])));
    return keyed.map(([, r]) => r);
  }, [given, sort, sorted, columns]);
  const rows = useMemo<Rows<T>>(() => (all ? { count: all.length, at: (i) => all[i] } : given as Rows<T>), [all, given]);
  const { first, end, height, top, show, shift, width } = useWindow(box, rows.count, rowHeight);

  const widths = useMemo(() => {
    const ws = shown.map((c) => (dragging?.id === c.id ? dragging.width : layout.widths?.[c.id] ?? c.width ?? 160));
    const left = width - ws.reduce((a, b) => a + b, 0) - (selected ? 40 : 0) - 2;
    const growing = shown.map((c, i) => [c, i] as const).filter(([c]) => c.grow && layout.widths?.[c.id] === undefined && dragging?.id !== c.id);
    if (left > 0 && growing.length > 0) for (const [, i] of growing) ws[i] += Math.floor(left / growing.length);
    return ws;
  }, [shown, layout.widths, width, dragging, selected]);
  const total = widths.reduce((a, b) => a + b, 0) + (selected ? 40 : 0);
  const template = `${selected ? '40px ' : ''}${widths.map((w) => `${w}px`).join(' ')}`;

  useEffect(() => { if (onEnd && rows.count > 0 && end >= rows.count - 20) onEnd(); }, [end, rows.count, onEnd]);
  useEffect(() => onSight?.(first, end), [first, end, onSight]);
  useEffect(() => { if (place) { show(place.index, 'first'); setActive(place.index); } }, [place, show]);
  const above = useRef(rows.above ?? 0);
  useLayoutEffect(() => {
    const more = (rows.above ?? 0) - above.current;
    above.current = rows.above ?? 0;
    if (more !== 0) shift(more);
  }, [rows, shift]);

  const tick = useCallback((key: string) => {
    const next = new Set(selected);
    if (!next.delete(key)) next.add(key);
    onSelect?.(next);
  }, [selected, onSelect]);

  const move = (to: number) => {
    const n = Math.max(0, Math.min(rows.count - 1, to));
    setActive(n);
    show(n);
    // The row is mostly there already; one that is far away comes with the next frame.
    const focus = () => { const row = box.current?.querySelector<HTMLElement>(`[data-index="${n}"]`); row?.focus({ preventScroll: true }); return Boolean(row); };
    if (!focus()) requestAnimationFrame(focus);
  };
  const keys = (e: KeyboardEvent) => {
    const here = rows.at(active);
    const page = Math.max(1, Math.floor((box.current?.clientHeight ?? 0) / rowHeight) - 2);
    const steps: Record<string, number> = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: rows.count - 1 };
    if (!(e.target as HTMLElement).matches('[role=row]')) return;
    if (e.key in steps) move(steps[e.key]);
    else if (e.key === 'Enter' && here !== undefined) onOpen?.(here);
    else if (e.key === ' ' && selected && here !== undefined) tick(rowKey(here));
    else return;
    e.preventDefault();
  };

  const resize = (id: string, from: number) => (e: PointerEvent<HTMLSpanElement>) => {
    e.preventDefault();
    e.stopPropagation();
    const x = e.clientX;
    const handle = e.currentTarget;
    handle.setPointerCapture(e.pointerId);
    const at = (m: globalThis.PointerEvent) => Math.max(least, from + m.clientX - x);
    const moved = (m: globalThis.PointerEvent) => setDragging({ id, width: at(m) });
    const up = (m: globalThis.PointerEvent) => {
      handle.removeEventListener('pointermove', moved);
      handle.removeEventListener('pointerup', up);
      setDragging(undefined);
      onLayout?.({ ...layout, widths: { ...layout.widths, [id]: at(m) } });
    };
    handle.addEventListener('pointermove', moved);
    handle.addEventListener('pointerup', up);
  };

  const ticked = useMemo(() => (selected?.size && all ? all.reduce((n, r) => n + (selected.has(rowKey(r)) ? 1 : 0), 0) : 0), [all, selected, rowKey]);
  const told = useRef<Told<T>>(null!);
  told.current = { open: onOpen, tick: (row) => tick(rowKey(row)), focused: setActive, context: p.onCellContext };
  // The keyboard comes in at the row where it was, or the first one that is there.
  const activeAt = active >= first && active < end ? active : Math.min(end - 1, Math.max(first, Math.ceil((first + end) / 2)));
  return (
    <div ref={box} className={css.box} role="grid" aria-label={p.label} aria-rowcount={rows.count + 1} aria-colcount={shown.length + (selected ? 1 : 0)} aria-multiselectable={selected ? true : undefined} onKeyDown={keys}>
      <div role="rowgroup" className={css.headGroup} style={{ minWidth: total }}>
        <div role="row" aria-rowindex={1} className={css.head} style={{ gridTemplateColumns: template }}>
          {selected && (
            <div role="columnheader" className={css.tick}>
              <input type="checkbox" aria-label="Select all rows" checked={ticked > 0 && ticked === rows.count} ref={(e) => { if (e) e.indeterminate = ticked > 0 && ticked < rows.count; }} onChange={() => onSelect?.(new Set(ticked === rows.count ? [] : all?.map(rowKey)))} />
            </div>
          )}
          {shown.map((c, i) => {
            const on = sort?.id === c.id;
            const can = p.onSort && c.sort !== false && (!sorted || c.sort);
            return (
              <div key={c.id} role="columnheader" aria-sort={on ? (sort.desc ? 'descending' : 'ascending') : can ? 'none' : undefined} className={c.align ? css.headCellEnd : css.headCell}>
                {can
                  ? <button type="button" className={css.sorter} onClick={() => p.onSort!(on && sort.desc ? undefined : { id: c.id, desc: on })}>
                      <span className="clip">{c.title}</span>{on && (sort.desc ? <ArrowSortDownFilled /> : <ArrowSortUpFilled />)}
                    </button>
                  : <span className="clip">{c.title}</span>}
                {onLayout && <span className={css.resize} onPointerDown={resize(c.id, widths[i])} aria-hidden="true" />}
              </div>
            );
          })}
        </div>
      </div>
      <div role="rowgroup" style={{ height, minWidth: total, position: 'relative' }}>
        {Array.from({ length: Math.max(0, end - first) }, (_, n) => {
          const index = first + n;
          const row = rows.at(index);
          const key = row === undefined ? undefined : rowKey(row);
          return (
            // A row that comes in takes the place, and the focus, of what stood for it.
            <TableRow<T> key={all ? key : index} row={row} index={index} top={top(index)} template={template} widths={widths} columns={shown} ticked={selected && key !== undefined ? selected.has(key) : undefined} open={p.openKey === undefined ? undefined : p.openKey === key}
              active={index === activeAt} opens={onOpen !== undefined} menu={p.onCellContext !== undefined} more={row === undefined ? undefined : p.rowClass?.(row)} told={told} />
          );
        })}
      </div>
    </div>
  );
}
