import { memo, type RefObject } from 'react';
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
  row: T;
  index: number;
  /** Where it is, in pixels. */
  top: number;
  /** Widths of the columns, as a template of a grid. */
  template: string;
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

function Row<T>({ row, index, top, template, columns, ticked, open, active, opens, menu, more, told }: RowProps<T>) {
  const on = ticked || open;
  return (
    <div role="row" data-index={index} aria-rowindex={index + 2} aria-selected={ticked !== undefined || open !== undefined ? Boolean(on) : undefined}
      tabIndex={active ? 0 : -1} className={`${css.row} ${on ? css.on : ''} ${opens ? css.can : ''} ${more ?? ''}`} style={{ transform: `translateY(${top}px)`, gridTemplateColumns: template }}
      onFocus={(e) => { if (e.target === e.currentTarget) told.current.focused(index); }}
      onClick={(e) => { if (!(e.target as HTMLElement).closest('a,button,input,label')) { told.current.focused(index); told.current.open?.(row); } }}>
      {ticked !== undefined && <div role="gridcell" className={css.tick}><input type="checkbox" aria-label={`Select row ${index + 1}`} checked={ticked} onChange={() => told.current.tick(row)} /></div>}
      {columns.map((c) => {
        const value = c.value(row);
        const text = value === null || value === undefined ? '' : String(value);
        return (
          <div key={c.id} role="gridcell" className={c.align ? css.cellEnd : css.cell} title={c.cell ? undefined : text}
            onContextMenu={menu ? (e) => { e.preventDefault(); told.current.context?.(row, c, { x: e.clientX, y: e.clientY }); } : undefined}>
            {c.cell ? c.cell(row) : text === '' ? <span className="quiet">—</span> : text}
          </div>
        );
      })}
    </div>
  );
}

/** A row of a table. It is drawn anew only when something of it changed. */
export const TableRow = memo(Row) as typeof Row;
