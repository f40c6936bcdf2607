// The command line of a console: what is typed before it is sent. It knows keys and no terminal; Terminal draws it.

/** What a key asks for beyond changing the line. */
export type Asked = { send: string } | 'leave' | 'clear' | 'complete' | 'abandon' | undefined;

/** Bytes of a line, as the server takes them. */
export const maxLine = 8 << 10;
const remembered = 500;

/** A line that is edited, and those before it. */
export class Line {
  text = '';
  /** In UTF-16 units, between characters. */
  cursor = 0;
  private readonly past: string[] = [];
  private at = 0; // in past; its length for the line that is new
  private draft = '';

  /** Takes what a terminal says was typed: keys as their usual sequences, or text. */
  type(data: string): Asked {
    switch (data) {
      case '\r': case '\n': return this.send();
      case '\x7f': case '\b': this.remove(this.before(), this.cursor); return undefined;
      case '\x1b[3~': this.remove(this.cursor, this.after()); return undefined;
      case '\x04': if (this.text === '') return 'leave'; this.remove(this.cursor, this.after()); return undefined;
      case '\x1b[D': case '\x1bOD': case '\x02': this.cursor = this.before(); return undefined;
      case '\x1b[C': case '\x1bOC': case '\x06': this.cursor = this.after(); return undefined;
      case '\x1b[H': case '\x1bOH': case '\x1b[1~': case '\x01': this.cursor = 0; return undefined;
      case '\x1b[F': case '\x1bOF': case '\x1b[4~': case '\x05': this.cursor = this.text.length; return undefined;
      case '\x1b[1;5D': case '\x1bb': this.cursor = this.word(-1); return undefined;
      case '\x1b[1;5C': case '\x1bf': this.cursor = this.word(1); return undefined;
      case '\x1b[A': case '\x1bOA': case '\x10': this.recall(-1); return undefined;
      case '\x1b[B': case '\x1bOB': case '\x0e': this.recall(1); return undefined;
      case '\x0b': this.remove(this.cursor, this.text.length); return undefined;
      case '\x15': this.remove(0, this.cursor); return undefined;
      case '\x17': case '\x1b\x7f': this.remove(this.word(-1), this.cursor); return undefined;
      case '\x0c': return 'clear';
      case '\t': return 'complete';
      case '\x03': this.set(''); return 'abandon';
    }
    if (data.startsWith('\x1b')) return undefined; // a key without a meaning here, or an answer of the terminal
    this.insert(data);
    return undefined;
  }

  /** Puts a text at the cursor. What is pasted sends nothing by itself: ends of lines become spaces. */
  insert(text: string): void {
    // eslint-disable-next-line no-control-regex
    const clean = text.replace(/[\r\n\t]+/g, ' ').replace(/[\x00-\x1f\x7f-\x9f]/g, '');
    const next = this.text.slice(0, this.cursor) + clean + this.text.slice(this.cursor);
    if (new TextEncoder().encode(next).length > maxLine) return;
    this.text = next;
    this.cursor += clean.length;
  }

  set(text: string): void {
    this.text = text;
    this.cursor = text.length;
    this.at = this.past.length;
  }

  /** Completes the first word among names: what they have in common, and those that fit. */
  complete(names: readonly string[]): string[] {
    const typed = this.text.slice(0, this.cursor);
    if (typed === '' || /\s/.test(typed)) return [];
    const fit = names.filter((n) => n.startsWith(typed.toLowerCase()));
    if (fit.length === 0) return [];
    let common = fit[0];
    for (const n of fit) while (!n.startsWith(common)) common = common.slice(0, -1);
    const put = fit.length === 1 ? `${common} ` : common;
    this.text = put + this.text.slice(this.cursor).trimStart();
    this.cursor = put.length;
    return fit;
  }

  private send(): Asked {
    const text = this.text.trim();
    if (text !== '' && this.past.at(-1) !== text) this.past.push(text);
    if (this.past.length > remembered) this.past.shift();
    this.set('');
    this.draft = '';
    return { send: text };
  }

  private recall(step: number): void {
    const to = this.at + step;
    if (to < 0 || to > this.past.length) return;
    if (this.at === this.past.length) this.draft = this.text;
    const text = to === this.past.length ? this.draft : this.past[to];
    this.set(text);
    this.at = to;
  }

  private remove(from: number, to: number): void {
    this.text = this.text.slice(0, from) + this.text.slice(to);
    this.cursor = from;
  }

  private before(): number {
    const pair = this.cursor > 1 && /[\udc00-\udfff]/.test(this.text[this.cursor - 1]);
    return Math.max(0, this.cursor - (pair ? 2 : 1));
  }

  private after(): number {
    const pair = /[\ud800-\udbff]/.test(this.text[this.cursor] ?? '');
    return Math.min(this.text.length, this.cursor + (pair ? 2 : 1));
  }

  private word(step: -1 | 1): number {
    if (step < 0) return this.text.slice(0, this.cursor).replace(/\S+\s*$/, '').length;
    return this.cursor + /^\s*\S*/.exec(this.text.slice(this.cursor))![0].length;
  }
}

/** How many cells a character takes: enough for East Asian characters and for marks on others. */
export function cells(text: string): number {
  let n = 0;
  for (const ch of text) {
    const c = ch.codePointAt(0)!;
    if (/\p{Mn}|\p{Me}|\p{Cf}/u.test(ch)) continue;
    n += (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) || (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd) ? 2 : 1;
  }
  return n;
}
