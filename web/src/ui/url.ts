// What a page shows stands in its address, so that it can be sent, kept and gone back to.
import { useParams, useRouter, useRouterState } from '@tanstack/react-router';
import { useCallback } from 'react';
import { meant, shown } from '../api/text';

type Values = Record<string, string>;

/** The parameters of the address, and a function that changes some: '' or undefined takes one away. */
export function useAddress(): [Values, (change: Record<string, string | undefined>, how?: { push?: boolean }) => void] {
  const values = useRouterState({ select: (s) => s.location.search as Values });
  const { history } = useRouter();
  const set = useCallback((change: Record<string, string | undefined>, how?: { push?: boolean }) => {
    const query = new URLSearchParams(window.location.search);
    for (const [name, value] of Object.entries(change)) {
      if (value) query.set(name, meant(value));
      else query.delete(name);
    }
    const text = query.toString();
    const href = window.location.pathname + (text ? `?${text}` : '');
    if (how?.push) history.push(href);
    else history.replace(href);
  }, [history]);
  return [values, set];
}

/** One parameter of the address. */
export function useAddressed(name: string, otherwise = ''): [string, (value: string) => void] {
  const [values, set] = useAddress();
  return [values[name] ?? otherwise, useCallback((v: string) => set({ [name]: v === otherwise ? undefined : v }), [set, name, otherwise])];
}

/** What the page is of, by its address. */
export function useId(): string {
  const { id } = useParams({ strict: false }) as { id: string };
  return shown(id);
}
