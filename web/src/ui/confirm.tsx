// What cannot be taken back easily is asked for once more, with the reason, which goes into the record.
import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Field, MessageBar, MessageBarBody, Radio, RadioGroup, Textarea } from '@fluentui/react-components';
import { createContext, useCallback, useContext, useMemo, useState, type FormEvent, type ReactNode } from 'react';

export interface Choice { value: string; title: string; hint?: string }

export interface Question {
  title: string;
  /** What will happen, and what it does not do. */
  body?: ReactNode;
  /** What the button says: the thing itself, such as "Isolate device". */
  action: string;
  /** Asks for a comment; `optional` lets it be empty, `none` does not ask. */
  reason?: 'required' | 'optional' | 'none';
  /** What is asked for in place of a comment, and how long it may be, in characters. */
  label?: string;
  hint?: string;
  most?: number;
  /** Ways of doing it, of which one is chosen. */
  choices?: Choice[];
  danger?: boolean;
  /** Does it. The dialog stays open with the error when it fails. */
  run: (answer: { reason: string; choice: string }) => Promise<unknown>;
}

const ConfirmContext = createContext<(q: Question) => void>(() => undefined);

/** A function that asks a Question. */
export const useConfirm = (): ((q: Question) => void) => useContext(ConfirmContext);

export function ConfirmProvider({ children }: { children: ReactNode }) {
  const [question, setQuestion] = useState<Question>();
  const [asked, setAsked] = useState(0);
  const ask = useCallback((q: Question) => { setQuestion(q); setAsked((n) => n + 1); }, []);
  return (
    <ConfirmContext value={ask}>
      {children}
      {useMemo(() => question && <Asking key={asked} question={question} close={() => setQuestion(undefined)} />, [question, asked])}
    </ConfirmContext>
  );
}

// What a button says stays in one line.
const whole = { whiteSpace: 'nowrap', flexShrink: 0 } as const;

function Asking({ question: q, close }: { question: Question; close: () => void }) {
  const [reason, setReason] = useState('');
  const [choice, setChoice] = useState(q.choices?.[0]?.value ?? '');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const wants = q.reason ?? 'required';
  const ready = wants !== 'required' || reason.trim() !== '';
  const submit = (e: FormEvent) => {
    e.preventDefault();
    if (!ready || busy) return;
    setBusy(true);
    setError('');
    q.run({ reason: reason.trim(), choice }).then(close, (err: unknown) => {
      setBusy(false);
      setError(err instanceof Error ? err.message : String(err));
    });
  };
  return (
    <Dialog open modalType="modal" onOpenChange={(_, d) => { if (!d.open && !busy) close(); }}>
      <DialogSurface aria-describedby={undefined}>
        <form onSubmit={submit}>
          <DialogBody>
            <DialogTitle>{q.title}</DialogTitle>
            <DialogContent style={{ display: 'flex', flexDirection: 'column', gap: 12 }}>
              {q.body && <div>{q.body}</div>}
              {q.choices && (
                <RadioGroup value={choice} onChange={(_, d) => setChoice(d.value)} aria-label={q.title}>
                  {q.choices.map((c) => <Radio key={c.value} value={c.value} label={<>{c.title}{c.hint && <div className="quiet">{c.hint}</div>}</>} />)}
                </RadioGroup>
              )}
              {wants !== 'none' && (
                <Field label={q.label ?? 'Comment'} required={wants === 'required'} hint={q.hint ?? 'Kept with the action and shown to everybody who sees it'}>
                  <Textarea value={reason} onChange={(_, d) => setReason(d.value)} maxLength={q.most ?? 4000} rows={q.label ? 1 : 3} autoFocus />
                </Field>
              )}
              {error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
            </DialogContent>
            <DialogActions>
              <Button type="button" onClick={close} disabled={busy} style={whole}>Cancel</Button>
              <Button type="submit" appearance="primary" disabled={!ready || busy} style={whole}>{busy ? 'One moment…' : q.action}</Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
