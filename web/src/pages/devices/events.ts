// The events of a device as a list of any length, of which the parts around what somebody looks at are there. The parts lie
// between places of the timeline: an event is in one of them, whatever comes in meanwhile, so that none is shown twice or
// passed over. How many events a part has is known when it was read; before, it is what the outline said.
import type { Rows } from '../../ui/list/Table';
import type { Event } from './timeline';

/** Where an event is in the timeline of its device. */
export interface Place { timestamp: string; reportId: number | bigint; ingestionTime: string }

/** What the server is asked. */
export interface Source {
  /** Events older than `after`, not older than `until`, newest first; `last` is the place of the last one. */
  section: (after: Place | undefined, until: Place | undefined, top: number) => Promise<{ events: Event[]; cut: boolean; last?: Place }>;
  outline: (every: number) => Promise<{ total: number; every: number; landmarks: Place[] }>;
}

interface Part {
  after?: Place;
  until?: Place;
  /** Its events; a guess while `sure` is not set. */
  n: number;
  sure: boolean;
  /** With the alerts of its time; undefined while they are not there. */
  rows?: Event[];
  events?: Event[];
  alerts: Event[];
  reading?: boolean;
  failed?: boolean;
}

/** What is known at a moment. */
export interface Known extends Rows<Event> {
  above: number;
  /** Events and alerts; at least so many while `whole` is not set. */
  count: number;
  whole: boolean;
  /** Nothing is known yet. */
  empty: boolean;
  error?: unknown;
}

const nothing: Known = { count: 0, at: () => undefined, above: 0, whole: false, empty: true };

/** A time as text of one length, which texts order as times are. */
export const fixed = (t: string): string => {
  const [, whole, part = ''] = /^([^.Z]*)(?:\.(\d*))?/.exec(t) ?? [];
  return `${whole}.${part.padEnd(7, '0')}`;
};

const same = (a: Place | undefined, b: Place | undefined): boolean => (
  a === b || (a !== undefined && b !== undefined && fixed(a.timestamp) === fixed(b.timestamp) && a.reportId === b.reportId && fixed(a.ingestionTime) === fixed(b.ingestionTime)));

/** Two lists that are newest first as one; of one time, those of the second are first. */
export function merge(a: Event[], b: Event[]): Event[] {
  if (b.length === 0) return a;
  const out: Event[] = [];
  let j = 0;
  for (const e of a) {
    while (j < b.length && fixed(b[j].at) >= fixed(e.at)) out.push(b[j++]);
    out.push(e);
  }
  return out.concat(b.slice(j));
}

export class Events {
  private parts: Part[] = [];
  private starts: number[] = [0];
  private alerts: Event[] = [];
  private sight = { first: 0, end: 0 };
  private above = 0;
  private reading = 0;
  private outlined = false;
  private error: unknown;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private waits = 0;
  private over = false;
  private known = nothing;
  private readonly told = new Set<() => void>();

  /** `size` is how many events are read at once, `most` how many such parts are kept. */
  constructor(private readonly source: Source, private readonly size = 400, private readonly most = 24) {}

  subscribe = (f: () => void): (() => void) => { this.told.add(f); return () => { this.told.delete(f); }; };
  read = (): Known => this.known;

  /** Whether something is being read that was asked for. */
  get busy(): boolean { return this.reading > 0 || this.timer !== undefined || !this.outlined; }

  /** Reads the newest events, and where the others are. */
  start(): void {
    this.over = false;
    this.parts = [{ n: this.size, sure: false, alerts: [] }];
    this.spread();
    void this.load(this.parts[0]);
    this.source.outline(this.size).then((o) => { if (!this.over) this.outline(o); }, (e: unknown) => {
      // Events can still be read one part after the other.
      if (this.over) return;
      this.error ??= e;
      this.outlined = true;
      this.tell();
    });
  }

  /** Nothing is read any more. */
  stop(): void {
    this.over = true;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** Alerts that are shown among the events, newest first. */
  raise(alerts: Event[]): void {
    if (alerts.length === 0 && this.alerts.length === 0) return;
    this.alerts = alerts;
    this.keeping(() => this.spread());
    this.tell();
  }

  /** Tells which rows are looked at. */
  look = (first: number, end: number): void => {
    this.sight = { first, end };
    const missing = this.around().some((p, i) => i < this.inSight() && !p.rows && !p.reading && !p.failed);
    if (!missing) { this.pump(); return; }
    // Who pulls the scroll bar passes many parts: what is read is where it stops, or is for a moment.
    const now = Date.now();
    if (this.timer === undefined) this.waits = now;
    else if (now - this.waits > 150) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { this.timer = undefined; this.pump(); }, 40);
  };

  /** Reads again what could not be read. */
  retry = (): void => {
    this.error = undefined;
    for (const p of this.parts) p.failed = false;
    this.pump();
    this.tell();
  };

  /** The row of the newest event or alert that is not newer than a time, and whether that is exact. */
  indexOf(time: string): { index: number; exact: boolean } {
    const t = fixed(time);
    const k = Math.max(0, this.parts.findIndex((p) => !p.until || fixed(p.until.timestamp) <= t));
    const p = this.parts[k];
    if (!p) return { index: 0, exact: false };
    const end = this.starts[k + 1];
    if (p.rows) {
      const i = p.rows.findIndex((e) => fixed(e.at) <= t);
      return { index: i < 0 ? Math.max(0, end - 1) : this.starts[k] + i, exact: true };
    }
    const from = p.after && Date.parse(p.after.timestamp);
    const to = p.until && Date.parse(p.until.timestamp);
    const share = from === undefined || to === undefined || from <= to ? 0 : (from - Date.parse(time)) / (from - to);
    return { index: this.starts[k] + Math.floor(Math.max(0, Math.min(0.999, share)) * (end - this.starts[k])), exact: false };
  }

