// Plays a transcript on a terminal. Going back draws from the beginning: a terminal knows no other way. What was shown as
// text is text again: a terminal obeys nothing but the programs of a shell, as in the console.
import { indexAt, type Cast } from './cast';
import { Plain, upright } from './plain';
import type { Screen } from './terminal';

/** How the output of a command is drawn: as text, as that of a shell's programs, or by clearing the screen. */
type Mode = 'text' | 'shell' | 'clear';
const modeOf = (line: string): Mode => (/^(shell|fg)(\s|$)/i.test(line) ? 'shell' : /^(cls|clear)$/i.test(line) ? 'clear' : 'text');

const tick = 100; // ms between two reports of the position

export class Player {
  private times: Float64Array;
  private speed = 1;
  private at = 0; // seconds of what is shown
  private next = 0; // the first event that is not drawn
  private frame = 0;
  private before = 0; // of the last frame, in ms
  private told = 0;
  private gone = false;
  private mode: Mode = 'text';
  private plain = new Plain();
  private readonly modes = new Map<number, Mode>();

  /** `begun` are the events in which the commands of `lines` begin. */
  constructor(private readonly cast: Cast, private readonly screen: Screen, { lines, begun }: { lines: readonly string[]; begun: readonly (number | undefined)[] }, private readonly tell: (at: number, playing: boolean) => void) {
    this.times = cast.times;
    begun.forEach((i, n) => { if (i !== undefined) this.modes.set(i, modeOf(lines[n])); });
    screen.fixed({ columns: cast.width, rows: cast.height });
  }

  private get length(): number { return this.times.at(-1) ?? 0; }

  /** Changes the times of the events and how quickly they pass; what is shown stays. */
  pace(times: Float64Array, speed: number): void {
    if (times !== this.times) {
      // Between the same two events.
      const from = this.next > 0 ? times[this.next - 1] : 0;
      this.at = this.at >= this.length ? times.at(-1) ?? 0 : Math.min(from + Math.max(0, this.at - (this.next > 0 ? this.times[this.next - 1] : 0)), times[this.next] ?? times.at(-1) ?? 0);
      this.times = times;
    }
    this.speed = speed;
    this.report();
  }

  toggle(): void {
    if (this.frame) { this.pause(); return; }
    if (this.at >= this.length) this.seek(0);
    this.before = performance.now();
    this.frame = requestAnimationFrame(this.step);
    this.report();
  }

  pause(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.report();
  }

  /** Shows what had been shown at a time. */
  seek(t: number): void {
    const to = Math.min(Math.max(t, 0), this.length);
    this.draw(to >= this.length ? this.times.length : indexAt(this.times, to));
    this.at = to;
    this.report();
  }

  /** Shows what had been shown when an event came, that one included. */
  seekEvent(i: number): void {
    this.draw(i + 1);
    this.at = this.times[i];
    this.report();
  }

  dispose(): void {
    this.gone = true;
    cancelAnimationFrame(this.frame);
  }

  private readonly step = (now: number) => {
    if (this.gone) return;
    this.at = Math.min(this.at + ((now - this.before) / 1000) * this.speed, this.length);
    this.before = now;
    const over = this.at >= this.length;
    this.draw(over ? this.times.length : indexAt(this.times, this.at));
    if (over) { this.pause(); return; }
    this.frame = requestAnimationFrame(this.step);
    if (now - this.told > tick) {
      this.told = now;
      this.report();
    }
  };

  /** Draws the events before one. */
  private draw(to: number): void {
    if (to < this.next) {
      this.screen.reset();
      this.screen.fixed({ columns: this.cast.width, rows: this.cast.height });
      this.next = 0;
      this.mode = 'text';
      this.plain = new Plain();
    }
    let text = '';
    const flush = () => {
      if (text) this.screen.say(text);
      text = '';
    };
    for (; this.next < to; this.next += 1) {
      const said = this.cast.texts[this.next];
      switch (this.cast.kinds[this.next]) {
        case 'o': {
          const mode = this.modes.get(this.next);
          if (mode !== undefined) {
            text += this.plain.end();
            if (this.mode === 'shell') { flush(); this.screen.restore(); }
            this.mode = mode;
            text += this.plain.text(said);
          } else if (this.mode === 'clear' && said.startsWith('\x1b[')) {
            flush();
            this.screen.clear();
          } else text += this.mode === 'shell' ? upright(said) : this.plain.text(said);
          break;
        }
        case 'r': {
          const size = /^(\d{1,4})x(\d{1,4})$/.exec(said);
          if (!size) break;
          // A size applies to what comes after it, and the terminal takes what was written in its own time.
          flush();
          const [columns, rows] = [Number(size[1]), Number(size[2])];
          if (columns >= 1 && columns <= 1000 && rows >= 1 && rows <= 1000) this.screen.drawn(() => { if (!this.gone) this.screen.fixed({ columns, rows }); });
        }
      }
    }
    flush();
  }

  private report(): void { if (!this.gone) this.tell(this.at, this.frame !== 0); }
}
