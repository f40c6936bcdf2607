import type { Page } from '../../app/place';

export const pages: Page[] = [
  { path: '/files/$id', load: () => import('./File') },
  { path: '/ips/$id', load: () => import('./Ip') },
  { path: '/domains/$id', load: () => import('./Domain') },
  { path: '/users/$id', load: () => import('./User') },
];
