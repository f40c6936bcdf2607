import { useEffect, useRef, type FocusEvent, type KeyboardEvent, type ReactNode } from 'react';

/** A long list of lines with buttons, which Tab goes through as one: up and down move between lines (elements that fit
 *  `line`), left and right between the buttons of one. */
export function Roving({ className, line, label, children }: { className?: string; line: string; label: string; children: ReactNode }) {
  const box = useRef<HTMLDivElement>(null);
  const at = useRef<HTMLElement>(null);
  const buttons = () => [...box.current!.querySelectorAll<HTMLElement>('button')];
  // The buttons are the children's own: which of them Tab finds is said here, after each time they are drawn.
  const mark = () => {
    const all = buttons();
    const here = at.current && all.includes(at.current) ? at.current : all[0];
    for (const b of all) b.tabIndex = b === here ? 0 : -1;
  };
  useEffect(mark);
  const focused = (e: FocusEvent) => { at.current = (e.target as HTMLElement).closest('button'); mark(); };
  const keys = (e: KeyboardEvent) => {
    const here = (e.target as HTMLElement).closest<HTMLElement>('button');
    const row = here?.closest(line);
    if (!here || !row) return;
    const own = [...row.querySelectorAll<HTMLElement>('button')];
    const rows = [...box.current!.querySelectorAll(line)].filter((r) => r.querySelector('button'));
    const from = rows.indexOf(row);
    let to: HTMLElement | undefined;
    if (e.key === 'ArrowRight') to = own[own.indexOf(here) + 1];
    else if (e.key === 'ArrowLeft') to = own[own.indexOf(here) - 1];
    else {
      const next = { ArrowDown: from + 1, ArrowUp: from - 1, PageDown: Math.min(rows.length - 1, from + 10), PageUp: Math.max(0, from - 10), Home: 0, End: rows.length - 1 }[e.key];
      if (next === undefined) return;
      const there = [...rows[next]?.querySelectorAll<HTMLElement>('button') ?? []];
      to = there[Math.min(own.indexOf(here), there.length - 1)];
    }
    e.preventDefault();
    to?.focus();
  };
  return <div ref={box} role="group" aria-label={label} className={className} onFocus={focused} onKeyDown={keys}>{children}</div>;
}
