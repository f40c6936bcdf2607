import { Button, Field, Input, MessageBar, MessageBarBody } from '@fluentui/react-components';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { lazy, Suspense, useState, type FormEvent, type ReactNode } from 'react';
import { del, get, patch, post, segment, type List } from '../../api/client';
import { useRenew, type Session } from '../../api/session';
import { useNotify } from '../../app/notices';
import { Time } from '../../app/time';
import { Badge } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { Card, Facts, Page } from '../../ui/Page';
import { Failure, Waiting } from '../../ui/states';
import css from './account.module.css';

const Factor = lazy(() => import('./SecondFactor'));

export interface OwnAccount {
  id: string; login: string; name: string; mail: string; roleNames: string[]; passwordSignIn: boolean; identityProvider: string; createdDateTimeUtc: string; passwordChangedDateTimeUtc: string | null;
  secondFactor: { enabled: boolean; enabledDateTimeUtc: string | null; recoveryCodes: number; required: boolean };
}
interface OwnSession { id: string; current: boolean; from: string; browser: string; createdDateTimeUtc: string; lastSeenDateTimeUtc: string; expirationDateTimeUtc: string; identityProvider: string }

export const accountKey = ['account'];
const sessionsKey = ['account', 'sessions'];

/** One's own account: who one is here, how one signs in, and where one is signed in. */
export default function Account() {
  const account = useQuery({ queryKey: accountKey, queryFn: () => get<OwnAccount>('/portal/account') });
  if (account.isPending) return <Page title="Account"><Waiting /></Page>;
  if (account.error) return <Page title="Account"><Failure error={account.error} retry={() => void account.refetch()} /></Page>;
  const a = account.data;
  return (
    <Page title="Account">
      <div className={css.cards}>
        <Profile of={a} />
        {a.passwordSignIn && <Password of={a} />}
        <Card title="Second factor" className={css.card}><Suspense fallback={<Waiting />}><Factor of={a} /></Suspense></Card>
        <Sessions />
      </div>
    </Page>
  );
}

