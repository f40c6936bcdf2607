// Characters that turn the direction of text make "ab\u202Egnp.exe" look like "abexe.png". Names on devices are chosen
// by attackers, so those characters are shown as what they are: every answer comes in with them spelled out, and
// whatever goes back to the server has them as they were.

const names: Record<string, string> = {
  '\u061c': 'ALM', '\u200e': 'LRM', '\u200f': 'RLM', '\u202a': 'LRE', '\u202b': 'RLE', '\u202c': 'PDF', '\u202d': 'LRO', '\u202e': 'RLO',
  '\u2066': 'LRI', '\u2067': 'RLI', '\u2068': 'FSI', '\u2069': 'PDI',
};
const turning = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const chars = Object.fromEntries(Object.entries(names).map(([c, n]) => [n, c]));
const spelled = /⟪(ALM|LRM|RLM|LRE|RLE|PDF|LRO|RLO|LRI|RLI|FSI|PDI)⟫/g;

/** A text as it may be shown. */
export const shown = (text: string): string => text.replace(turning, (c) => `⟪${names[c]}⟫`);

/** A text as it was before `shown`. */
export const meant = (text: string): string => text.replace(spelled, (_, n: string) => chars[n]);
