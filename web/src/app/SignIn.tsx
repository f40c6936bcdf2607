import { Button, Field, Input, MessageBar, MessageBarBody } from '@fluentui/react-components';
import { lazy, Suspense, useEffect, useState, type FormEvent, type ReactNode } from 'react';
import { ApiError, get } from '../api/client';
import { useGiveCode, useGiveUp, useSignIn, type Provider, type Session } from '../api/session';
import { Waiting } from '../ui/states';
import { Mark } from './Mark';
import css from './SignIn.module.css';

const Enrol = lazy(() => import('./Enrol'));

/** Why somebody who came back from an identity provider was not let in, by the code in the address. */
const refusals: Record<string, string> = {
  SignInStale: 'This sign-in was not begun in this browser, or too long ago. Try again.',
  ProviderRefused: 'The identity provider did not let you in.',
  ProviderFailed: 'The identity provider does not answer as it should. An administrator can test it in the settings.',
  TokenRefused: 'What the identity provider says of you cannot be accepted. An administrator finds the reason in the audit log.',
  DomainRefused: 'People of your domain are not let in here.',
  AccountUnknown: 'You have no account here. Ask an administrator for one.',
  AccountTaken: 'An account of your name exists, and this identity provider does not vouch for it. Ask an administrator.',
  AccountDisabled: 'Your account is disabled.',
  TooManyRequests: 'There were too many attempts to sign in. Wait a moment and try again.',
};

/** The refusal in the address, which is taken out of it. */
function takeRefusal(): string {
  const at = new URL(window.location.href);
  const code = at.searchParams.get('signin');
  if (code === null) return '';
  at.searchParams.delete('signin');
  window.history.replaceState(window.history.state, '', at.pathname + at.search + at.hash);
  return refusals[code] ?? 'Signing in by the identity provider failed.';
}

/** The page on which people sign in, step by step. The address stays: after it, they are where they wanted to be. */
export function SignIn({ over, session, done }: { over: boolean; session: Session; done: () => void }) {
  const [refused, setRefused] = useState('');
  useEffect(() => { const why = takeRefusal(); if (why) setRefused(why); }, []);
  useEffect(() => { document.title = 'Sign in · Vedette'; }, []);
  return (
    <main className={css.page}>
      {session.step === 'code' ? <GiveCode done={done} /> : session.step === 'enrol' ? <Suspense fallback={<Waiting />}><Enrol done={done} /></Suspense>
        : <Password over={over} refused={refused} session={session} done={done} />}
      <p className={css.foot}>Version {session.version} · <a href="/status">State of the server</a></p>
    </main>
  );
}

/** The frame of each step. */
export function Step({ title, submit, wide, children }: { title: string; submit?: () => void; wide?: boolean; children: ReactNode }) {
  const inner = (
    <>
      <div className={css.brand}><Mark /> <span>Vedette</span></div>
      <h1 id="sign-in-title" className={css.title}>{title}</h1>
      {children}
    </>
  );
  const className = wide ? `${css.card} ${css.wide}` : css.card;
  if (!submit) return <div className={className}>{inner}</div>;
  return <form className={className} aria-labelledby="sign-in-title" onSubmit={(e: FormEvent) => { e.preventDefault(); submit(); }}>{inner}</form>;
}

export const Wrong = ({ error }: { error: Error | null }) => error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error.message}</MessageBarBody></MessageBar>;

function Password({ over, refused, session, done }: { over: boolean; refused: string; session: Session; done: () => void }) {
  const [login, setLogin] = useState('');
  const [password, setPassword] = useState('');
  const [tenant, setTenant] = useState('');
  const [several, setSeveral] = useState(false);
  const signIn = useSignIn();
  const submit = () => {
    signIn.mutate({ login: login.trim(), password, tenant: tenant.trim() || undefined }, {
      onSuccess: (s) => { if (s.signedIn) done(); },
      onError: (err) => {
        setPassword('');
        if (err instanceof ApiError && err.code === 'MissingRequiredParameter') setSeveral(true);
      },
    });
  };
  return (
    <Step title="Sign in" submit={submit}>
      {over && !signIn.error && <MessageBar intent="info"><MessageBarBody>Your session is over. Sign in again to go on where you were.</MessageBarBody></MessageBar>}
      {refused && !signIn.error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{refused}</MessageBarBody></MessageBar>}
      <Wrong error={signIn.error} />
      <Field label="User name" required><Input value={login} onChange={(_, d) => setLogin(d.value)} autoComplete="username" autoFocus maxLength={256} /></Field>
      <Field label="Password" required><Input type="password" value={password} onChange={(_, d) => setPassword(d.value)} autoComplete="current-password" maxLength={256} /></Field>
      {several && <Field label="Tenant" hint="Its name, domain or id" required><Input value={tenant} onChange={(_, d) => setTenant(d.value)} autoComplete="organization" maxLength={256} /></Field>}
      <Button type="submit" appearance="primary" size="large" disabled={!login || !password || signIn.isPending}>{signIn.isPending ? 'Signing in…' : 'Sign in'}</Button>
      {session.severalTenants ? <ByTenant /> : <Providers of={session.providers} />}
    </Step>
  );
}

