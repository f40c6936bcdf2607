// The charts, on ECharts. Loaded by Chart.tsx alone.
import { tokens } from '@fluentui/react-components';
import { BarChart, HeatmapChart, LineChart, PieChart, ScatterChart } from 'echarts/charts';
import { AriaComponent, DataZoomComponent, GridComponent, LegendComponent, TooltipComponent, VisualMapComponent } from 'echarts/components';
import { init, use, type EChartsCoreOption } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';
import { useEffect, useRef } from 'react';
import { useTheme } from '../app/theme';

use([BarChart, HeatmapChart, LineChart, PieChart, ScatterChart, AriaComponent, DataZoomComponent, GridComponent, LegendComponent, TooltipComponent, VisualMapComponent, CanvasRenderer]);

/** What a chart shows, as ECharts has it; colours of axes and texts are the theme's. Tooltips are texts: names on
 *  devices are hostile, so nothing may render HTML of them. */
export type ChartSpec = EChartsCoreOption;

/** Colours of series that keep their distance for most kinds of colour blindness. */
const palette = { light: ['#056e7f', '#c45500', '#6b3fa0', '#1a7f37', '#b3261e', '#8a6a00', '#3b5bdb', '#5a6b7b'], dark: ['#5fd0c5', '#ffab66', '#c3a3ec', '#57c777', '#ff8a80', '#e6c34d', '#91a7ff', '#a9b8c6'] };

export default function EChart({ label, spec, onPick }: { label: string; spec: ChartSpec; onPick?: (name: string, series: string) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const { shown } = useTheme();
  const pick = useRef(onPick);
  pick.current = onPick;
  useEffect(() => {
    const el = box.current!;
    const style = getComputedStyle(el);
    const colour = (token: string) => style.getPropertyValue(token.slice(4, -1)).trim();
    const ink = colour(tokens.colorNeutralForeground2);
    const line = colour(tokens.colorNeutralStroke2);
    const axis = { axisLabel: { color: ink, fontSize: 11 }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false }, splitLine: { lineStyle: { color: line } } };
    const dressed = (a: unknown) => (Array.isArray(a) ? a.map((x: object) => ({ ...axis, ...x })) : a && typeof a === 'object' ? { ...axis, ...a } : undefined);
    const chart = init(el);
    const { xAxis, yAxis, ...rest } = spec as { xAxis?: unknown; yAxis?: unknown };
    chart.setOption({
      animation: false, color: palette[shown], aria: { enabled: true, label: { description: label } }, textStyle: { fontFamily: style.fontFamily },
      grid: { left: 8, right: 12, top: 12, bottom: 4, containLabel: true },
      tooltip: { renderMode: 'richText', confine: true, trigger: xAxis ? 'axis' : 'item', backgroundColor: colour(tokens.colorNeutralBackground1), borderColor: line, textStyle: { color: colour(tokens.colorNeutralForeground1), fontSize: 12 } },
      ...rest,
      ...(xAxis ? { xAxis: dressed(xAxis), yAxis: dressed(yAxis) } : {}),
      ...('legend' in rest ? { legend: { textStyle: { color: ink }, type: 'scroll', bottom: 0, itemHeight: 10, itemWidth: 14, ...(rest.legend as object) } } : {}),
    });
    chart.on('click', (e) => pick.current?.(String(e.name), String(e.seriesName)));
    const seen = new ResizeObserver(() => chart.resize());
    seen.observe(el);
    return () => { seen.disconnect(); chart.dispose(); };
  }, [spec, shown, label]);
  return <div ref={box} style={{ width: '100%', height: '100%' }} />;
}
