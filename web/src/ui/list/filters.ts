// Filters of lists: what can be chosen, how it stands in the address, and what it asks of the server.
import { quoted } from '../../api/client';

export interface Option { value: string; label: string }

/** Something that a list can be narrowed by. */
export interface Filter {
  /** Its name in the address. */
  id: string;
  title: string;
  /** What can be chosen; without it any text. */
  options?: readonly Option[];
  /** Chosen while the address says nothing. */
  start?: string[];
  /** What the values ask of the server as an OData expression: any one of them. `field` serves most. */
  field?: string;
  odata?: (values: string[]) => string;
  /** One value at most. */
  single?: boolean;
}

/** In the address: nothing is chosen, although something is at the start. */
const any = '*';

/** The values of a filter that an address holds. Commas in values are escaped. */
export function chosen(f: Filter, address: Record<string, string>): string[] {
  const text = address[f.id];
  if (text === undefined) return f.start ?? [];
  if (text === any || text === '') return [];
  return text.split(',').map((s) => s.replaceAll('%2C', ','));
}

/** How values of a filter stand in an address; undefined for what is there at the start. */
export function written(f: Filter, values: string[]): string | undefined {
  const text = values.map((v) => v.replaceAll(',', '%2C')).join(',');
  if (text === (f.start ?? []).join(',')) return undefined;
  return text === '' ? (f.start?.length ? any : undefined) : text;
}

/** Any of the values in a field. */
export const equals = (field: string) => (values: string[]): string => values.map((v) => `${field} eq ${quoted(v)}`).join(' or ');

/** A text anywhere in one of the fields. */
export const containing = (...fields: string[]) => (values: string[]): string => values.flatMap((v) => fields.map((f) => `contains(${f},${quoted(v)})`)).join(' or ');

const hour = 3_600_000;
const spans: Record<string, number> = { '1h': hour, '1d': 24 * hour, '3d': 72 * hour, '7d': 168 * hour, '30d': 720 * hour, '180d': 4320 * hour };

/** The usual ranges of time up to now. */
export const ranges: Option[] = [
  { value: '1d', label: '1 day' }, { value: '3d', label: '3 days' }, { value: '7d', label: '1 week' },
  { value: '30d', label: '30 days' }, { value: '180d', label: '6 months' },
];

/** A filter of a time by a range up to now, to the minute so that the same list is not asked for anew. */
export function since(field: string, start?: string): Filter {
  return {
    id: 'range', title: 'Time', options: ranges, start: start ? [start] : undefined, single: true,
    odata: ([v]) => (spans[v] ? `${field} ge ${new Date(Math.floor((Date.now() - spans[v]) / 60_000) * 60_000).toISOString()}` : ''),
  };
}

/** What the chosen values ask of the server; '' for everything. */
export function expression(filters: Filter[], address: Record<string, string>, ...more: string[]): string {
  const parts = filters.map((f) => {
    const values = chosen(f, address);
    if (values.length === 0) return '';
    return f.odata ? f.odata(values) : f.field ? equals(f.field)(values) : '';
  }).concat(more).filter((s) => s !== '');
  return parts.map((s) => (parts.length > 1 ? `(${s})` : s)).join(' and ');
}

export const options = (...values: readonly (string | Option)[]): Option[] => values.map((v) => (typeof v === 'string' ? { value: v, label: v.replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`) } : v));
