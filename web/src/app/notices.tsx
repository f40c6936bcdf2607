// What the person should know without asking: what became of what they did, and new alerts of high severity.
// Brief ones show at the corner and go; all of them stay at the bell until they are dismissed.
import { Button, CounterBadge, Popover, PopoverSurface, PopoverTrigger } from '@fluentui/react-components';
import { AlertRegular } from '@fluentui/react-icons/svg/alert';
import { CheckmarkCircleFilled } from '@fluentui/react-icons/svg/checkmark-circle';
import { ClockRegular } from '@fluentui/react-icons/svg/clock';
import { DismissRegular } from '@fluentui/react-icons/svg/dismiss';
import { ErrorCircleFilled } from '@fluentui/react-icons/svg/error-circle';
import { InfoFilled } from '@fluentui/react-icons/svg/info';
import { WarningFilled } from '@fluentui/react-icons/svg/warning';
import { useQuery } from '@tanstack/react-query';
import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { get, quoted, type List } from '../api/client';
import { useMay, usePreference, useUser } from '../api/session';
import type { Alert, MachineAction } from '../api/types';
import { words } from '../ui/badges';
import { at as addressOf, Go } from './links';
import css from './notices.module.css';
import { Time } from './time';

export type Intent = 'success' | 'ongoing' | 'info' | 'warning' | 'error';

export interface Notice {
  intent: Intent;
  title: string;
  text?: ReactNode;
  /** Where it leads. */
  to?: string;
  /** Told once at the corner and not kept at the bell. */
  brief?: boolean;
}

interface Kept extends Notice { id: string; at: string }

const NotifyContext = createContext<(n: Notice) => void>(() => undefined);
const KeptContext = createContext<{ kept: Kept[]; dismiss: (ids: string[]) => void }>({ kept: [], dismiss: () => undefined });

/** A function that tells the person something. */
export const useNotify = (): ((n: Notice) => void) => useContext(NotifyContext);

const icons: Record<Intent, ReactNode> = {
  success: <CheckmarkCircleFilled className={css.success} />, ongoing: <ClockRegular className={css.ongoing} />, info: <InfoFilled className={css.info} />,
  warning: <WarningFilled className={css.warning} />, error: <ErrorCircleFilled className={css.error} />,
};

const showFor = 7000;

export function NoticeProvider({ children }: { children: ReactNode }) {
  const [own, setOwn] = useState<Kept[]>([]);
  const [corner, setCorner] = useState<Kept[]>([]);
  const n = useRef(0);
  const notify = useCallback((notice: Notice) => {
    n.current += 1;
    const kept: Kept = { ...notice, id: `own-${n.current}`, at: new Date().toISOString() };
    if (!notice.brief) setOwn((all) => [kept, ...all].slice(0, 100));
    setCorner((all) => [...all.slice(-3), kept]);
    if (notice.intent !== 'error') setTimeout(() => setCorner((all) => all.filter((k) => k.id !== kept.id)), showFor);
  }, []);
  const kept = useMemo(() => ({ kept: own, dismiss: (ids: string[]) => setOwn((all) => all.filter((k) => !ids.includes(k.id))) }), [own]);
  return (
    <NotifyContext value={notify}>
      <KeptContext value={kept}>
        {children}
        <div className={css.corner} role="log" aria-label="Messages" aria-live="polite">
          {corner.map((k) => (
            <div key={k.id} className={css.toast}>
              {icons[k.intent]}
              <div className={css.body}><strong>{k.title}</strong>{k.text && <div className="wrap">{k.text}</div>}</div>
              <Button size="small" appearance="subtle" icon={<DismissRegular />} aria-label="Dismiss" onClick={() => setCorner((all) => all.filter((x) => x.id !== k.id))} />
            </div>
          ))}
        </div>
      </KeptContext>
    </NotifyContext>
  );
}

const day = 86_400_000;

/** Whether the page has come to rest since it was opened. */
function useRested(): boolean {
  const [rested, setRested] = useState(false);
  useEffect(() => {
    const id = requestIdleCallback(() => setRested(true), { timeout: 3000 });
    return () => cancelIdleCallback(id);
  }, []);
  return rested;
}