/** A form of the page: what it does, and what went wrong. */
export function Small({ ready, run, action, also, children }: { ready: boolean; run: () => Promise<unknown>; action: string; also?: ReactNode; children: ReactNode }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const submit = async (e: FormEvent) => {
    e.preventDefault();
    setBusy(true);
    setError('');
    try { await run(); } catch (err) { setError(err instanceof Error ? err.message : String(err)); }
    setBusy(false);
  };
  return (
    <form className={css.form} onSubmit={(e) => void submit(e)}>
      {children}
      {error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
      <div className={css.buttons}>{also}<Button type="submit" appearance="primary" disabled={!ready || busy}>{busy ? 'One moment…' : action}</Button></div>
    </form>
  );
}

function Profile({ of: a }: { of: OwnAccount }) {
  const [name, setName] = useState(a.name);
  const cache = useQueryClient();
  const notify = useNotify();
  return (
    <Card title="About you" className={css.card}>
      <Facts of={[['User name', a.login], ['Mail', a.mail], ['Roles', a.roleNames.join(', ')], ['Signs in', [a.passwordSignIn && 'with a password', a.identityProvider && `by ${a.identityProvider}`].filter(Boolean).join(', or ')], ['Since', <Time key="t" at={a.createdDateTimeUtc} form="day" />]]} />
      <div className={css.rule} />
      <Small ready={name.trim() !== '' && name !== a.name} action="Save name" run={async () => {
        cache.setQueryData(accountKey, await patch<OwnAccount>('/portal/account', { displayName: name.trim() }));
        await cache.invalidateQueries({ queryKey: ['session'] });
        notify({ intent: 'success', title: 'Saved', brief: true });
      }}>
        <Field label="Name"><Input value={name} onChange={(_, d) => setName(d.value)} maxLength={256} autoComplete="name" /></Field>
      </Small>
    </Card>
  );
}

const none = { old: '', first: '', second: '' };

function Password({ of: a }: { of: OwnAccount }) {
  const [d, set] = useState(none);
  const renew = useRenew();
  const cache = useQueryClient();
  const notify = useNotify();
  const differs = d.second !== '' && d.first !== d.second;
  return (
    <Card title="Password" className={css.card}>
      <Small ready={d.old !== '' && d.first.length >= 12 && d.first === d.second} action="Change password" run={async () => {
        const s = await post<Session>('/portal/account/password', { old: d.old, new: d.first });
        renew(s); // the session is another one, and so is what it proves itself with
        set(none);
        await cache.invalidateQueries({ queryKey: accountKey });
        notify({ intent: 'success', title: 'The password is changed', text: 'Your other sessions, and the programs that act for you, have to sign in again.' });
      }}>
        <input type="text" autoComplete="username" value={a.login} readOnly hidden />
        <Field label="Present password" required><Input type="password" value={d.old} onChange={(_, v) => set({ ...d, old: v.value })} autoComplete="current-password" maxLength={256} /></Field>
        <Field label="New password" hint="12 characters or more" required><Input type="password" value={d.first} onChange={(_, v) => set({ ...d, first: v.value })} autoComplete="new-password" maxLength={256} /></Field>
        <Field label="New password again" required validationState={differs ? 'error' : 'none'} validationMessage={differs ? 'The two differ' : undefined}><Input type="password" value={d.second} onChange={(_, v) => set({ ...d, second: v.value })} autoComplete="new-password" maxLength={256} /></Field>
      </Small>
      {a.passwordChangedDateTimeUtc && <p className="quiet">Changed <Time at={a.passwordChangedDateTimeUtc} form="short" /></p>}
    </Card>
  );
}

/** What a browser is, of how it calls itself. */
function browser(agent: string): string {
  const of = [[/Edg\//, 'Edge'], [/OPR\//, 'Opera'], [/Firefox\//, 'Firefox'], [/Chrom(e|ium)\//, 'Chrome'], [/Safari\//, 'Safari']].find(([re]) => (re as RegExp).test(agent))?.[1] as string | undefined;
  const on = [[/Windows/, 'Windows'], [/Android/, 'Android'], [/iPhone|iPad/, 'iOS'], [/Mac OS/, 'macOS'], [/Linux/, 'Linux']].find(([re]) => (re as RegExp).test(agent))?.[1] as string | undefined;
  return of ? `${of}${on ? ` on ${on}` : ''}` : agent || 'A program';
}

function Sessions() {
  const sessions = useQuery({ queryKey: sessionsKey, queryFn: async () => (await get<List<OwnSession>>('/portal/account/sessions')).value });
  const ask = useConfirm();
  const cache = useQueryClient();
  const stale = () => cache.invalidateQueries({ queryKey: sessionsKey });
  const others = sessions.data?.some((s) => !s.current);
  return (
    <Card title="Where you are signed in" className={css.wide} actions={others && <Button size="small" onClick={() => ask({ title: 'End all other sessions', action: 'End them', reason: 'none', body: 'You stay signed in here.', run: async () => { await del('/portal/account/sessions'); await stale(); } })}>End all others</Button>}>
      {sessions.isPending ? <Waiting /> : sessions.error ? <Failure error={sessions.error} retry={() => void sessions.refetch()} /> : (
        <ul className={css.sessions} aria-label="Sessions">
          {sessions.data.map((s) => (
            <li key={s.id}>
              <div className={css.what}><strong title={s.browser}>{browser(s.browser)}</strong> {s.current && <Badge tone="good">This session</Badge>}<div className="quiet">from {s.from || 'an unknown address'}{s.identityProvider && ` by ${s.identityProvider}`}, since <Time at={s.createdDateTimeUtc} form="short" />, last seen <Time at={s.lastSeenDateTimeUtc} form="short" /></div></div>
              {!s.current && <Button size="small" aria-label={`End the session from ${s.from}`} onClick={() => ask({ title: 'End this session', action: 'End session', reason: 'none', body: `${browser(s.browser)} from ${s.from}`, run: async () => { await del(`/portal/account/sessions/${segment(s.id)}`); await stale(); } })}>End</Button>}
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
