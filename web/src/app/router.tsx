import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from '@tanstack/react-router';
import { Page } from '../ui/Page';
import { meant, shown } from '../api/text';
import { areas } from './areas';
import { Shell } from './Shell';

const root = createRootRoute({ component: Shell, notFoundComponent: NotHere });
const start = createRoute({
  getParentRoute: () => root, path: '/',
  // The first place of the navigation is where the portal opens.
  beforeLoad: () => { throw redirect({ to: areas.some((a) => a.pages.some((p) => p.path === '/dashboard')) ? '/dashboard' : '/incidents', replace: true }); },
});
const pages = areas.flatMap((a) => a.pages).map((p) => createRoute({
  getParentRoute: () => root, path: p.path, component: lazyRouteComponent(p.load),
}));

/** Parameters of the address are texts, exactly as they stand there: nothing is taken for JSON. */
function parseSearch(text: string): Record<string, string> {
  return Object.fromEntries([...new URLSearchParams(text)].map(([name, value]) => [name, shown(value)]));
}

function stringifySearch(search: Record<string, unknown>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) if (value !== undefined && value !== '') query.set(name, meant(String(value)));
  const text = query.toString();
  return text ? `?${text}` : '';
}

export const router = createRouter({ routeTree: root.addChildren([start, ...pages]), defaultPreload: 'intent', parseSearch, stringifySearch, scrollRestoration: true });

function NotHere() {
  return <Page title="There is no such page"><p>The address may be of another version of the portal, or mistyped.</p></Page>;
}
