import { Button, Field, Input, MessageBar, MessageBarBody } from '@fluentui/react-components';
import { useState, type FormEvent } from 'react';
import { ApiError } from '../api/client';
import { useSignIn } from '../api/session';
import { Mark } from './Mark';
import css from './SignIn.module.css';

/** The page on which people sign in. The address stays: after it, they are where they wanted to be. */
export function SignIn({ over, version, done }: { over: boolean; version: string; done: () => void }) {
  const [login, setLogin] = useState('');
  const [password, setPassword] = useState('');
  const [tenant, setTenant] = useState('');
  const [several, setSeveral] = useState(false);
  const signIn = useSignIn();
  const submit = (e: FormEvent) => {
    e.preventDefault();
    signIn.mutate({ login: login.trim(), password, tenant: tenant.trim() || undefined }, {
      onSuccess: done,
      onError: (err) => {
        setPassword('');
        if (err instanceof ApiError && err.code === 'MissingRequiredParameter') setSeveral(true);
      },
    });
  };
  return (
    <main className={css.page}>
      <form className={css.card} onSubmit={submit} aria-labelledby="sign-in-title">
        <div className={css.brand}><Mark /> <span>Vedette</span></div>
        <h1 id="sign-in-title" className={css.title}>Sign in</h1>
        {over && !signIn.error && <MessageBar intent="info"><MessageBarBody>Your session is over. Sign in again to go on where you were.</MessageBarBody></MessageBar>}
        {signIn.error && <MessageBar intent="error" role="alert"><MessageBarBody>{signIn.error.message}</MessageBarBody></MessageBar>}
        <Field label="User name" required><Input value={login} onChange={(_, d) => setLogin(d.value)} autoComplete="username" autoFocus maxLength={256} /></Field>
        <Field label="Password" required><Input type="password" value={password} onChange={(_, d) => setPassword(d.value)} autoComplete="current-password" maxLength={256} /></Field>
        {several && <Field label="Tenant" hint="Its name, domain or id" required><Input value={tenant} onChange={(_, d) => setTenant(d.value)} autoComplete="organization" maxLength={256} /></Field>}
        <Button type="submit" appearance="primary" size="large" disabled={!login || !password || signIn.isPending}>{signIn.isPending ? 'Signing in…' : 'Sign in'}</Button>
      </form>
      <p className={css.foot}>Version {version} · <a href="/status">State of the server</a></p>
    </main>
  );
}
