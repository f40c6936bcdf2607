// Characters that turn the direction of text make "ab\u202Egnp.exe" look like "abexe.png"; others show nothing at all.
// Names on devices are chosen by attackers, so those characters are shown as what they are: every answer comes in with
// them spelled out (⟪RLO⟫, ⟪U+200B⟫), and whatever goes back to the server has them as they were. So that nobody can
// spell by hand what is not there, the bracket is spelled out itself.

const names: Record<string, string> = {
  '\u061c': 'ALM', '\u200e': 'LRM', '\u200f': 'RLM', '\u202a': 'LRE', '\u202b': 'RLE', '\u202c': 'PDF', '\u202d': 'LRO', '\u202e': 'RLO',
  '\u2066': 'LRI', '\u2067': 'RLI', '\u2068': 'FSI', '\u2069': 'PDI',
};
const chars = Object.fromEntries(Object.entries(names).map(([c, n]) => [n, c]));
const name = (c: string): string => `⟪${names[c] ?? `U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`}⟫`;

// Controls but tab and line ends; what turns text; what takes no room.
const hidden = '\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u2069\\ufeff\\u3164\\uffa0';
const raw = new RegExp(`[${hidden}]`, 'g');
const bracketed = new RegExp(`[⟪${hidden}]`, 'g');
// The same in the text of JSON, where they may stand as escapes; an escaped backslash begins none.
const inJSON = new RegExp(`\\\\\\\\|\\\\[bf]|\\\\u(?:00[01][0-9a-f]|00[789][0-9a-f]|00ad|061c|180e|200[b-f]|202[a-e]|206[0-9]|feff|3164|ffa0|27ea)|[⟪${hidden}]`, 'gi');
const spelled = /⟪(ALM|LRM|RLM|LRE|RLE|PDF|LRO|RLO|LRI|RLI|FSI|PDI|U\+[0-9A-F]{4})⟫/g;
const unspelled = (n: string): string => chars[n] ?? String.fromCharCode(parseInt(n.slice(2), 16));

/** A text as it may be shown. */
export const shown = (text: string): string => text.replace(bracketed, name);

/** A text that was shown already, but for characters that it held as escapes. */
export const spelt = (text: string): string => text.replace(raw, name);

/** The text of JSON, its texts as they may be shown. */
export const shownJSON = (text: string): string => text.replace(inJSON, (m) => {
  if (m.length === 1) return name(m);
  if (m === '\\\\') return m;
  const c = m === '\\b' ? '\b' : m === '\\f' ? '\f' : String.fromCharCode(parseInt(m.slice(2), 16));
  return c === '⟪' || c.replace(raw, '') === '' ? name(c) : m;
});

/** A text as it was before `shown`. */
export const meant = (text: string): string => text.replace(spelled, (_, n: string) => unspelled(n));

/** The text of JSON as it was before `shownJSON`. */
export const meantJSON = (text: string): string => text.replace(spelled, (_, n: string) => JSON.stringify(unspelled(n)).slice(1, -1));
