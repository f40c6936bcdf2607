// What hunting asks of the server.
import { useQuery } from '@tanstack/react-query';
import { get, post, type List } from '../../api/client';

export interface TableWord { name: string; description: string; viewOf: string; columns: { name: string; type: string }[] }
export interface FunctionWord { name: string; kind: 'scalar' | 'aggregate' | 'table'; signature: string; description: string }
export interface Vocabulary { tables: TableWord[]; functions: FunctionWord[] }

export interface Problem { code: string; message: string; offset: number; length: number; line: number; column: number; suggestion: string }
export interface ResultColumn { Name: string; Type: string }
export interface Render { kind: string; properties: Record<string, string> }
export interface Checked { problems: Problem[]; columns: ResultColumn[]; render: Render | null }

/** A cell. Whole numbers that a number cannot hold exactly are bigints. */
export type Value = string | number | bigint | boolean | null | object;
export type Cells = Value[];

export interface Gap { deviceId: string; source: string; reason: string; eventsLost: number; from: string | null; to: string | null }
export interface Answer {
  columns: ResultColumn[];
  render: Render | null;
  elapsedSeconds: number;
  cpuSeconds: number;
  completeness: { complete: boolean; gaps: Gap[]; more: boolean };
  rows: Cells[];
}

export interface Saved { id: string; name: string; folder: string; description: string; query: string; isShared: boolean; isOwn: boolean; createdBy: string; createdTime: string; lastUpdateTime: string }

export const useVocabulary = () => useQuery({ queryKey: ['hunting', 'schema'], queryFn: () => get<Vocabulary>('/api/vedette/hunting/schema'), staleTime: Infinity });
export const useSaved = () => useQuery({ queryKey: ['/api/vedette/queries'], queryFn: async () => (await get<List<Saved>>('/api/vedette/queries')).value });
export const check = (query: string, signal?: AbortSignal): Promise<Checked> => post<Checked>('/api/vedette/hunting/check', { query }, { signal });
export const run = (query: string, span: { from?: string; to?: string }, signal: AbortSignal): Promise<Answer> => post<Answer>('/api/vedette/hunting/run', { query, ...span }, { signal });

/** One query of a text that holds several, with where it begins. Empty lines stand between queries. */
export interface Paragraph { text: string; from: number }

export function paragraphs(text: string): Paragraph[] {
  const out: Paragraph[] = [];
  const between = /(?:^|\n)[ \t]*(?:\r?\n[ \t]*)+/g;
  let from = 0;
  const add = (to: number) => { const part = text.slice(from, to); if (part.trim() !== '') out.push({ text: part, from }); };
  for (let m = between.exec(text); m; m = between.exec(text)) {
    add(m.index);
    from = m.index + m[0].length;
  }
  add(text.length);
  return out;
}

/** The query in which an offset lies, the nearest before it where it lies in none. */
export function paragraphAt(text: string, offset: number): Paragraph | undefined {
  const all = paragraphs(text);
  return all.findLast((p) => p.from <= offset) ?? all[0];
}

/** A function that turns offsets in the bytes of UTF-8 into offsets of a text. */
export function fromBytes(text: string): (bytes: number) => number {
  // eslint-disable-next-line no-control-regex
  if (/^[\u0000-\u007f]*$/.test(text)) return (n) => n;
  const raw = new TextEncoder().encode(text);
  const decoder = new TextDecoder();
  return (n) => decoder.decode(raw.subarray(0, n)).length;
}
