// Setting up a second factor: the secret as a QR code and as text, the code that confirms it, the recovery codes.
import { Button, Field, Input, MessageBar, MessageBarBody } from '@fluentui/react-components';
import { useMemo, useState, type FormEvent } from 'react';
import encodeQR from 'qr';
import type { Enrolment } from '../api/session';
import { save } from './export';
import css from './Factor.module.css';

/** A text as a QR code. It is drawn as one path: the page's policy lets no markup of others in. */
export function Code({ text, label }: { text: string; label: string }) {
  const { size, path } = useMemo(() => {
    const rows = encodeQR(text, 'raw', { ecc: 'medium', border: 4 });
    let d = '';
    rows.forEach((row, y) => row.forEach((dark, x) => { if (dark) d += `M${x} ${y}h1v1h-1z`; }));
    return { size: rows.length, path: d };
  }, [text]);
  return <svg className={css.code} viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label} shapeRendering="crispEdges"><rect width={size} height={size} fill="#fff" /><path d={path} fill="#000" /></svg>;
}

/** What the app is to hold, and the code that shows that it does. */
export function SetUp({ enrolment, confirm, action }: { enrolment: Enrolment; confirm: (code: string) => Promise<void>; action: string }) {
  const [code, setCode] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const submit = async (e: FormEvent) => {
    e.preventDefault();
    e.stopPropagation();
    setBusy(true);
    setError('');
    try {
      await confirm(code);
    } catch (err) {
      setCode('');
      setError(err instanceof Error ? err.message : String(err));
    }
    setBusy(false);
  };
  return (
    <form className={css.form} onSubmit={(e) => void submit(e)}>
      <p className={css.text}>Read this with your authenticator app:</p>
      <Code text={enrolment.address} label="QR code of the secret" />
      <details>
        <summary>Enter it by hand</summary>
        <p className={css.text}>Secret, in the app as one that is based on time:</p>
        <pre className={css.secret} data-testid="secret">{enrolment.secret.replace(/(.{4})(?=.)/g, '$1 ')}</pre>
        <p className={css.text}>The whole address, for programs that take it:</p>
        <pre className={css.secret}>{enrolment.address}</pre>
      </details>
      {error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
      <Field label="Code" hint="The six digits that the app shows now" required><Input value={code} onChange={(_, d) => setCode(d.value)} autoComplete="one-time-code" inputMode="numeric" maxLength={16} /></Field>
      <Button type="submit" appearance="primary" disabled={!code.trim() || busy}>{busy ? 'One moment…' : action}</Button>
    </form>
  );
}

/** The recovery codes, which are shown this once. */
export function RecoveryCodes({ codes, done, action }: { codes: string[]; done: () => void; action: string }) {
  const [copied, setCopied] = useState(false);
  const text = `${codes.join('\n')}\n`;
  return (
    <div className={css.form}>
      <MessageBar intent="warning" layout="multiline"><MessageBarBody>Keep these codes where you find them without your phone. Each lets you in once in place of a code of the app. They are shown this once.</MessageBarBody></MessageBar>
      <ul className={css.codes} aria-label="Recovery codes">{codes.map((c) => <li key={c}>{c}</li>)}</ul>
      <div className={css.buttons}>
        <Button type="button" onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(true), () => undefined)}>{copied ? 'Copied' : 'Copy'}</Button>
        <Button type="button" onClick={() => save('vedette-recovery-codes.txt', 'text/plain;charset=utf-8', `Recovery codes of Vedette at ${window.location.host}\n\n${text}`)}>Save as a file</Button>
        <Button type="button" appearance="primary" onClick={done}>{action}</Button>
      </div>
    </div>
  );
}
