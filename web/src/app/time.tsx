// Times as the person wants to read them. The server speaks UTC; every time is shown by <Time> or useFormat.
import { createContext, useContext, useMemo, type ReactNode } from 'react';
import { usePreference } from '../api/session';

/** 'local' is the browser's zone; otherwise a name of the IANA database. */
export type Zone = string;

interface ZoneState { zone: Zone; choose: (z: Zone) => void; name: string }

const ZoneContext = createContext<ZoneState>({ zone: 'local', choose: () => undefined, name: 'UTC' });
export const useZone = (): ZoneState => useContext(ZoneContext);

export function ZoneProvider({ children }: { children: ReactNode }) {
  const [zone, choose] = usePreference<Zone>('zone', 'local');
  const state = useMemo(() => ({ zone, choose, name: zone === 'local' ? Intl.DateTimeFormat().resolvedOptions().timeZone : zone }), [zone, choose]);
  return <ZoneContext value={state}>{children}</ZoneContext>;
}

export interface Format {
  /** 22 Nov 2026, 04:15:09 */
  full: (t: string | Date | null | undefined) => string;
  /** 22 Nov, 04:15 */
  short: (t: string | Date | null | undefined) => string;
  /** 04:15:09.123 */
  clock: (t: string | Date | null | undefined) => string;
  day: (t: string | Date | null | undefined) => string;
}

/** Writes times in the person's zone; what is no time is a dash. */
export function useFormat(): Format {
  const { name } = useZone();
  return useMemo(() => {
    const make = (o: Intl.DateTimeFormatOptions) => {
      const f = new Intl.DateTimeFormat('en-GB', { ...o, timeZone: name });
      return (t: string | Date | null | undefined) => {
        const d = t instanceof Date ? t : t ? new Date(t) : undefined;
        return d && !Number.isNaN(d.getTime()) && d.getUTCFullYear() > 1 ? f.format(d) : '—';
      };
    };
    return {
      full: make({ day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false }),
      short: make({ day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hour12: false }),
      clock: make({ hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hour12: false }),
      day: make({ day: 'numeric', month: 'short', year: 'numeric' }),
    };
  }, [name]);
}

const steps: [number, Intl.RelativeTimeFormatUnit][] = [[60, 'second'], [60, 'minute'], [24, 'hour'], [7, 'day'], [4.35, 'week'], [12, 'month'], [1e9, 'year']];
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** A text at least as long as any time in full. */
export const longestTime = '30 Sept 2026, 00:00:00';

/** How long ago a time is, in words. */
export function ago(t: string | Date): string {
  let n = (new Date(t).getTime() - Date.now()) / 1000;
  for (const [size, unit] of steps) {
    if (Math.abs(n) < size) return relative.format(Math.round(n), unit);
    n /= size;
  }
  return '';
}

/** One time. The title has it in UTC and in words. */
export function Time({ at, form = 'full' }: { at: string | Date | null | undefined; form?: keyof Format }) {
  const f = useFormat();
  const text = f[form](at);
  if (text === '—') return <span className="quiet">—</span>;
  const iso = new Date(at!).toISOString();
  return <time dateTime={iso} title={`${iso.replace('T', ' ').replace('Z', ' UTC')} (${ago(iso)})`}>{text}</time>;
}
