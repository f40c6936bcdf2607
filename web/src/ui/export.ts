import { stringify } from '../api/json';

/** Whether a spreadsheet may compute a text, by the rule of Go's package sheet: spaces before it and wide characters are no way around. */
export const formula = (s: string): boolean => /^[ \u00a0\u3000\ufeff\u200b]*[=+\-@\t\r\n|%＝＋－＠]/.test(s) && !/^[ \u00a0\u3000\ufeff\u200b]*[+-]?\d+([.,]\d+)?(e[+-]?\d{1,3})?$/i.test(s);

/** A text as a cell of CSV. What a spreadsheet would run as a formula is kept from it: names on devices are hostile. */
export function cell(v: unknown): string {
  let s = v === null || v === undefined ? '' : typeof v === 'object' ? stringify(v) : String(v);
  if (formula(s)) s = `'${s}`;
  return /[",\r\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;
}

/** Hands a file to the browser. */
export function save(name: string, kind: string, content: BlobPart): void {
  const url = URL.createObjectURL(new Blob([content], { type: kind }));
  const a = document.createElement('a');
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Saves rows as CSV in UTF-8. */
export function saveCSV(name: string, columns: string[], rows: unknown[][]): void {
  const lines = [columns, ...rows].map((r) => r.map(cell).join(','));
  save(`${name}-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, '-')}.csv`, 'text/csv;charset=utf-8', `\uFEFF${lines.join('\r\n')}\r\n`);
}
