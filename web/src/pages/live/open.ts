// The consoles that are open in this page. They go on while other pages of the portal are looked at, and end with the
// page itself, or with whoever opened them.
import { useSyncExternalStore } from 'react';
import { onSessionOver } from '../../api/client';
import type { Console } from './console';

let all: readonly Console[] = [];
const listeners = new Set<() => void>();

const changed = () => { for (const f of listeners) f(); };
const subscribe = (f: () => void) => {
  listeners.add(f);
  return () => { listeners.delete(f); };
};

// A page that goes takes its consoles along, and with them what runs there: it is asked for once more.
const hold = (e: BeforeUnloadEvent) => { if (all.some((c) => c.live)) e.preventDefault(); };

/** Lists a console with the others. */
export function adopt(c: Console): void {
  all = [...all, c];
  const off = c.subscribe(changed);
  if (all.length === 1) {
    window.addEventListener('beforeunload', hold);
    unhear = onSessionOver(() => { for (const x of [...all]) drop(x); });
  }
  leaving.set(c, off);
  changed();
}

const leaving = new Map<Console, () => void>();
let unhear: () => void = () => undefined;

/** Takes a console away: one that is live ends. */
export function drop(c: Console): void {
  leaving.get(c)?.();
  leaving.delete(c);
  all = all.filter((x) => x !== c);
  c.close();
  c.dispose();
  if (all.length === 0) {
    window.removeEventListener('beforeunload', hold);
    unhear();
  }
  changed();
}

/** The consoles of this page. */
export const useConsoles = (): readonly Console[] => useSyncExternalStore(subscribe, () => all);

/** How many sessions are live in this page. */
export const useOpenCount = (): number => useSyncExternalStore(subscribe, () => all.filter((c) => c.live).length);
