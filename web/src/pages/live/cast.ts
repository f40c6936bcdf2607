// Transcripts in the asciicast format, version 2 (https://docs.asciinema.org/manual/asciicast/v2/): a header, then a
// line for each event, of seconds, kind and text.

export interface Cast {
  width: number;
  height: number;
  title: string;
  /** Seconds from the beginning, never falling. */
  times: Float64Array;
  /** o: shown, i: typed, r: the size of the terminal. */
  kinds: string[];
  texts: string[];
  /** Lines that are no event; 0 in a whole transcript. */
  broken: number;
}

const size = (n: unknown, otherwise: number): number => (typeof n === 'number' && Number.isInteger(n) && n >= 1 && n <= 1000 ? n : otherwise);

/** Reads a transcript. A line that is cut off or broken is counted and passed over. */
export function parseCast(text: string): Cast {
  const cast: Cast = { width: 80, height: 24, title: '', times: new Float64Array(), kinds: [], texts: [], broken: 0 };
  const times: number[] = [];
  let first = true;
  let last = 0;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    try {
      const v = JSON.parse(line) as unknown;
      if (first) {
        first = false;
        const head = v as { version?: number; width?: number; height?: number; title?: string };
        if (head.version !== 2) throw new Error('The transcript is not of a version that can be played.');
        cast.width = size(head.width, 80);
        cast.height = size(head.height, 24);
        cast.title = typeof head.title === 'string' ? head.title : '';
        continue;
      }
      if (!Array.isArray(v) || typeof v[0] !== 'number' || typeof v[1] !== 'string' || typeof v[2] !== 'string') throw new SyntaxError();
      last = Math.max(last, v[0]);
      times.push(last);
      cast.kinds.push(v[1]);
      cast.texts.push(v[2]);
    } catch (e) {
      if (!(e instanceof SyntaxError)) throw e;
      if (first) throw new Error('This is no transcript.');
      cast.broken += 1;
    }
  }
  if (first) throw new Error('The transcript is empty.');
  cast.times = Float64Array.from(times);
  return cast;
}

/** The times of a transcript with every pause shortened to at most so many seconds. */
export function withoutPauses(times: Float64Array, longest: number): Float64Array {
  const out = new Float64Array(times.length);
  let now = 0;
  let before = 0;
  times.forEach((t, i) => {
    now += Math.min(t - before, longest);
    before = t;
    out[i] = now;
  });
  return out;
}

/** The first event at or after a time. */
export function indexAt(times: Float64Array, t: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (times[mid] < t) low = mid + 1;
    else high = mid;
  }
  return low;
}

/** Where the commands of a session begin among the events. A device can show what looks like a command: the record
 *  of the server says which they are, in their order. */
export function commandsIn(cast: Cast, lines: readonly string[]): (number | undefined)[] {
  let from = 0;
  return lines.map((line) => {
    const shown = `> ${line}\r\n`;
    for (let i = from; i < cast.texts.length; i += 1) {
      if (cast.kinds[i] === 'o' && cast.texts[i] === shown) { from = i + 1; return i; }
    }
    return undefined;
  });
}

/** 1:02:03 of seconds. */
export function clock(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, '0');
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}
