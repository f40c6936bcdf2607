// The address of everything that has a page, and links to it. Pages name things through these functions alone.
import { useRouter } from '@tanstack/react-router';
import { useCallback, type MouseEvent, type ReactNode } from 'react';
import { segment } from '../api/client';
import { pageAt } from './pages';

export const at = {
  incident: (id: number | string) => `/incidents/${segment(id)}`,
  alert: (id: string) => `/alerts/${segment(id)}`,
  device: (id: string) => `/devices/${segment(id)}`,
  action: (id: string) => `/actions?open=${segment(id)}`,
  live: (id: string) => `/live/${segment(id)}`,
  file: (hash: string) => `/files/${segment(hash)}`,
  ip: (ip: string) => `/ips/${segment(ip)}`,
  domain: (name: string) => `/domains/${segment(name)}`,
  user: (name: string) => `/users/${segment(name)}`,
  vulnerability: (id: string) => `/vulnerabilities/${segment(id)}`,
  software: (id: string) => `/software/${segment(id)}`,
  recommendation: (id: string) => `/recommendations/${segment(id)}`,
  /** The hunting page with a query in it. */
  hunt: (query: string) => `/hunting?query=${segment(query)}`,
};

/** Whether the portal has a page at an address: what leads to none is shown as text. */
export const hasPage = (href: string): boolean => href !== '/' && pageAt(href.split('?')[0]) !== undefined;

/** A function that goes to an address of the portal. */
export function useGo(): (href: string, how?: { replace?: boolean }) => void {
  const { history } = useRouter();
  return useCallback((href, how) => { if (how?.replace) history.replace(href); else history.push(href); }, [history]);
}

/** A link within the portal. Where no page is, its text alone. */
export function Go({ to, children, className, title, onFollow }: { to: string; children: ReactNode; className?: string; title?: string; onFollow?: () => void }) {
  const router = useRouter();
  if (!hasPage(to)) return <span className={className} title={title}>{children}</span>;
  const follow = (e: MouseEvent) => {
    e.stopPropagation();
    if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    e.preventDefault();
    onFollow?.();
    router.history.push(to);
  };
  return <a href={to} className={className ?? 'go'} title={title} onClick={follow}>{children}</a>;
}
