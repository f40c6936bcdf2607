// One live session: its socket, its terminal, and what is known of it. It belongs to no page, so that it goes on while
// other pages are looked at. docs/live-response.md has the messages.
import { post, segment } from '../../api/client';
import type { LiveFile, LiveOpen, LiveSession } from '../../api/types';
import { cells, Line } from './line';
import { Plain, plainLine } from './plain';
import type { Screen } from './terminal';

/** Where a console stands. lost: the connection broke, and nobody said why. */
export type State = 'connecting' | 'waiting' | 'ready' | 'closed' | 'lost';

/** One command, as this console saw it. */
export interface Run {
  run: number;
  line: string;
  begun: number;
  /** '' while it runs. */
  status: string;
  exit: number;
  error: string;
  files: LiveFile[];
  /** It has a terminal: what is typed is its own. */
  shell: boolean;
}

interface Message {
  type: 'waiting' | 'ready' | 'started' | 'directory' | 'end' | 'closed';
  run?: number; line?: string; directory?: string; session?: LiveSession; status?: string; exit?: number; error?: string; files?: LiveFile[]; reason?: string;
}

/** Everything of a console that a page shows; a new value for every change. */
export interface Shown {
  state: State;
  session: LiveSession;
  reason: string;
  directory: string;
  runs: readonly Run[];
  /** The run that has the terminal; 0 while lines are typed. */
  front: number;
}

/** Opens a session with a device, and its console. */
export async function openConsole(machine: string, comment: string, level: string, directory = ''): Promise<Console> {
  const { Screen } = await import('./terminal');
  const answer = await post<LiveOpen>(`/api/vedette/machines/${segment(machine)}/livesessions`, { Comment: comment, ...(level ? { Level: level } : {}) });
  return new Console(answer, new Screen({ label: `Console of ${answer.session.computerDnsName}`, input: true }), directory);
}

const bold = (s: string) => `\x1b[1m${s}\x1b[0m`;
const dim = (s: string) => `\x1b[38;5;109m${s}\x1b[0m`;
const red = (s: string) => `\x1b[31m${s}\x1b[0m`;
const kept = 2000; // commands that a page lists

export class Console {
  readonly commands: LiveOpen['commands'];
  readonly id: string;
  private shown: Shown;
  private readonly listeners = new Set<() => void>();
  private readonly socket: WebSocket;
  private readonly line = new Line();
  private readonly plain = new Map<number, Plain>();
  private decoder = new TextDecoder(); // of a shell
  private drawn = 0; // rows above the cursor that the command line takes
  private sent = ''; // a line that the server has not taken up yet
  private rest: string; // the directory to go to at the beginning
  private gone = false;

  constructor(answer: LiveOpen, readonly screen: Screen, directory: string) {
    this.id = answer.session.id;
    this.commands = answer.commands;
    this.rest = directory;
    this.shown = { state: 'connecting', session: answer.session, reason: '', directory: '/', runs: [], front: 0 };
    const address = new URL(`${answer.socket}?ticket=${encodeURIComponent(answer.ticket)}`, window.location.href);
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
    this.socket = new WebSocket(address);
    this.socket.binaryType = 'arraybuffer';
    this.socket.onmessage = (e) => { if (typeof e.data === 'string') this.heard(JSON.parse(e.data) as Message); else this.output(e.data as ArrayBuffer); };
    this.socket.onclose = () => this.over('lost', 'The connection to the server broke.');
    screen.terminal.onData((d) => this.typed(d));
    screen.terminal.attachCustomKeyEventHandler((e) => this.key(e));
    screen.onSize = ({ columns, rows }) => {
      const front = this.front;
      if (front?.shell) this.send({ type: 'resize', run: front.run, columns, rows });
    };
    screen.say(dim(`Calling ${plainLine(answer.session.computerDnsName)}…`));
  }

  get now(): Shown { return this.shown; }
  /** Whether the session goes on. */
  get live(): boolean { return this.shown.state !== 'closed' && this.shown.state !== 'lost'; }
  get front(): Run | undefined { return this.shown.runs.find((r) => r.run === this.shown.front); }

  subscribe = (f: () => void): (() => void) => {
    this.listeners.add(f);
    return () => { this.listeners.delete(f); };
  };

  /** Carries out a line as if it were typed; without `at once` it is only put into the command line. */
  put(line: string, how: 'type' | 'run'): void {
    if (this.shown.state !== 'ready' || this.shown.front !== 0 || this.sent) return;
    this.line.set(line);
    if (how === 'run') this.edit('\r');
    else this.draw();
    this.screen.focus();
  }

  /** Whether a line can be typed now. */
  get idle(): boolean { return this.shown.state === 'ready' && this.shown.front === 0 && this.sent === ''; }

