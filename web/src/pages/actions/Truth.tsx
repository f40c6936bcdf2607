import type { Action } from '../../api/types';
import { Time } from '../../app/time';
import { Badge, words, type Tone } from '../../ui/badges';
import css from './Truth.module.css';

const tones: Record<string, Tone> = {
  requested: 'busy', approved: 'busy', delivered: 'busy', applied: 'busy', verified: 'good', reverted: 'quiet', failed: 'bad', expired: 'warn', cancelled: 'quiet', unknown: 'warn',
};

/** Where an action truly stands. */
export function State({ of: a }: { of: Action }) {
  return <Badge tone={a.awaitsApproval ? 'warn' : tones[a.state] ?? 'quiet'} title={a.truth}>{a.awaitsApproval ? 'Waits for approval' : words(a.state)}</Badge>;
}

const way = ['requested', 'approved', 'delivered', 'applied', 'verified'];

/** The way of an action from asking to proof, as far as it got. */
export function TruthLine({ of: a }: { of: Action }) {
  const reached = new Set(a.steps.map((s) => s.state));
  reached.add(a.state);
  const ended = !way.includes(a.state) && a.state !== 'reverted';
  const line = ended ? [...way.filter((s) => reached.has(s)), a.state] : a.state === 'reverted' ? [...way, 'reverted'] : way;
  return (
    <ol className={css.line} aria-label="How far the action got">
      {line.map((s) => <li key={s} className={reached.has(s) ? (ended && s === a.state ? css.bad : css.done) : css.open} aria-current={s === a.state ? 'step' : undefined}>{words(s)}</li>)}
    </ol>
  );
}

/** Every step of an action with who moved it and what was seen. */
export function Steps({ of: a }: { of: Action }) {
  return (
    <ol className={css.steps}>
      {a.steps.map((s, i) => (
        <li key={i}>
          <div className={css.head}><strong>{words(s.state)}</strong><Time at={s.time} form="full" /></div>
          <div className="quiet">{s.actor}</div>
          {s.detail && <div className="wrap">{s.detail}</div>}
          {s.evidence !== null && s.evidence !== undefined && <details><summary>What the device's probe saw</summary><pre className={css.evidence}>{JSON.stringify(s.evidence, null, 2)}</pre></details>}
        </li>
      ))}
    </ol>
  );
}
