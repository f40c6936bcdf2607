// The open queries of the person, and what they ran: kept at the server, so that the next browser goes on.
import { useQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useRef, useState } from 'react';
import { usePreference } from '../../api/session';

export interface Tab { id: string; title: string; text: string; span: string; saved?: string }
interface Kept { tabs: Tab[]; active: string }
export interface Ran { text: string; at: string; rows: number; seconds: number; error?: string }

const pause = 1500;
const mostTabs = 12;
const mostText = 16_000;

let made = 0;
export const newTab = (text = '', title = 'New query'): Tab => ({ id: `${Date.now().toString(36)}${(made++).toString(36)}`, title, text, span: '7d' });

const first = `// Processes that ran most often in the last day
DeviceProcessEvents
| where Timestamp > ago(1d)
| summarize Runs = count(), Devices = dcount(DeviceId) by FileName
| top 20 by Runs`;

/** The tabs; undefined until it is known which ones there were. */
export function useTabs() {
  const { isPending } = useQuery({ queryKey: ['preferences'], enabled: false });
  const [kept, keep] = usePreference<Kept | undefined>('hunting.tabs', undefined);
  const [state, setState] = useState<Kept>();
  const timer = useRef(0);
  const latest = useRef(keep);
  latest.current = keep;
  useEffect(() => {
    if (state || isPending) return;
    const tabs = kept?.tabs?.filter((t) => typeof t?.text === 'string') ?? [];
    const start = tabs.length > 0 ? tabs : [newTab(first)];
    setState({ tabs: start, active: start.some((t) => t.id === kept?.active) ? kept!.active : start[0].id });
  }, [state, kept, isPending]);
  const change = useCallback((f: (s: Kept) => Kept) => setState((s) => {
    if (!s) return s;
    const next = f(s);
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => latest.current({ ...next, tabs: next.tabs.map((t) => ({ ...t, text: t.text.slice(0, mostText) })) }), pause);
    return next;
  }), []);
  const open = useCallback((t: Tab) => change((s) => {
    // The oldest one goes when there are too many, never the one at work.
    const tabs = [...s.tabs, t];
    return { tabs: tabs.length > mostTabs ? tabs.filter((x, i) => i > 0 || x.id === s.active) : tabs, active: t.id };
  }), [change]);
  const close = useCallback((id: string) => change((s) => {
    const i = s.tabs.findIndex((t) => t.id === id);
    const tabs = s.tabs.filter((t) => t.id !== id);
    if (tabs.length === 0) tabs.push(newTab());
    return { tabs, active: s.active === id ? tabs[Math.min(i, tabs.length - 1)].id : s.active };
  }), [change]);
  const edit = useCallback((id: string, what: Partial<Tab>) => change((s) => ({ ...s, tabs: s.tabs.map((t) => (t.id === id ? { ...t, ...what } : t)) })), [change]);
  const choose = useCallback((id: string) => change((s) => ({ ...s, active: id })), [change]);
  return { tabs: state?.tabs, active: state?.tabs.find((t) => t.id === state.active), open, close, edit, choose };
}

const mostRan = 40;

/** What was run, newest first. */
export function useHistory(): [Ran[], (r: Ran) => void, () => void] {
  const [ran, keep] = usePreference<Ran[]>('hunting.history', []);
  const now = useRef(ran);
  now.current = ran;
  const add = useCallback((r: Ran) => keep([{ ...r, text: r.text.slice(0, 4000) }, ...now.current.filter((x) => x.text !== r.text)].slice(0, mostRan)), [keep]);
  return [ran, add, useCallback(() => keep([]), [keep])];
}

export const spans = [
  { value: '1h', label: 'Last hour', ms: 3_600_000 }, { value: '1d', label: 'Last 24 hours', ms: 86_400_000 }, { value: '3d', label: 'Last 3 days', ms: 3 * 86_400_000 },
  { value: '7d', label: 'Last 7 days', ms: 7 * 86_400_000 }, { value: '30d', label: 'Last 30 days', ms: 30 * 86_400_000 }, { value: 'all', label: 'Set in query', ms: 0 },
];
