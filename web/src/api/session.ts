// Who works here, and what they chose.
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback } from 'react';
import { call, del, get, post, put, setProof } from './client';
import { parse } from './json';
import { queries } from './query';
import { shownJSON } from './text';

export interface User {
  id: string;
  login: string;
  name: string;
  mail: string;
  tenantId: string;
  roles: string[];
}

/** A session as the server describes it; without a person when nobody is signed in. */
export interface Session {
  signedIn: boolean;
  version: string;
  time: string;
  user: User | null;
  proof: string;
  expires: string | null;
  idleSeconds: number;
  /** What the person may do, as the published API names it. */
  permissions: string[];
  allDevices: boolean;
  /** What somebody has to do whose password was right: give a code, or set up a second factor. */
  step: '' | 'code' | 'enrol';
  providers: Provider[];
  /** Which providers there are is asked for by the tenant. */
  severalTenants: boolean;
  /** There in the answer alone that turned on a second factor. */
  recoveryCodes?: string[];
}

/** An identity provider by which people can sign in. */
export interface Provider { id: string; name: string }

/** A second factor that is to be confirmed. */
export interface Enrolment { secret: string; address: string }

function take(s: Session): Session {
  setProof(s.proof);
  return s;
}

/** Takes who is signed in, and what they chose, from the page itself, where the server wrote both; reports whether it did. */
export function readInlined(): boolean {
  const text = document.getElementById('session')?.textContent;
  if (!text) return false;
  const { session, preferences } = parse(shownJSON(text)) as { session: Session; preferences: Preferences };
  queries.setQueryData(['session'], take(session));
  queries.setQueryData(preferencesKey, preferences);
  return session.signedIn;
}

/** The session of this page. */
export function useSession() {
  return useQuery({ queryKey: ['session'], queryFn: async () => take(await get<Session>('/portal/session')), staleTime: 10 * 60_000, refetchOnWindowFocus: false });
}

/** The person who is signed in; only below the shell, where there is one. */
export function useUser(): User {
  const { data } = useSession();
  if (!data?.user) throw new Error('nobody is signed in');
  return data.user;
}

/** Tells whether the person may do one of these things, by the published names of permissions. */
export function useMay(): (...any: string[]) => boolean {
  const { data } = useSession();
  return useCallback((...any: string[]) => any.length === 0 || any.some((p) => data?.permissions.includes(p)), [data]);
}

/** Takes over another session of the same person, in place of the one that this page had. */
export function useRenew(): (s: Session) => void {
  const cache = useQueryClient();
  return useCallback((s: Session) => { cache.setQueryData<Session>(['session'], take(s)); }, [cache]);
}

/** Takes over a session that was opened just now. */
export function useEnter(): (s: Session) => void {
  const cache = useQueryClient();
  return useCallback((s: Session) => {
    // What somebody else may have read goes; the session itself stays, because the page watches it.
    if (s.signedIn) cache.removeQueries({ predicate: (q) => q.queryKey[0] !== 'session' });
    cache.setQueryData<Session>(['session'], (old) => ({ ...take(s), providers: s.signedIn ? [] : old?.providers ?? s.providers, severalTenants: old?.severalTenants ?? s.severalTenants }));
  }, [cache]);
}

export function useSignIn() {
  const enter = useEnter();
  return useMutation({ mutationFn: (c: { login: string; password: string; tenant?: string }) => post<Session>('/portal/session', c), onSuccess: enter });
}

/** The second step of signing in: a code of the second factor, or a recovery code. */
export function useGiveCode() {
  const enter = useEnter();
  return useMutation({ mutationFn: (code: string) => post<Session>('/portal/session/code', { code }), onSuccess: enter });
}

/** Gives up a sign-in that waits for its second step. */
export function useGiveUp() {
  const cache = useQueryClient();
  return useMutation({
    mutationFn: () => call<void>('DELETE', '/portal/session/step'),
    onSettled: () => cache.setQueryData<Session>(['session'], (s) => s && { ...s, step: '' }),
  });
}

export function useSignOut() {
  return useMutation({
    mutationFn: () => call<{ endSessionAddress: string }>('DELETE', '/portal/session'),
    // Also when the server did not answer: what the page knows must go, and it goes with the page.
    // Emptied before, it would be asked for once more, by nobody.
    onSettled: (more) => window.location.replace(more?.endSessionAddress || '/'),
  });
}

type Preferences = Record<string, unknown>;
const preferencesKey = ['preferences'];

/** One thing that the person chose, kept at the server for every browser. */
export function usePreference<T>(name: string, otherwise: T): [T, (value: T) => void] {
  const cache = useQueryClient();
  const { data } = useQuery({
    queryKey: preferencesKey, staleTime: Infinity, refetchOnWindowFocus: false,
    queryFn: async () => (await get<{ value: Preferences }>('/portal/preferences')).value,
  });
  const set = useCallback((value: T) => {
    cache.setQueryData<Preferences>(preferencesKey, (old) => ({ ...old, [name]: value }));
    // What cannot be kept stays for this page; the next choice tries again.
    void (value === undefined ? del(`/portal/preferences/${name}`) : put(`/portal/preferences/${name}`, value)).catch(() => undefined);
  }, [cache, name]);
  return [data && name in data ? (data[name] as T) : otherwise, set];
}
