import { Button, Checkbox, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Tooltip } from '@fluentui/react-components';
import { ArrowClockwiseRegular } from '@fluentui/react-icons/svg/arrow-clockwise';
import { ArrowDownRegular } from '@fluentui/react-icons/svg/arrow-down';
import { ArrowDownloadRegular } from '@fluentui/react-icons/svg/arrow-download';
import { ArrowUpRegular } from '@fluentui/react-icons/svg/arrow-up';
import { ColumnEditRegular } from '@fluentui/react-icons/svg/column-edit';
import { LinkRegular } from '@fluentui/react-icons/svg/link';
import { useEffect, useState, type ReactNode } from 'react';
import { get, type List, type Params } from '../../api/client';
import { queries } from '../../api/query';
import { usePreference } from '../../api/session';
import { useNotify } from '../../app/notices';
import { counted } from '../badges';
import { saveCSV } from '../export';
import { Empty, Failure, Waiting } from '../states';
import { useAddress } from '../url';
import { FilterBar } from './FilterBar';
import { expression, type Filter } from './filters';
import css from './ListView.module.css';
import { arranged, Table, type Column, type Layout, type Sort } from './Table';
import { listOptions, useList } from './useList';

interface Props<T> {
  /** Names the list among preferences and exports: "alerts". */
  name: string;
  /** What the list is of, for people. */
  label: string;
  /** The list of the public API. */
  path: string;
  columns: Column<T>[];
  rowKey: (row: T) => string;
  filters?: Filter[];
  /** What the search box says it looks for, and how it asks. */
  search?: { hint: string; odata: (text: string) => string };
  /** A filter of the page that nobody can take away. */
  always?: string;
  /** Further parameters of the call. */
  params?: Params;
  /** The order while nobody chose one. */
  start?: Sort;
  page?: number;
  every?: number;
  /** Called for a row that was chosen. */
  onOpen?: (row: T) => void;
  openKey?: string;
  /** What can be done with ticked rows. */
  bulk?: (rows: T[], clear: () => void) => ReactNode;
  empty?: { title: string; text?: ReactNode };
  aside?: ReactNode;
}

const most = 10_000;

/** What of a list stands in the address and is asked of the server. */
function asked<T>(p: Pick<Props<T>, 'path' | 'filters' | 'search' | 'always' | 'start' | 'page' | 'params' | 'columns'>, address: Record<string, string>) {
  const sort = address.sort ? { id: address.sort.replace(/^-/, ''), desc: address.sort.startsWith('-') } : p.start;
  const by = p.columns.find((c) => c.id === sort?.id);
  const field = by && (typeof by.sort === 'string' ? by.sort : by.id);
  const filter = expression(p.filters ?? [], address, p.always ?? '', address.q && p.search ? p.search.odata(address.q) : '');
  return { sort, path: p.path, filter, orderby: field ? `${field} ${sort!.desc ? 'desc' : 'asc'}` : undefined, page: p.page, params: p.params };
}

/** Asks for a list as an address has it, before its page is drawn. */
export function readAhead<T>(p: Pick<Props<T>, 'path' | 'filters' | 'search' | 'always' | 'start' | 'page' | 'params'>, columns: Column<T>[], address: Record<string, string>): void {
  void queries.prefetchInfiniteQuery(listOptions<T>(asked({ ...p, columns }, address)));
}

