import type { Action } from '../../api/types';
import { Time } from '../../app/time';
import { Badge, words, type Tone } from '../../ui/badges';
import { stringify } from '../../api/json';
import { at, Go } from '../../app/links';
import css from './Truth.module.css';

const tones: Record<string, Tone> = {
  requested: 'busy', approved: 'busy', delivered: 'busy', applied: 'busy', verified: 'good', reverted: 'quiet', failed: 'bad', expired: 'warn', cancelled: 'quiet', unknown: 'warn',
};

const other = /\b(?:action )?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b/;

/** What was seen, with other actions not by their ids. */
export const inWords = (text: string | null | undefined): string => (text ?? '').replace(new RegExp(other, 'g'), 'another action');

/** The same, with the other action's page. */
export function Told({ text }: { text: string | null | undefined }) {
  const found = other.exec(text ?? '');
  if (!text || !found) return text || <span className="quiet">—</span>;
  return <>{text.slice(0, found.index)}<Go to={at.action(found[1])}>another action</Go>{text.slice(found.index + found[0].length)}</>;
}

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
          {s.detail && <div className="wrap"><Told text={s.detail} /></div>}
          {s.evidence !== null && s.evidence !== undefined && <details><summary>What the device's probe saw</summary><pre className={css.evidence}>{stringify(s.evidence, 2)}</pre></details>}
        </li>
      ))}
    </ol>
  );
}
