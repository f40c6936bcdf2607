import { stringify } from '../api/json';

/** A text as a cell of CSV. What a spreadsheet would run as a formula is kept from it: names on devices are hostile. */
function cell(v: unknown): string {
  let s = v === null || v === undefined ? '' : typeof v === 'object' ? stringify(v) : String(v);
  if (/^[=+\-@\t\r]/.test(s) && !/^-?\d+(\.\d+)?$/.test(s)) s = `'${s}`;
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