/** A list page's body: filters, commands and a table that grows. Filters, search and order stand in the address. */
export function ListView<T>(p: Props<T>) {
  const { filters = [], columns, rowKey } = p;
  const [address, set] = useAddress();
  const [layout, setLayout] = usePreference<Layout>(`columns.${p.name}`, {});
  const [selected, setSelected] = useState<Set<string>>(new Set());
  const [editing, setEditing] = useState(false);
  const notify = useNotify();
  const { sort, filter, orderby, ...query } = asked(p, address);
  const list = useList<T>({ ...query, filter, orderby, every: p.every });
  useEffect(() => setSelected(new Set()), [filter]);

  const exportAll = async () => {
    const rows: T[] = [];
    const size = p.page ?? 1000;
    try {
      while (rows.length < most) {
        const { value } = await get<List<T>>(p.path, { ...p.params, $filter: filter, $orderby: orderby, $top: size, $skip: rows.length || undefined });
        rows.push(...value);
        if (value.length < size) break;
      }
      const shown = arranged(columns, layout);
      saveCSV(p.name, shown.map((c) => c.title), rows.slice(0, most).map((r) => shown.map((c) => c.value(r))));
      if (rows.length >= most) notify({ intent: 'warning', title: `The first ${most.toLocaleString('en')} rows were exported`, text: 'Narrow the list to export the rest.' });
    } catch (e) {
      notify({ intent: 'error', title: 'The list could not be exported', text: e instanceof Error ? e.message : '' });
    }
  };
  const copy = () => navigator.clipboard.writeText(window.location.href).then(
    () => notify({ intent: 'success', title: 'Link copied', brief: true }), () => notify({ intent: 'error', title: 'The browser did not let the link be copied' }));

  // What the list begins with narrows it as well, but then nobody has asked for that.
  const narrowed = expression(filters, address) !== '' || Boolean(address.q);
  const chose = filters.some((f) => address[f.id] !== undefined) || Boolean(address.q);
  const everything = () => set(Object.fromEntries([...filters.map((f) => [f.id, f.start ? '*' : undefined]), ['q', undefined]]));
  const ticked = p.bulk ? list.rows.filter((r) => selected.has(rowKey(r))) : [];
  return (
    <div className={css.view}>
      <FilterBar name={p.name} filters={filters} search={p.search?.hint} />
      <div className={css.commands} role="toolbar" aria-label={p.label}>
        {ticked.length > 0 ? <><span className={css.count}>{ticked.length} selected</span>{p.bulk!(ticked, () => setSelected(new Set()))}</> : (
          <>
            <span className={css.count} role="status">{list.isPending ? '' : counted(list.total, 'item')}</span>
            {p.aside}
          </>
        )}
        <span className={css.space} />
        <Tooltip content="Refresh" relationship="label"><Button size="small" appearance="subtle" icon={<ArrowClockwiseRegular />} disabled={list.isFetching} onClick={() => void list.refetch()} /></Tooltip>
        <Button size="small" appearance="subtle" icon={<ArrowDownloadRegular />} onClick={() => void exportAll()} disabled={list.rows.length === 0}>Export</Button>
        <Button size="small" appearance="subtle" icon={<ColumnEditRegular />} onClick={() => setEditing(true)}>Columns</Button>
        <Button size="small" appearance="subtle" icon={<LinkRegular />} onClick={() => void copy()}>Copy link</Button>
      </div>
      <div className={css.table}>
        {list.isPending ? <Waiting /> : list.error && list.rows.length === 0 ? <Failure error={list.error} retry={() => void list.refetch()} />
          : list.rows.length === 0
            ? <Empty title={chose ? 'Nothing fits these filters' : p.empty?.title ?? 'There is nothing here yet'} action={narrowed && <Button size="small" onClick={everything}>Show everything</Button>}>{!chose && p.empty?.text}</Empty>
            : <Table label={p.label} columns={columns} rows={list.rows} rowKey={rowKey} sort={sort} sorted layout={layout} onLayout={setLayout}
                onSort={(s) => set({ sort: s && `${s.desc ? '-' : ''}${s.id}` })} selected={p.bulk ? selected : undefined} onSelect={setSelected}
                onOpen={p.onOpen} openKey={p.openKey} onEnd={list.more} />}
      </div>
      {editing && <EditColumns columns={columns as Column<unknown>[]} layout={layout} save={setLayout} close={() => setEditing(false)} />}
    </div>
  );
}

/** Which columns are shown, and in which order. */
export function EditColumns({ columns, layout, save, close }: { columns: Column<unknown>[]; layout: Layout; save: (l: Layout) => void; close: () => void }) {
  const [order, setOrder] = useState(() => {
    const known = (layout.order ?? []).filter((id) => columns.some((c) => c.id === id));
    return [...known, ...columns.map((c) => c.id).filter((id) => !known.includes(id))];
  });
  const [on, setOn] = useState(() => new Set(arranged(columns, layout).map((c) => c.id)));
  const title = (id: string) => columns.find((c) => c.id === id)!.title;
  const swap = (i: number, j: number) => setOrder(order.map((id, n) => (n === i ? order[j] : n === j ? order[i] : id)));
  const done = () => {
    save({ ...layout, order, hidden: columns.filter((c) => !c.hidden && !on.has(c.id)).map((c) => c.id), shown: columns.filter((c) => c.hidden && on.has(c.id)).map((c) => c.id) });
    close();
  };
  return (
    <Dialog open onOpenChange={(_, d) => { if (!d.open) close(); }}>
      <DialogSurface aria-describedby={undefined} style={{ maxWidth: 420 }}>
        <DialogBody>
          <DialogTitle>Columns</DialogTitle>
          <DialogContent>
            {order.map((id, i) => (
              <div key={id} className={css.column}>
                <Checkbox label={title(id)} checked={on.has(id)} disabled={on.size === 1 && on.has(id)} onChange={(_, d) => { const next = new Set(on); if (d.checked) next.add(id); else next.delete(id); setOn(next); }} />
                <span className={css.space} />
                <Button size="small" appearance="subtle" icon={<ArrowUpRegular />} aria-label={`Move ${title(id)} up`} disabled={i === 0} onClick={() => swap(i, i - 1)} />
                <Button size="small" appearance="subtle" icon={<ArrowDownRegular />} aria-label={`Move ${title(id)} down`} disabled={i === order.length - 1} onClick={() => swap(i, i + 1)} />
              </div>
            ))}
          </DialogContent>
          <DialogActions>
            <Button onClick={() => { save({}); close(); }}>Reset</Button>
            <Button appearance="primary" onClick={done}>Apply</Button>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  );
}