  /** About when the event of a row happened, in milliseconds; undefined when nothing says it. */
  timeAt(index: number): number | undefined {
    const k = this.partAt(index);
    const p = this.parts[k];
    if (!p) return undefined;
    const row = p.rows?.[index - this.starts[k]];
    if (row) return Date.parse(row.at);
    const near = p.until ?? p.after;
    return near && Date.parse(near.timestamp);
  }

  private partAt(index: number): number {
    let low = 0;
    let high = this.parts.length - 1;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (this.starts[mid] <= index) low = mid;
      else high = mid - 1;
    }
    return low;
  }

  private inSight(): number { return Math.max(1, this.partAt(Math.max(this.sight.first, this.sight.end - 1)) - this.partAt(this.sight.first) + 1); }

  /** The parts that are in sight, then those beside them. */
  private around(): Part[] {
    const a = this.partAt(this.sight.first);
    const b = this.partAt(Math.max(this.sight.first, this.sight.end - 1));
    const out = this.parts.slice(a, b + 1);
    for (const k of [b + 1, a - 1]) if (this.parts[k]) out.push(this.parts[k]);
    return out;
  }

  private pump(): void {
    if (this.over) return;
    for (const p of this.around()) {
      if (this.reading >= 2) return;
      if (!p.rows && !p.reading && !p.failed) void this.load(p);
    }
  }

  private async load(p: Part): Promise<void> {
    p.reading = true;
    this.reading++;
    try {
      const { events, cut, last } = await this.source.section(p.after, p.until, p.until ? Math.min(5000, p.n + 3 * this.size) : this.size);
      if (this.over) return;
      const k = this.parts.indexOf(p);
      if (k >= 0) this.keeping(() => this.fill(k, events, cut ? last : undefined));
    } catch (e) {
      if (this.over) return;
      p.failed = true;
      this.error = e;
    } finally {
      p.reading = false;
      this.reading--;
    }
    this.forget();
    this.tell();
    this.pump();
  }

  /** Puts what was read into its part; `last` is where it was cut off. */
  private fill(k: number, events: Event[], last: Place | undefined): void {
    const p = this.parts[k];
    if (last) {
      this.parts.splice(k + 1, 0, { after: last, until: p.until, n: p.until ? Math.max(1, p.n - events.length) : this.size, sure: false, alerts: [] });
      p.until = last;
    }
    p.events = events;
    p.n = events.length;
    p.sure = true;
    p.rows = undefined;
    this.spread();
  }

  private outline({ total, every, landmarks }: { total: number; every: number; landmarks: Place[] }): void {
    const old = new Map(this.parts.map((p) => [JSON.stringify([p.after, p.until], (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v)), p]));
    const parts = [...landmarks, undefined].map((until, i): Part => {
      const after = landmarks[i - 1];
      const known = old.get(JSON.stringify([after, until], (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v)));
      return known && same(known.until, until) ? known : { after, until, n: i < landmarks.length ? every : Math.max(0, total - landmarks.length * every), sure: false, alerts: [] };
    });
    this.parts = parts;
    this.outlined = true;
    this.spread();
    this.tell();
    this.pump();
  }

  /** Gives each part the alerts of its time, and says where it begins. */
  private spread(): void {
    let j = 0;
    const starts = [0];
    this.parts.forEach((p, k) => {
      const from = j;
      const until = p.until && fixed(p.until.timestamp);
      while (j < this.alerts.length && (until === undefined || fixed(this.alerts[j].at) >= until)) j++;
      const alerts = this.alerts.slice(from, j);
      if (p.events && (!p.rows || alerts.length !== p.alerts.length || alerts.some((a, i) => a !== p.alerts[i]))) p.rows = merge(p.events, alerts);
      p.alerts = alerts;
      starts.push(starts[k] + p.n + alerts.length);
    });
    this.starts = starts;
  }

  /** Does something to the parts, and has the rows stay where they are that somebody sees; of those that are there, the
   *  ones nearest to the middle. */
  private keeping(f: () => void): void {
    const { first, end } = this.sight;
    const mid = this.partAt((first + end) >> 1);
    const seen = this.parts.slice(this.partAt(first), this.partAt(Math.max(first, end - 1)) + 1).filter((p) => p.rows);
    const p = seen.toSorted((a, b) => Math.abs(this.parts.indexOf(a) - mid) - Math.abs(this.parts.indexOf(b) - mid))[0] ?? this.parts[mid];
    const before = this.starts[this.parts.indexOf(p)] ?? 0;
    f();
    const now = this.parts.indexOf(p);
    if (now >= 0) this.above += this.starts[now] - before;
  }

  /** Lets go of the parts that are farthest from what is in sight. */
  private forget(): void {
    const here = this.partAt(this.sight.first);
    const read = this.parts.map((p, k) => [p, Math.abs(k - here)] as const).filter(([p]) => p.rows);
    if (read.length <= this.most) return;
    read.sort((a, b) => b[1] - a[1]);
    for (const [p] of read.slice(0, read.length - this.most)) p.rows = p.events = undefined;
  }

  private tell(): void {
    const { parts, starts } = this;
    this.known = {
      count: starts[parts.length], above: this.above, error: this.error,
      whole: (this.outlined && !this.error) || parts.every((p) => p.sure),
      empty: !parts.some((p) => p.sure || p.failed) && !this.outlined,
      at: (index) => { const k = this.partAt(index); return this.parts[k]?.rows?.[index - this.starts[k]]; },
    };
    for (const f of this.told) f();
  }
}
