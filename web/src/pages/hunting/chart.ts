// What render asks for, as a chart.
import { stringify } from '../../api/json';
import type { ChartSpec } from '../../ui/EChart';
import type { Cells, Render, ResultColumn } from './api';

/** The ways of drawing that can be chosen. */
export const kinds = ['columnchart', 'barchart', 'piechart', 'linechart', 'timechart', 'areachart', 'stackedareachart', 'scatterchart'] as const;
export type Kind = (typeof kinds)[number];

export const kindNames: Record<Kind, string> = {
  columnchart: 'Column chart', barchart: 'Bar chart', piechart: 'Pie chart', linechart: 'Line chart', timechart: 'Time chart',
  areachart: 'Area chart', stackedareachart: 'Stacked area chart', scatterchart: 'Scatter chart',
};

const numeric = (c: ResultColumn): boolean => /^(SByte|Int16|Int32|Int64|Double|Decimal|Single|Long|Int|Real)$/i.test(c.Type);
const temporal = (c: ResultColumn): boolean => /^DateTime$/i.test(c.Type);

const most = 5000;
const mostSeries = 30;

/** Which kind a render operator asks for; undefined for a table. */
export function asked(r: Render | null): Kind | undefined {
  const k = r?.kind.toLowerCase();
  if (k === 'anomalychart') return 'timechart';
  return kinds.find((x) => x === k);
}

/** What can be drawn of a result, or why nothing can. */
export function chart(columns: ResultColumn[], rows: Cells[], kind: Kind, render: Render | null): { spec?: ChartSpec; why?: string; cut?: boolean } {
  const named = (name: string | undefined) => (name ? columns.findIndex((c) => c.Name === name) : -1);
  const ys0 = columns.map((c, i) => (numeric(c) ? i : -1)).filter((i) => i >= 0);
  let x = named(render?.properties.xcolumn);
  if (x < 0) x = kind === 'timechart' ? columns.findIndex(temporal) : columns.findIndex((c) => !numeric(c));
  if (x < 0 && kind === 'scatterchart') x = ys0[0] ?? -1;
  if (x < 0) x = ys0.length > 1 ? ys0[0] : -1;
  const ys = (render?.properties.ycolumns?.split(',').map((n) => named(n.trim())).filter((i) => i >= 0) ?? []).concat().length > 0
    ? render!.properties.ycolumns.split(',').map((n) => named(n.trim())).filter((i) => i >= 0) : ys0.filter((i) => i !== x);
  if (x < 0 || ys.length === 0) return { why: kind === 'timechart' ? 'A time chart needs a column of times and one of numbers.' : 'A chart needs a column of numbers and one to show them by.' };
  const by = columns.findIndex((c, i) => i !== x && !ys.includes(i) && !numeric(c) && !temporal(c));
  const cut = rows.length > most;
  const shown = cut ? rows.slice(0, most) : rows;
  const text = (v: unknown): string => (v === null || v === undefined || v === '' ? '(empty)' : typeof v === 'object' ? stringify(v) : String(v));
  const number = (v: unknown): number | null => (v === null || v === '' || Number.isNaN(Number(v)) ? null : Number(v));

  if (kind === 'piechart') {
    const sums = new Map<string, number>();
    for (const r of shown) sums.set(text(r[x]), (sums.get(text(r[x])) ?? 0) + (number(r[ys[0]]) ?? 0));
    const data = [...sums].map(([name, value]) => ({ name, value })).sort((a, b) => b.value - a.value);
    return { cut, spec: { legend: { orient: 'vertical', right: 8, top: 'middle', bottom: undefined }, series: [{ type: 'pie', radius: ['35%', '70%'], center: ['38%', '50%'], data, label: { show: false } }] } };
  }
  const time = temporal(columns[x]);
  const flat = kind === 'barchart';
  const series = new Map<string, Map<string | number, number | null>>();
  const places: (string | number)[] = [];
  const seen = new Set<string | number>();
  for (const r of shown) {
    const place = time ? Date.parse(String(r[x])) : kind === 'scatterchart' && numeric(columns[x]) ? number(r[x]) ?? 0 : text(r[x]);
    if (!seen.has(place)) { seen.add(place); places.push(place); }
    for (const y of ys) {
      const name = by >= 0 ? (ys.length > 1 ? `${text(r[by])}: ${columns[y].Name}` : text(r[by])) : columns[y].Name;
      let s = series.get(name);
      if (!s) {
        if (series.size >= mostSeries) continue;
        s = new Map();
        series.set(name, s);
      }
      s.set(place, (s.get(place) ?? 0) + (number(r[y]) ?? 0));
    }
  }
  if (time) (places as number[]).sort((a, b) => a - b);
  const bars = kind === 'columnchart' || flat;
  const along = time ? { type: 'time' } : kind === 'scatterchart' && numeric(columns[x]) ? { type: 'value', name: columns[x].Name } : { type: 'category', data: places.map(String), axisLabel: { width: 140, overflow: 'truncate' } };
  const up = { type: 'value', name: render?.properties.ytitle ?? '', max: number(render?.properties.ymax) ?? undefined, min: number(render?.properties.ymin) ?? undefined };
  const stacked = kind === 'stackedareachart' || (bars && series.size > 1 && render?.properties.kind !== 'unstacked');
  return {
    cut,
    spec: {
      xAxis: flat ? up : along, yAxis: flat ? { ...along, inverse: true } : up, ...(series.size > 1 ? { legend: {} } : {}),
      grid: { left: 8, right: 16, top: 16, bottom: series.size > 1 ? 30 : 4, containLabel: true },
      series: [...series].map(([name, points]) => ({
        name, type: bars ? 'bar' : kind === 'scatterchart' ? 'scatter' : 'line', stack: stacked ? 'all' : undefined, showSymbol: points.size < 40, symbolSize: kind === 'scatterchart' ? 8 : 5,
        areaStyle: kind === 'areachart' || kind === 'stackedareachart' ? { opacity: 0.35 } : undefined, barMaxWidth: 48,
        data: time || along.type === 'value' ? places.filter((p) => points.has(p)).map((p) => [p, points.get(p) ?? null]) : places.map((p) => points.get(p) ?? null),
      })),
    },
  };
}
