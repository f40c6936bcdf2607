import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from '@tanstack/react-router';
import { Page } from '../ui/Page';
import { meant } from '../api/text';
import { parameters } from '../api/address';
import { pages as all, startPath } from './pages';
import { Shell } from './Shell';

const root = createRootRoute({ component: Shell, notFoundComponent: NotHere });
const start = createRoute({
  getParentRoute: () => root, path: '/',
  beforeLoad: () => { throw redirect({ to: startPath, replace: true }); },
});
const pages = all.map((p) => createRoute({
  getParentRoute: () => root, path: p.path, component: lazyRouteComponent(p.load),
}));

function stringifySearch(search: Record<string, unknown>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) if (value !== undefined && value !== '') query.set(name, meant(String(value)));
  const text = query.toString();
  return text ? `?${text}` : '';
}

export const router = createRouter({ routeTree: root.addChildren([start, ...pages]), defaultPreload: 'intent', parseSearch: parameters, stringifySearch, scrollRestoration: true });

function NotHere() {
  return <Page title="There is no such page"><p>The address may be of another version of the portal, or mistyped.</p></Page>;
}
