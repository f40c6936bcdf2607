import type { Page } from '../../app/place';

export const pages: Page[] = [
  { path: '/alerts', load: () => import('./Alerts') },
  { path: '/alerts/$id', load: () => import('./Alert') },
];
