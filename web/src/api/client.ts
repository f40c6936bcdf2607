import { parse, stringify } from './json';
import { meant, meantJSON, shownJSON } from './text';

// Calls of the server: the public API and the portal's own, in the session of whoever signed in.

/** What the server says of a call that it refused. `message` is for people, as it is. */
export class ApiError extends Error {
  constructor(
    /** HTTP status; 0 when the server was not reached. */
    readonly status: number,
    /** The stable code of the error, such as ResourceNotFound. */
    readonly code: string,
    message: string,
    /** Names the request in the server's log. */
    readonly target = '',
    /** Seconds to wait before another try; 0 when the server named none. */
    readonly retryAfter = 0,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** A query string's parameters; undefined, null and '' are left out. */
export type Params = Record<string, string | number | boolean | undefined | null>;

export interface CallOptions {
  params?: Params;
  body?: unknown;
  /** A file to send, or any body that is no JSON. */
  form?: FormData | Blob;
  signal?: AbortSignal;
  /** Nobody asked for it: the page refreshes itself. It keeps no session alive. */
  background?: boolean;
}

let proof = '';
const ended = new Set<() => void>();

/** Sets what changing calls prove with that a page of the session sends them. */
export function setProof(text: string): void {
  proof = text;
}

/** Adds to what happens when a call finds the session over; the function it returns takes it away again. */
export function onSessionOver(f: () => void): () => void {
  ended.add(f);
  return () => { ended.delete(f); };
}

/** When somebody last touched the page: what a page does by itself is no sign of its person. */
let touched = Date.now();
for (const kind of ['pointerdown', 'keydown', 'wheel']) {
  window.addEventListener(kind, () => { touched = Date.now(); }, { passive: true, capture: true });
}

const presentFor = 5 * 60_000;

/** The address of a path with parameters. */
export function address(path: string, params?: Params): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params ?? {})) {
    if (value !== undefined && value !== null && value !== '') query.set(name, meant(String(value)));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

async function send(method: string, path: string, o: CallOptions): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (method !== 'GET') headers['Vedette-Proof'] = proof;
  if (o.background || Date.now() - touched > presentFor) headers['Vedette-Presence'] = 'idle';
  if (o.body !== undefined) headers['Content-Type'] = 'application/json';
  try {
    return await fetch(address(path, o.params), {
      method, headers, signal: o.signal, credentials: 'same-origin', redirect: 'error',
      body: o.form ?? (o.body === undefined ? undefined : meantJSON(stringify(o.body))),
    });
  } catch (e) {
    if (o.signal?.aborted) throw e;
    throw new ApiError(0, 'Unreachable', 'The server cannot be reached.');
  }
}

async function refusal(r: Response): Promise<ApiError> {
  let code = '';
  let message = '';
  let target = r.headers.get('X-Correlation-Id') ?? '';
  try {
    const { error } = JSON.parse(shownJSON(await r.text())) as { error: { code?: string; message?: string; target?: string } };
    code = error.code ?? '';
    message = error.message ?? '';
    target = error.target || target;
  } catch {
    message = `The server answered ${r.status} ${r.statusText}`.trim();
  }
  return new ApiError(r.status, code, message.charAt(0).toUpperCase() + message.slice(1), target, Number(r.headers.get('Retry-After')) || 0);
}

/** Calls the server and returns its JSON; undefined for an answer without a body. */
export async function call<T>(method: string, path: string, o: CallOptions = {}): Promise<T> {
  const r = await send(method, path, o);
  if (!r.ok) {
    const e = await refusal(r);
    if (e.status === 401 && e.code === 'SessionOver') for (const f of [...ended]) f();
    throw e;
  }
  const text = await r.text();
  return (text === '' ? undefined : parse(shownJSON(text))) as T;
}

/** The beginning of a text, up to so many bytes; `whole` tells whether it is all of it. */
export async function beginning(path: string, most: number, signal?: AbortSignal): Promise<{ text: string; whole: boolean }> {
  const r = await send('GET', path, { signal });
  if (!r.ok) throw await refusal(r);
  if (!r.body) return { text: '', whole: true };
  const reader = r.body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (let size = 0; size < most;) {
    const { done, value } = await reader.read();
    if (done) return { text: text + decoder.decode(), whole: true };
    size += value.length;
    text += decoder.decode(value, { stream: true });
  }
  await reader.cancel();
  return { text, whole: false };
}

export const get = <T>(path: string, params?: Params, o: CallOptions = {}): Promise<T> => call<T>('GET', path, { ...o, params });
export const post = <T>(path: string, body?: unknown, o: CallOptions = {}): Promise<T> => call<T>('POST', path, { ...o, body: body ?? {} });
export const patch = <T>(path: string, body: unknown): Promise<T> => call<T>('PATCH', path, { body });
export const put = <T>(path: string, body: unknown): Promise<T> => call<T>('PUT', path, { body });
export const del = <T = void>(path: string): Promise<T> => call<T>('DELETE', path);

/** A page of a list of the public API. */
export interface List<T> {
  value: T[];
  '@odata.count'?: number;
  '@odata.nextLink'?: string;
}

/** A text as an OData literal. */
export const quoted = (s: string): string => `'${s.replaceAll("'", "''")}'`;

/** A text as one segment of a path. */
export const segment = (s: string | number): string => encodeURIComponent(meant(String(s)));
