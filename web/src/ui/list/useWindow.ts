// Which rows of a long list are in sight. All rows are of one height, so that nothing has to be measured.
import { useCallback, useEffect, useLayoutEffect, useRef, useState, type RefObject } from 'react';

// Browsers place nothing further down than some 17 million pixels. A longer list has a scroll bar of this length, on which
// a pixel stands for several.
const longest = 8_000_000;
const extra = 8;
// Milliseconds after the last scroll until the scroll bar is put where it belongs.
const still = 150;

export interface Window {
  /** The rows that are in the document. */
  first: number;
  end: number;
  /** Pixels that the rows take. */
  height: number;
  /** Where a row is, in pixels. */
  top: (index: number) => number;
  /** Brings a row into sight, if it is not; `first` has it be the first one in sight. */
  show: (index: number, how?: 'first') => void;
  /** Keeps what is in sight where it is while so many rows come in above it. */
  shift: (rows: number) => void;
  /** Width of the box. */
  width: number;
}

/** Where a scrolling box is: the pixel of the list at its upper end, and how far what is there stands from where a list
 *  as long as its scroll bar would have it. */
interface At { at: number; off: number }

/** The window of a scrolling box on `count` rows below a head of one row. Where the scroll bar is shorter than the list,
 *  small steps go as far as they say and large ones, as of who pulls the bar, as far as the bar does; when nothing moves the
 *  bar is put where it belongs. */
export function useWindow(box: RefObject<HTMLElement | null>, count: number, row: number): Window {
  const [size, setSize] = useState({ width: 0, height: 0 });
  const total = count * row;
  const view = Math.max(0, size.height - row);
  const height = Math.min(total, longest);
  const bottom = Math.max(0, total - view);
  // How many pixels of the list one of the scroll bar stands for.
  const factor = total > longest ? bottom / Math.max(1, longest - view) : 1;
  const [{ at: scrolled, off }, setAt] = useState<At>({ at: 0, off: 0 });
  const now = useRef({ row, factor, view, bottom, at: 0, top: 0 });
  Object.assign(now.current, { row, factor, view, bottom });

  // Only a row that comes into sight changes what is drawn.
  const moved = useCallback((at: number, top: number) => {
    const n = now.current;
    n.at = at;
    n.top = top;
    const next = { at: Math.floor(at / n.row) * n.row, off: n.factor === 1 ? 0 : top - at };
    setAt((old) => (old.at === next.at && old.off === next.off ? old : next));
  }, []);

  useLayoutEffect(() => {
    const el = box.current!;
    const measure = () => setSize((old) => (old.width === el.clientWidth && old.height === el.clientHeight ? old : { width: el.clientWidth, height: el.clientHeight }));
    measure();
    const seen = new ResizeObserver(measure);
    seen.observe(el);
    return () => seen.disconnect();
  }, [box]);
  useEffect(() => {
    const el = box.current!;
    let later: ReturnType<typeof setTimeout> | undefined;
    // The rows go with the bar: nobody sees them move.
    const settle = (least = 0, most = Infinity) => {
      const n = now.current;
      if (n.factor === 1) return;
      const aim = Math.round(Math.max(least, Math.min(most, n.at / n.factor)));
      if (aim === n.top) return;
      el.scrollTop = aim;
      moved(n.at, el.scrollTop);
    };
    const changed = () => {
      const n = now.current;
      const top = el.scrollTop;
      if (n.factor === 1) { moved(top, top); return; }
      const step = top - n.top;
      if (step === 0) return;
      moved(Math.max(0, Math.min(n.bottom, Math.abs(step) <= 2 * n.view ? n.at + step : top * n.factor)), top);
      // The bar may be at an end before the list is.
      const last = el.scrollHeight - el.clientHeight;
      if ((top <= 0 && n.at > 0) || (top >= last && n.at < n.bottom)) settle(1, last - 1);
      clearTimeout(later);
      later = setTimeout(settle, still);
    };
    el.addEventListener('scroll', changed, { passive: true });
    return () => { el.removeEventListener('scroll', changed); clearTimeout(later); };
  }, [box, moved]);

  const at = Math.min(scrolled, bottom);
  const first = Math.max(0, Math.floor(at / row) - extra);
  const end = Math.min(count, Math.ceil((at + view) / row) + 1 + extra);
  const go = useCallback((aim: number) => {
    const n = now.current;
    const el = box.current!;
    const to = Math.max(0, Math.min(n.bottom, aim));
    el.scrollTop = n.factor === 1 ? to : Math.abs(to - n.at) <= 2 * n.view ? n.top + to - n.at : to / n.factor;
    moved(n.factor === 1 ? el.scrollTop : to, el.scrollTop);
  }, [box, moved]);
  const show = useCallback((index: number, how?: 'first') => {
    const n = now.current;
    const to = index * n.row;
    const aim = how === 'first' || to < n.at ? to : to + n.row > n.at + n.view ? to + n.row - n.view : n.at;
    if (aim !== n.at) go(aim);
  }, [go]);
  const shift = useCallback((rows: number) => go(now.current.at + rows * now.current.row), [go]);
  return { first, end, height, top: (index) => index * row + off, show, shift, width: size.width };
}
