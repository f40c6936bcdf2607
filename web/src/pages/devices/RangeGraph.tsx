import { Slider } from '@fluentui/react-components';
import { memo, useRef, useState, type PointerEvent } from 'react';
import { useFormat } from '../../app/time';
import css from './Timeline.module.css';
import type { Bin, Range } from './timeline';

interface Props {
  bins: Bin[];
  whole: Range;
  range: Range;
  choose: (r: Range) => void;
  alerts: number[];
  /** Goes to a time within the range. */
  jump?: (t: number) => void;
  /** The time that is looked at. */
  here?: number;
}

/** How many events there are over a range of time, of which a part is chosen by dragging, or with the first two sliders; a
 *  click, or the third, goes to a time. */
export function RangeGraph({ bins, whole, range, choose, alerts, jump, here }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<Range>();
  const { short } = useFormat();
  const most = mostOf(bins);
  const length = whole.to - whole.from;
  const part = (t: number) => Math.max(0, Math.min(1, (t - whole.from) / length));
  const shown = drag ?? range;
  const start = (e: PointerEvent<HTMLDivElement>) => {
    const el = box.current!;
    const r = el.getBoundingClientRect();
    const time = (x: number) => whole.from + Math.max(0, Math.min(1, (x - r.left) / r.width)) * length;
    const first = time(e.clientX);
    el.setPointerCapture(e.pointerId);
    let last = { from: first, to: first };
    const moved = (m: globalThis.PointerEvent) => { const t = time(m.clientX); last = { from: Math.min(first, t), to: Math.max(first, t) }; setDrag(last); };
    const up = () => {
      el.removeEventListener('pointermove', moved);
      el.removeEventListener('pointerup', up);
      setDrag(undefined);
      if (last.to - last.from > length / 400) choose(last);
      else if (first >= range.from && first <= range.to) jump?.(first);
    };
    el.addEventListener('pointermove', moved);
    el.addEventListener('pointerup', up);
  };
  const slide = (which: 'from' | 'to') => (_: unknown, d: { value: number }) => {
    const t = whole.from + (d.value / 1000) * length;
    const r = { ...range, [which]: t };
    if (r.from < r.to) choose(r);
  };
  return (
    <div className={css.graphBox}>
      <div ref={box} className={css.graph} onPointerDown={start} role="img" aria-label={`Events over time, at most ${most.toLocaleString('en')} in one bar`}>
        <Bars bins={bins} whole={whole} alerts={alerts} />
        {here !== undefined && here >= whole.from && here <= whole.to && <div className={css.here} style={{ left: `${part(here) * 100}%` }} />}
        <div className={css.shade} style={{ left: 0, width: `${part(shown.from) * 100}%` }} />
        <div className={css.shade} style={{ right: 0, width: `${(1 - part(shown.to)) * 100}%` }} />
      </div>
      <div className={css.sliders}>
        <Slider size="small" min={0} max={1000} value={part(range.from) * 1000} onChange={slide('from')} aria-label="Begin of the range" aria-valuetext={short(new Date(range.from))} />
        <Slider size="small" min={0} max={1000} value={part(range.to) * 1000} onChange={slide('to')} aria-label="End of the range" aria-valuetext={short(new Date(range.to))} />
        {jump && <Slider size="small" min={0} max={1000} value={part(here ?? range.to) * 1000} onChange={(_, d) => jump(Math.max(range.from, Math.min(range.to, whole.from + (d.value / 1000) * length)))} aria-label="Time in sight" aria-valuetext={short(new Date(here ?? range.to))} />}
      </div>
    </div>
  );
}

const mostOf = (bins: Bin[]): number => Math.max(1, ...bins.map((b) => b.n));

/** The bars, which stay while somebody scrolls. */
const Bars = memo(function Bars({ bins, whole, alerts }: Pick<Props, 'bins' | 'whole' | 'alerts'>) {
  const { short } = useFormat();
  const most = mostOf(bins);
  const length = whole.to - whole.from;
  const step = bins.length > 1 ? bins[1].at - bins[0].at : length;
  const x = (t: number) => Math.max(0, Math.min(1, (t - whole.from) / length)) * 1000;
  return (
    <svg viewBox="0 0 1000 60" preserveAspectRatio="none" className={css.svg} aria-hidden="true">
      {bins.map((b) => {
        const h = b.n === 0 ? 0 : Math.max(1.5, Math.sqrt(b.n / most) * 56);
        return <rect key={b.at} x={x(b.at)} width={Math.max(1, (step / length) * 1000 - 1)} y={60 - h} height={h} className={css.binBar}><title>{`${short(new Date(b.at))}: ${b.n.toLocaleString('en')} events`}</title></rect>;
      })}
      {alerts.filter((t) => t >= whole.from && t <= whole.to).map((t, i) => <rect key={`a${i}`} x={x(t) - 1} width={2.5} y={0} height={60} className={css.alertBar} />)}
    </svg>
  );
});