  cancel(run: number): void { this.send({ type: 'cancel', run }); }

  /** Ends the session. */
  close(): void {
    if (!this.live) return;
    this.send({ type: 'close' });
    // The server's last word closes the socket; one that does not come is not waited for.
    setTimeout(() => this.socket.close(), 8000);
  }

  dispose(): void {
    this.gone = true;
    this.screen.dispose();
  }

  private set(change: Partial<Shown>): void {
    this.shown = { ...this.shown, ...change };
    for (const f of this.listeners) f();
  }

  private change(run: number, change: Partial<Run>): void {
    this.set({ runs: this.shown.runs.map((r) => (r.run === run ? { ...r, ...change } : r)) });
  }

  private send(m: object): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(m));
  }

  private heard(m: Message): void {
    if (this.gone) return;
    switch (m.type) {
      case 'waiting': this.set({ state: 'waiting', session: m.session ?? this.shown.session }); return;
      case 'ready': {
        this.set({ state: 'ready', session: m.session ?? this.shown.session });
        const n = this.shown.session;
        this.screen.say(`\r\x1b[2K${dim(`Connected to ${plainLine(n.computerDnsName)}, ${plainLine(n.level)} session. help lists the commands, exit ends the session.`)}\r\n\r\n`);
        if (this.rest && this.rest !== '/') {
          const words = `"${this.rest.replace(/[\\"]/g, (c) => `\\${c}`).replaceAll('\n', '\\n').replaceAll('\t', '\\t')}"`;
          this.line.set(`cd ${words}`);
          this.draw();
          this.edit('\r');
        } else this.prompt();
        this.rest = '';
        return;
      }
      case 'started': {
        const line = m.line ?? '';
        const shell = /^shell(\s|$)/i.test(line) || (/^fg\s/i.test(line) && this.ofShell(line));
        this.sent = '';
        this.set({ front: m.run!, runs: [...this.shown.runs.slice(-kept), { run: m.run!, line, begun: Date.now(), status: '', exit: 0, error: '', files: [], shell }] });
        if (shell) this.screen.say(dim('A shell on the device: what is typed goes there. exit leaves it.\r\n'));
        return;
      }
      case 'directory': this.set({ directory: m.directory ?? '/' }); return;
      case 'end': this.ended(m); return;
      case 'closed': this.over('closed', m.reason ?? ''); return;
    }
  }

  private ofShell(line: string): boolean {
    const of = Number(line.split(/\s+/)[1]);
    return this.shown.runs.some((r) => r.run === of && r.shell);
  }

  private output(data: ArrayBuffer): void {
    if (this.gone || data.byteLength < 5) return;
    const run = new DataView(data).getUint32(0);
    const raw = new Uint8Array(data, 4);
    const of = this.shown.runs.find((r) => r.run === run);
    if (!of) return;
    if (of.shell) this.screen.output(this.decoder.decode(raw, { stream: true }));
    else if (/^(cls|clear)$/i.test(of.line)) this.screen.clear(); // what the device sends for it is what others show
    else {
      let p = this.plain.get(run);
      if (!p) this.plain.set(run, p = new Plain());
      this.screen.output(p.write(raw));
    }
  }

  private ended(m: Message): void {
    const run = m.run!;
    const of = this.shown.runs.find((r) => r.run === run);
    const front = this.shown.front === run;
    this.change(run, { status: m.status ?? 'failed', exit: m.exit ?? 0, error: m.error ?? '', files: m.files ?? [] });
    const rest = this.plain.get(run)?.end();
    this.plain.delete(run);
    if (rest) this.screen.output(rest);
    if (of?.shell) {
      this.decoder = new TextDecoder();
      this.screen.restore();
    }
    // What the device wrote is drawn before this program's own words, which begin a line.
    this.screen.drawn(() => {
      if (this.gone) return;
      if (!front && this.shown.front === 0) this.wipe();
      this.fresh();
      const say = (s: string) => this.screen.say(`${s}\r\n`);
      if (!front) say(dim(`Job ${run} (${plainLine(of?.line ?? '')}): ${plainLine(m.status ?? '')}`));
      if (m.status === 'background') say(dim(`Job ${run} goes on in the background. jobs lists jobs, fg ${run} brings it back.`));
      if (m.error) say(red(plainLine(m.error)));
      else if (m.status === 'denied' || m.status === 'timeout' || m.status === 'cancelled') say(red(m.status));
      for (const f of m.files ?? []) say(dim(`${plainLine(f.fileName)}, ${f.size.toLocaleString('en')} bytes: it waits under Files.`));
      if (front) this.set({ front: 0 });
      if (this.shown.state === 'ready' && this.shown.front === 0) this.prompt();
    });
  }

  private over(state: 'closed' | 'lost', reason: string): void {
    if (!this.live || this.gone) return;
    const front = this.front;
    this.set({ state, reason, front: 0, runs: this.shown.runs.map((r) => (r.status === '' ? { ...r, status: 'lost' } : r)) });
    if (front?.shell) this.screen.restore();
    this.screen.drawn(() => {
      if (this.gone) return;
      this.fresh();
      this.screen.say(`\x1b[0;38;5;15;48;5;24m ${state === 'closed' ? `The session is over: ${plainLine(reason)}` : plainLine(reason)} \x1b[0m\x1b[?25l\r\n`);
      this.screen.terminal.options.disableStdin = true;
    });
  }

  /** Begins a line unless the terminal is at one. */
  private fresh(): void {
    this.screen.say('\x1b[0m');
    if (this.screen.terminal.buffer.active.cursorX > 0) this.screen.say('\r\n');
  }

  // Keys

  private key(e: KeyboardEvent): boolean {
    if (e.type !== 'keydown') return true;
    // The keyboard gets out of the terminal, whatever it shows; into a shell Tab goes.
    if (e.key === 'Tab') {
      if (e.shiftKey || this.shown.state !== 'ready' || (this.front === undefined && this.line.text === '') || (this.front && !this.front.shell)) return false;
      e.preventDefault(); // for screen readers the terminal lets keys go on to the browser, which would leave it
    }
    const t = this.screen.terminal;
    if (e.ctrlKey && (e.key === 'c' || e.key === 'C') && t.hasSelection() && !e.altKey) {
      void navigator.clipboard.writeText(t.getSelection()).catch(() => undefined); // the browser says no: the selection stays
      t.clearSelection();
      e.preventDefault();
      return false;
    }
    return true;
  }

  private typed(data: string): void {
    if (this.shown.state !== 'ready') return;
    const front = this.front;
    if (front?.shell) {
      const raw = new TextEncoder().encode(data);
      for (let i = 0; i < raw.length; i += 32 << 10) {
        const part = raw.subarray(i, i + (32 << 10));
        const message = new Uint8Array(4 + part.length);
        new DataView(message.buffer).setUint32(0, front.run);
        message.set(part, 4);
        if (this.socket.readyState === WebSocket.OPEN) this.socket.send(message);
      }
    } else if (front) {
      if (data === '\x03') this.send({ type: 'cancel', run: front.run });
      else if (data === '\x1a') this.send({ type: 'background', run: front.run });
    } else if (!this.sent) this.edit(data);
  }

  private edit(data: string): void {
    const asked = this.line.type(data);
    if (asked === undefined) { this.draw(); return; }
    if (asked === 'clear') { this.screen.clear(); this.drawn = 0; this.draw(); return; }
    if (asked === 'leave') { this.close(); return; }
    if (asked === 'abandon') { this.screen.say('^C\r\n'); this.prompt(); return; }
    if (asked === 'complete') {
      const fit = this.line.complete(this.commands.map((c) => c.name));
      if (fit.length > 1) { this.screen.say(`\r\n${fit.join('  ')}\r\n`); this.drawn = 0; }
      this.draw();
      return;
    }
    const { send: text } = asked;
    this.drawn = 0;
    this.screen.say('\r\n');
    if (text === '') { this.prompt(); return; }
    if (/^(exit|quit|disconnect)$/i.test(text)) { this.close(); return; }
    this.sent = text;
    this.send({ type: 'run', line: text, ...this.screen.size });
  }

  private prompt(): void {
    this.drawn = 0;
    this.draw();
  }

  private get front0(): string { return `${plainLine(this.shown.directory)}> `; }

  private wipe(): void {
    this.screen.say(`${this.drawn > 0 ? `\x1b[${this.drawn}A` : ''}\r\x1b[J`);
    this.drawn = 0;
  }

  /** Draws the prompt and the line, and puts the cursor where it is. */
  private draw(): void {
    const { columns } = this.screen.size;
    this.wipe();
    const prompt = this.front0;
    const typed = plainLine(this.line.text);
    const before = cells(prompt) + cells(plainLine(this.line.text.slice(0, this.line.cursor)));
    const all = cells(prompt) + cells(typed);
    // A line that ends at the edge leaves the cursor there: one more cell makes it go on.
    const end = all > 0 && all % columns === 0 ? ' \r' : '';
    const lastRow = Math.floor(all / columns);
    const row = Math.floor(before / columns);
    const up = lastRow - row;
    this.screen.say(`${bold(prompt)}${typed}${end}${up > 0 ? `\x1b[${up}A` : ''}\r${before % columns > 0 ? `\x1b[${before % columns}C` : ''}`);
    this.drawn = row;
  }
}
