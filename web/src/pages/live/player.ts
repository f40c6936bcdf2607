// Plays a transcript on a terminal. Going back draws from the beginning: a terminal knows no other way.
import { indexAt, type Cast } from './cast';
import { upright } from './plain';
import type { Screen } from './terminal';

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

  constructor(private readonly cast: Cast, private readonly screen: Screen, private readonly tell: (at: number, playing: boolean) => void) {
    this.times = cast.times;
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
    }
    let text = '';
    for (; this.next < to; this.next += 1) {
      const said = this.cast.texts[this.next];
      switch (this.cast.kinds[this.next]) {
        case 'o': text += upright(said); break;
        case 'r': {
          const size = /^(\d{1,4})x(\d{1,4})$/.exec(said);
          if (!size) break;
          // A size applies to what comes after it, and the terminal takes what was written in its own time.
          if (text) this.screen.say(text);
          text = '';
          const [columns, rows] = [Number(size[1]), Number(size[2])];
          if (columns >= 1 && columns <= 1000 && rows >= 1 && rows <= 1000) this.screen.drawn(() => { if (!this.gone) this.screen.fixed({ columns, rows }); });
        }
      }
    }
    if (text) this.screen.say(text);
  }

  private report(): void { if (!this.gone) this.tell(this.at, this.frame !== 0); }
}
