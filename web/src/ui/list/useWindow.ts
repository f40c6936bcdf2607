// Which rows of a long list are in sight. All rows are of one height, so that nothing has to be measured.
import { useCallback, useEffect, useLayoutEffect, useRef, useState, type RefObject } from 'react';

// Browsers place nothing further down than some 17 million pixels. A longer list has a scroll bar of this length, on which
// a pixel stands for several.
const longest = 8_000_000;
const extra = 8;

export interface Window {
  /** The rows that are in the document. */
  first: number;
  end: number;
  /** Pixels that the rows take. */
  height: number;
  /** Where a row is, in pixels. */
  top: (index: number) => number;
  /** Brings a row into sight, if it is not. */
  show: (index: number) => void;
  /** Width of the box. */
  width: number;
}

/** The window of a scrolling box on `count` rows below a head of one row. */
export function useWindow(box: RefObject<HTMLElement | null>, count: number, row: number): Window {
  const [size, setSize] = useState({ width: 0, height: 0 });
  const total = count * row;
  const view = Math.max(0, size.height - row);
  const height = Math.min(total, longest);
  // How many pixels of the list one of the scroll bar stands for.
  const factor = total > longest ? (total - view) / Math.max(1, longest - view) : 1;
  const [scrolled, setScrolled] = useState(0);
  const state = useRef({ row, factor });
  state.current = { row, factor };

  useLayoutEffect(() => {
    const el = box.current!;
    setSize({ width: el.clientWidth, height: el.clientHeight });
    const seen = new ResizeObserver(() => setSize({ width: el.clientWidth, height: el.clientHeight }));
    seen.observe(el);
    return () => seen.disconnect();
  }, [box]);
  useEffect(() => {
    const el = box.current!;
    // With a pixel for a pixel the rows stand still in the document, and only a row that comes into sight changes it.
    const changed = () => { const { row: r, factor: f } = state.current; setScrolled(f === 1 ? Math.floor(el.scrollTop / r) * r : el.scrollTop); };
    el.addEventListener('scroll', changed, { passive: true });
    return () => el.removeEventListener('scroll', changed);
  }, [box]);

  const at = Math.min(scrolled * factor, Math.max(0, total - view));
  const first = Math.max(0, Math.floor(at / row) - extra);
  const end = Math.min(count, Math.ceil((at + view) / row) + 1 + extra);
  const shift = factor === 1 ? 0 : scrolled - at;
  const show = useCallback((index: number) => {
    const el = box.current!;
    const from = el.scrollTop * factor;
    const to = index * row;
    const aim = to < from ? to : to + row > from + view ? to + row - view : from;
    if (aim !== from) el.scrollTop = aim / factor;
    setScrolled(el.scrollTop);
  }, [box, factor, row, view]);
  return { first, end, height, top: (index) => index * row + shift, show, width: size.width };
}