/** What happened at the server: new alerts of high severity, and the person's own actions. */
function useHappened(): Kept[] {
  const may = useMay();
  const { login } = useUser();
  // What the person came for is first.
  const rested = useRested();
  const [from] = useState(() => new Date(Date.now() - day).toISOString());
  const alerts = useQuery({
    queryKey: ['/api/alerts', 'bell', from], enabled: rested && may('Alert.Read.All'), refetchInterval: 30_000,
    queryFn: () => get<List<Alert>>('/api/alerts', { $filter: `alertCreationTime ge ${from} and severity eq 'High' and status eq 'New'`, $top: 20 }, { background: true }),
  });
  const actions = useQuery({
    queryKey: ['/api/machineactions', 'bell', from, login], enabled: rested && may('Machine.Read.All'), refetchInterval: 15_000,
    queryFn: () => get<List<MachineAction>>('/api/machineactions', { $filter: `lastUpdateDateTimeUtc ge ${from} and requestor eq ${quoted(login)}`, $top: 20 }, { background: true }),
  });
  return useMemo(() => [
    ...(alerts.data?.value ?? []).map((a): Kept => ({ id: a.id, at: a.alertCreationTime ?? '', intent: 'warning', title: a.title, text: a.computerDnsName, to: addressOf.alert(a.id) })),
    ...(actions.data?.value ?? []).map((a): Kept => ({
      // The state is part of the id: an action that was dismissed while it ran is told of again when it ends.
      id: `${a.id}-${a.status}`, at: a.lastUpdateDateTimeUtc ?? '', to: addressOf.action(a.id),
      intent: a.status === 'Succeeded' ? 'success' : a.status === 'Failed' || a.status === 'TimeOut' ? 'error' : a.status === 'Cancelled' ? 'info' : 'ongoing',
      title: `${words(a.type)}: ${words(a.status).toLowerCase()}`, text: a.computerDnsName,
    })),
  ], [alerts.data, actions.data]);
}

/** The bell: what is kept, and how much of it is new. */
export function Bell() {
  const { kept, dismiss } = useContext(KeptContext);
  const happened = useHappened();
  const [gone, setGone] = usePreference<string[]>('notices.dismissed', []);
  const [seen, setSeen] = usePreference<string>('notices.seen', '');
  const [withGone, setWithGone] = useState(false);
  const [open, setOpen] = useState(false);
  const all = useMemo(() => [...kept, ...happened].sort((a, b) => b.at.localeCompare(a.at)), [kept, happened]);
  const shown = all.filter((k) => withGone || !gone.includes(k.id));
  const fresh = shown.filter((k) => k.at > seen && !gone.includes(k.id)).length;
  useEffect(() => { if (open && fresh > 0) setSeen(all[0].at); }, [open, fresh, all, setSeen]);
  const drop = (ids: string[]) => {
    dismiss(ids);
    setGone([...ids.filter((id) => !id.startsWith('own-')), ...gone].slice(0, 200));
  };
  return (
    <Popover open={open} onOpenChange={(_, d) => setOpen(d.open)} trapFocus positioning="below-end">
      <PopoverTrigger disableButtonEnhancement>
        <button type="button" className={css.bell} aria-label={fresh > 0 ? `Notifications, ${fresh} new` : 'Notifications'}>
          <AlertRegular fontSize={20} />
          {fresh > 0 && <CounterBadge className={css.count} size="small" color="danger" count={fresh} aria-hidden />}
        </button>
      </PopoverTrigger>
      <PopoverSurface className={css.panel} aria-label="Notifications">
        <div className={css.panelHead}>
          <h2 className={css.panelTitle}>Notifications</h2>
          <Button size="small" appearance="subtle" onClick={() => setWithGone(!withGone)}>{withGone ? 'Hide dismissed' : 'Show dismissed'}</Button>
          <Button size="small" appearance="subtle" disabled={shown.length === 0} onClick={() => drop(shown.map((k) => k.id))}>Dismiss all</Button>
        </div>
        {shown.length === 0 && <p className="quiet">There is nothing new.</p>}
        <ul className={css.notices}>
          {shown.map((k) => (
            <li key={k.id} className={css.notice}>
              {icons[k.intent]}
              <div className={css.body}>
                {k.to ? <Go to={k.to} onFollow={() => setOpen(false)}>{k.title}</Go> : <strong>{k.title}</strong>}
                {k.text && <div className="clip">{k.text}</div>}
                <div className={css.when}><Time at={k.at} form="short" /></div>
              </div>
              {!gone.includes(k.id) && <Button size="small" appearance="subtle" icon={<DismissRegular />} aria-label={`Dismiss ${k.title}`} onClick={() => drop([k.id])} />}
            </li>
          ))}
        </ul>
      </PopoverSurface>
    </Popover>
  );
}
