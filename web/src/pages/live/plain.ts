// What a device writes is hostile. Outside of a shell, whose programs need a whole terminal, it is text: colours pass,
// every other control character is shown as what it is, so that nothing moves the cursor, renames the window, fills the
// clipboard or makes the terminal answer.

const escape = '\x1b';
const colour = /^\x1b\[[0-9;:]{0,64}m/;
// The beginning of what may become a colour.
const unfinished = /^\x1b(\[[0-9;:]{0,64})?$/;

/** Characters that turn the reading order around; a name written with them reads as another. */
const turns = (c: number): boolean => (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c === 0x200e || c === 0x200f || c === 0x061c;

/** A text with a sign in the place of each such character. */
export const upright = (text: string): string => text.replace(/[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]/g, '\ufffd');

function visible(c: number): string {
  if (c < 0x20) return `^${String.fromCharCode(c + 0x40)}`;
  if (c === 0x7f) return '^?';
  return `<U+${c.toString(16).toUpperCase().padStart(4, '0')}>`;
}

const harmless = (c: number): boolean => (c >= 0x20 && c < 0x7f) || (c >= 0xa0 && !turns(c));

/** A text in one line, with nothing in it that a terminal would obey. */
export function plainLine(text: string): string {
  let out = '';
  for (const ch of text) out += harmless(ch.codePointAt(0)!) ? ch : visible(ch.codePointAt(0)!);
  return out;
}

/** Makes the bytes of one run fit for a terminal, piece after piece. */
export class Plain {
  private readonly decoder = new TextDecoder();
  private held = '';

  write(data: Uint8Array): string {
    return this.clean(this.held + this.decoder.decode(data, { stream: true }), false);
  }

  /** The same of what is a text already. */
  text(data: string): string {
    return this.clean(this.held + data, false);
  }

  /** What is left when the run ends. */
  end(): string {
    return this.clean(this.held + this.decoder.decode(), true);
  }

  private clean(text: string, last: boolean): string {
    this.held = '';
    let out = '';
    let from = 0; // of what is harmless and not yet in out
    for (let i = 0; i < text.length; i += 1) {
      const c = text.charCodeAt(i);
      if (harmless(c) || c === 9) continue;
      out += text.slice(from, i);
      from = i + 1;
      if (c === 10) out += '\r\n';
      else if (c === 13) {
        if (i + 1 === text.length && !last) { this.held = '\r'; break; }
        // Alone it would write over what stands in the line.
        if (text.charCodeAt(i + 1) !== 10) out += '^M';
      } else if (text[i] === escape) {
        const rest = text.slice(i, i + 70);
        const found = colour.exec(rest);
        if (found) {
          out += found[0];
          i += found[0].length - 1;
          from = i + 1;
        } else if (!last && i + rest.length === text.length && unfinished.test(rest)) {
          this.held = rest;
          return out;
        } else out += visible(c);
      } else out += visible(c);
    }
    return out + text.slice(from);
  }
}
