import { Button, Field, Input } from '@fluentui/react-components';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { post } from '../../api/client';
import type { Enrolment } from '../../api/session';
import { useNotify } from '../../app/notices';
import { Time } from '../../app/time';
import { Badge } from '../../ui/badges';
import { RecoveryCodes, SetUp } from '../../ui/Factor';
import { Facts } from '../../ui/Page';
import { accountKey, Small, type OwnAccount } from './Account';
import css from './account.module.css';

type Wish = 'set up' | 'new codes' | 'remove';

const words: Record<Wish, { text: string; action: string }> = {
  'set up': { text: 'First, show that it is you.', action: 'Go on' },
  'new codes': { text: 'The recovery codes that you have are worth nothing then.', action: 'Make new codes' },
  remove: { text: 'Your password alone lets you in then. Your other sessions end.', action: 'Turn it off' },
};

/** One's own second factor. */
export default function SecondFactor({ of: a }: { of: OwnAccount }) {
  const [wish, setWish] = useState<Wish>();
  const [enrolment, setEnrolment] = useState<Enrolment>();
  const [codes, setCodes] = useState<string[]>();
  const cache = useQueryClient();
  const notify = useNotify();
  const f = a.secondFactor;
  const fresh = () => cache.invalidateQueries({ queryKey: accountKey });
  const stop = () => { setWish(undefined); setEnrolment(undefined); setCodes(undefined); };

  if (codes) return <RecoveryCodes codes={codes} action="I have kept them" done={() => { stop(); void fresh(); }} />;
  if (enrolment) {
    return (
      <>
        <SetUp enrolment={enrolment} action="Turn on" confirm={async (code) => setCodes((await post<{ recoveryCodes: string[] }>('/portal/account/factor/confirm', { code })).recoveryCodes)} />
        <div className={css.buttons} style={{ marginTop: 8 }}><Button appearance="transparent" onClick={stop}>Cancel</Button></div>
      </>
    );
  }
  if (wish) {
    return (
      <Prove of={a} {...words[wish]} stop={stop} run={async (proof) => {
        if (wish === 'set up') { setEnrolment(await post<Enrolment>('/portal/account/factor', proof)); return; }
        if (wish === 'new codes') { setCodes((await post<{ recoveryCodes: string[] }>('/portal/account/factor/recovery', proof)).recoveryCodes); return; }
        await post('/portal/account/factor/remove', proof);
        notify({ intent: 'success', title: 'The second factor is off' });
        stop();
        await fresh();
      }} />
    );
  }
  return (
    <>
      <p className={css.text}>Signing in with your password also asks for a code that an app on your phone, or your password manager, shows.</p>
      <Facts of={[
        ['State', <span key="s"><Badge tone={f.enabled ? 'good' : f.required ? 'warn' : 'quiet'}>{f.enabled ? 'On' : 'Off'}</Badge>{f.required && <span className="quiet"> It is required of you</span>}</span>],
        ...(f.enabled ? [['Since', <Time key="t" at={f.enabledDateTimeUtc} form="short" />], ['Recovery codes left', f.recoveryCodes === 0 ? 'None: make new ones' : f.recoveryCodes]] as [string, React.ReactNode][] : []),
      ]} />
      <div className={css.buttons} style={{ marginTop: 14 }}>
        {f.enabled && !f.required && <Button onClick={() => setWish('remove')}>Turn off</Button>}
        {f.enabled && <Button onClick={() => setWish('new codes')}>New recovery codes</Button>}
        <Button appearance={f.enabled ? 'secondary' : 'primary'} onClick={() => setWish('set up')}>{f.enabled ? 'Use another app' : 'Set up'}</Button>
      </div>
    </>
  );
}

/** What shows that it is the person who changes how they sign in. */
function Prove({ of: a, text, action, run, stop }: { of: OwnAccount; text: string; action: string; run: (proof: { password: string; code: string }) => Promise<void>; stop: () => void }) {
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const needsCode = a.secondFactor.enabled;
  return (
    <Small ready={(!a.passwordSignIn || password !== '') && (!needsCode || code.trim() !== '')} action={action} run={() => run({ password, code })} also={<Button type="button" onClick={stop}>Cancel</Button>}>
      <p className={css.text}>{text}</p>
      {a.passwordSignIn && <Field label="Your password" required><Input type="password" value={password} onChange={(_, d) => setPassword(d.value)} autoComplete="current-password" maxLength={256} autoFocus /></Field>}
      {needsCode && <Field label="Code" hint="Of the app that you have now, or a recovery code" required><Input value={code} onChange={(_, d) => setCode(d.value)} autoComplete="one-time-code" maxLength={64} /></Field>}
    </Small>
  );
}
