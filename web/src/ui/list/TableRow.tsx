import { memo, type MouseEvent, type RefObject } from 'react';
import { fits } from './fits';
import type { Column } from './Table';
import css from './Table.module.css';

/** What a row tells its table; always the latest of it, so that rows need not be drawn anew with the table. */
export interface Told<T> {
  open?: (row: T) => void;
  tick: (row: T) => void;
  focused: (index: number) => void;
  context?: (row: T, column: Column<T>, at: { x: number; y: number }) => void;
}

interface RowProps<T> {
  /** undefined while it is not there yet. */
  row: T | undefined;
  index: number;
  /** Where it is, in pixels. */
  top: number;
  /** Widths of the columns, as a template of a grid. */
  template: string;
  /** The same in pixels. */
  widths: number[];
  columns: Column<T>[];
  /** Whether it is ticked; undefined where none can be. */
  ticked?: boolean;
  /** Whether it is open beside the table; undefined where none is. */
  open?: boolean;
  /** The row that the keyboard is on. */
  active: boolean;
  opens: boolean;
  menu: boolean;
  more?: string;
  told: RefObject<Told<T>>;
}

// Left and right of what is in a cell, and some for what is bold.
const around = 16 + 8;

// A row has a place and no transform, and its cells cut off only what does not fit: each of both is a node of its own in
// what the browser composes a frame of.
function Row<T>({ row, index, top, template, widths, columns, ticked, open, active, opens, menu, more, told }: RowProps<T>) {
  const on = ticked || open;
  const select = ticked !== undefined;
  const context = (e: MouseEvent<HTMLDivElement>) => {
    const cell = (e.target as HTMLElement).closest('[role=gridcell]');
    const column = cell ? columns[[...e.currentTarget.children].indexOf(cell) - (select ? 1 : 0)] : undefined;
    if (!column || row === undefined) return;
    e.preventDefault();
    told.current.context?.(row, column, { x: e.clientX, y: e.clientY });
  };
  return (
    <div role="row" data-index={index} aria-rowindex={index + 2} aria-selected={select || open !== undefined ? Boolean(on) : undefined} aria-busy={row === undefined ? true : undefined}
      tabIndex={active ? 0 : -1} className={`${css.row} ${on ? css.on : ''} ${opens ? css.can : ''} ${more ?? ''}`} style={{ top, gridTemplateColumns: template }}
      onFocus={(e) => { if (e.target === e.currentTarget) told.current.focused(index); }}
      onClick={(e) => { if (row !== undefined && !(e.target as HTMLElement).closest('a,button,input,label')) { told.current.focused(index); told.current.open?.(row); } }}
      onContextMenu={menu ? context : undefined}>
      {row === undefined ? <div role="gridcell" aria-colspan={columns.length} className={css.cell}><span className={css.waits}>Loading…</span></div> : (
        <>
          {select && <div role="gridcell" className={css.tick}><input type="checkbox" aria-label={`Select row ${index + 1}`} checked={ticked} onChange={() => told.current.tick(row)} /></div>}
          {columns.map((c, i) => {
            const value = c.value(row);
            const text = value === null || value === undefined ? '' : String(value);
            const whole = (c.plain || !c.cell) && fits(typeof c.plain === 'string' ? c.plain : text, widths[i] - around);
            return (
              <div key={c.id} role="gridcell" className={`${c.align ? css.cellEnd : css.cell}${whole ? '' : ` ${css.cut}`}`} title={c.cell || whole ? undefined : text}>
                {c.cell ? c.cell(row) : text === '' ? <span className="quiet">—</span> : text}
              </div>
            );
          })}
        </>
      )}
    </div>
  );
}

/** A row of a table. It is drawn anew only when something of it changed. */
export const TableRow = memo(Row) as typeof Row;
