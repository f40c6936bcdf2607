// The terminal of consoles and of recorded sessions. What it shows comes from devices, so that it obeys less than
// terminals do: it draws, and that is all.
import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { upright } from './plain';

// Operating system commands: titles, colours of the theme, links, the clipboard, notifications and what editors made up.
const commands = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 50, 52, 99, 104, 105, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 133, 633, 777, 1337];

// What, where and how large the terminal is, which modes it has, which attributes.
const questions = [{ final: 'n' }, { prefix: '?', final: 'n' }, { final: 'c' }, { prefix: '>', final: 'c' }, { prefix: '=', final: 'c' }, { prefix: '>', final: 'q' }, { final: 't' }, { final: 'x' },
  { intermediates: '$', final: 'p' }, { prefix: '?', intermediates: '$', final: 'p' }, { intermediates: '*', final: 'y' }, { intermediates: '$', final: 'w' }, { prefix: '?', final: 'u' }];

/** What gives a terminal back whose program left it in any state: the usual screen, no mouse, the cursor, no colour. */
const asBefore = '\x1b[?47l\x1b[!p\x1b[?1;9;1000;1002;1003;1004;1005;1006;1015;1016;2004;2026l\x1b>\x1b[?7;25h\x1b(B\x1b)B\x0f\x1b[4l\x1b[20h\x1b[0m';

/** The same in light and dark: what programs paint is made for a dark ground. */
const theme = { background: '#0d1518', foreground: '#dfe7e9', cursor: '#9fd8d2', cursorAccent: '#0d1518', selectionBackground: '#2f5a66' };

/** Text that waits to be drawn, beyond which output is passed over: the transcript has it. */
const mostWaiting = 8 << 20;

// Of the writing, in pixels; and the size of a cell in it.
const largest = 13;
const smallest = 8;
const cell = { width: 0.61, height: 1.42 };

export interface Size { columns: number; rows: number }

/** A terminal with a place of its own in the page, which can be moved from one element to another. */
export class Screen {
  readonly terminal: Terminal;
  private readonly fitting = new FitAddon();
  private readonly place = document.createElement('div');
  private readonly watch: ResizeObserver;
  private opened = false;
  private fits = true;
  private waiting = 0;
  private passed = 0;
  /** Called when the terminal has another size. */
  onSize: (s: Size) => void = () => undefined;

  constructor(options: { label: string; input: boolean; scrollback?: number }) {
    this.terminal = new Terminal({
      cursorBlink: options.input, cursorInactiveStyle: options.input ? 'outline' : 'none', disableStdin: !options.input, convertEol: true, fontSize: largest, lineHeight: 1.2,
      fontFamily: "'DejaVu Sans Mono', 'Liberation Mono', 'Cascadia Mono', ui-monospace, monospace", scrollback: options.scrollback ?? 10_000,
      screenReaderMode: true, minimumContrastRatio: 4.5, theme, logLevel: 'off', windowOptions: {},
      // A link of a device leads nowhere.
      linkHandler: { activate: () => undefined, allowNonHttpProtocols: false },
    });
    this.terminal.loadAddon(this.fitting);
    for (const n of commands) this.terminal.parser.registerOscHandler(n, () => true);
    // Questions, whose answers would be typed as if a person had: a file that is shown could put words into a shell.
    this.terminal.parser.registerDcsHandler({ intermediates: '$', final: 'q' }, () => true);
    this.terminal.parser.registerDcsHandler({ intermediates: '+', final: 'q' }, () => true);
    for (const id of questions) this.terminal.parser.registerCsiHandler(id, () => true);
    this.terminal.onResize(({ cols, rows }) => this.onSize({ columns: cols, rows }));
    this.place.style.cssText = 'width:100%;height:100%';
    this.label = options.label;
    this.watch = new ResizeObserver(() => this.fit());
  }

  private readonly label: string;

  /** Shows the terminal in an element; the function it returns takes it out again. */
  show(parent: HTMLElement): () => void {
    parent.appendChild(this.place);
    if (!this.opened) {
      this.opened = true;
      this.terminal.open(this.place);
      this.terminal.textarea?.setAttribute('aria-label', this.label);
    }
    this.watch.observe(parent);
    this.fit();
    return () => {
      this.watch.disconnect();
      this.place.remove();
    };
  }

  /** Keeps the size that somebody else's terminal had, whatever the element has. */
  fixed(s: Size): void {
    this.fits = false;
    this.shrink(s);
    if (s.columns !== this.terminal.cols || s.rows !== this.terminal.rows) this.terminal.resize(s.columns, s.rows);
  }

  get size(): Size { return { columns: this.terminal.cols, rows: this.terminal.rows }; }

  focus(): void { this.terminal.focus(); }

  /** Writes what has to be there: this program's own words. */
  say(text: string): void { this.terminal.write(text); }

  /** Writes what a device said, but for what turns the reading order around. A device that says more than can be drawn is not waited for: what is passed over is told. */
  output(text: string): void {
    const data = upright(text);
    if (this.waiting > mostWaiting) {
      this.passed += data.length;
      return;
    }
    if (this.passed > 0) {
      this.terminal.write(`\r\n\x1b[0;38;5;15;48;5;24m ${this.passed.toLocaleString('en')} characters are not shown here: the transcript has them \x1b[0m\r\n`);
      this.passed = 0;
    }
    this.waiting += data.length;
    this.terminal.write(data, () => { this.waiting -= data.length; });
  }

  /** Ends what a program did to the terminal. */
  restore(): void { this.terminal.write(asBefore); }

  /** Calls f when all that was written so far is drawn. */
  drawn(f: () => void): void { this.terminal.write('', f); }

  clear(): void { this.terminal.write('\x1b[2J\x1b[3J\x1b[H'); }
  reset(): void { this.terminal.reset(); }

  dispose(): void {
    this.watch.disconnect();
    this.terminal.dispose();
    this.place.remove();
  }

  /** Makes the writing as small as it takes for so many columns, within what can be read. */
  private shrink(s: Size): void {
    const box = this.place.parentElement?.parentElement;
    if (!box || box.clientWidth < 40) return;
    const wide = (box.clientWidth - 36) / (s.columns * cell.width);
    const high = Math.max((box.clientHeight - 20) / (s.rows * cell.height), smallest + 2); // lower ones scroll
    this.terminal.options.fontSize = Math.min(largest, Math.max(smallest, Math.floor(Math.min(wide, high) * 2) / 2));
  }

  private fit(): void {
    if (!this.fits) { this.shrink(this.size); return; }
    if ( !this.place.isConnected || this.place.clientWidth < 40 || this.place.clientHeight < 20) return;
    this.fitting.fit();
  }
}