function Providers({ of, tenant }: { of: Provider[]; tenant?: string }) {
  if (of.length === 0) return null;
  const to = window.location.pathname + window.location.search + window.location.hash;
  return (
    <>
      <div className={css.or}><span>or</span></div>
      {of.map((p) => <a key={p.id} className={css.provider} href={`/portal/sso/start?${new URLSearchParams({ provider: p.id, to, ...(tenant ? { tenant } : {}) })}`}>Sign in with {p.name}</a>)}
    </>
  );
}

/** Providers where there are several tenants: which there are is nobody's business who does not name one. */
function ByTenant() {
  const [open, setOpen] = useState(false);
  const [tenant, setTenant] = useState('');
  const [found, setFound] = useState<Provider[]>();
  const [error, setError] = useState<Error | null>(null);
  const find = async () => {
    setError(null);
    setFound(undefined);
    try { setFound((await get<{ value: Provider[] }>('/portal/providers', { tenant: tenant.trim() })).value); } catch (e) { setError(e as Error); }
  };
  if (!open) return <Button type="button" appearance="transparent" onClick={() => setOpen(true)}>Single sign-on</Button>;
  return (
    <>
      <Field label="Tenant" hint="Its name, domain or id"><Input value={tenant} onChange={(_, d) => { setTenant(d.value); setFound(undefined); }} autoComplete="organization" maxLength={256} /></Field>
      <Button type="button" disabled={!tenant.trim()} onClick={() => void find()}>Find identity providers</Button>
      <Wrong error={error} />
      {found && (found.length === 0 ? <p className="quiet">This tenant has none.</p> : <Providers of={found} tenant={tenant.trim()} />)}
    </>
  );
}

function GiveCode({ done }: { done: () => void }) {
  const [code, setCode] = useState('');
  const [recovery, setRecovery] = useState(false);
  const give = useGiveCode();
  const giveUp = useGiveUp();
  const submit = () => give.mutate(code, {
    onSuccess: (s) => { if (s.signedIn) done(); },
    onError: (e) => { setCode(''); if (e instanceof ApiError && e.code === 'SignInStale') giveUp.mutate(); },
  });
  return (
    <Step title="Second factor" submit={submit}>
      <Wrong error={give.error} />
      {/* Two fields and not one that changes: browsers fill each with what belongs there. */}
      {recovery
        ? <Field key="recovery" label="Recovery code" hint="One of those that you kept when you set up your second factor. Each is good once." required><Input value={code} onChange={(_, d) => setCode(d.value)} autoComplete="off" autoFocus maxLength={64} /></Field>
        : <Field key="code" label="Code" hint="The six digits that your app shows now" required><Input value={code} onChange={(_, d) => setCode(d.value)} autoComplete="one-time-code" inputMode="numeric" autoFocus maxLength={16} /></Field>}
      <Button type="submit" appearance="primary" size="large" disabled={!code.trim() || give.isPending}>{give.isPending ? 'Signing in…' : 'Sign in'}</Button>
      <div className={css.ways}>
        <Button type="button" size="small" appearance="transparent" onClick={() => { setRecovery(!recovery); setCode(''); }}>{recovery ? 'Use a code of the app' : 'Use a recovery code'}</Button>
        <Button type="button" size="small" appearance="transparent" onClick={() => giveUp.mutate()}>Somebody else</Button>
      </div>
    </Step>
  );
}
