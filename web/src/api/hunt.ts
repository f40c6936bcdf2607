// Queries of the hunting API from pages: what no list of the API tells.
import { post } from './client';
import type { HuntAnswer } from './types';

export type Row = Record<string, unknown>;

export interface Hunted {
  columns: { Name: string; Type: string }[];
  rows: Row[];
  /** Whether telemetry of the time was lost. */
  complete: boolean;
}

/** Runs a query. Values of hostile origin go in by `literal` alone. */
export async function hunt(query: string, signal?: AbortSignal): Promise<Hunted> {
  const a = await post<HuntAnswer>('/api/advancedqueries/run', { Query: query }, { signal });
  return { columns: a.Schema as Hunted['columns'], rows: a.Results as Row[], complete: a.completeness?.complete ?? true };
}

/** A text as a KQL literal, whatever is in it. */
export function literal(s: string): string {
  // eslint-disable-next-line no-control-regex
  return `"${s.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/[\u0000-\u001f\u007f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;
}

/** A time as a KQL literal. */
export const datetime = (t: string | number | Date): string => `datetime(${new Date(t).toISOString()})`;
