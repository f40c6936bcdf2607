import type { Page } from '../../app/place';

export const pages: Page[] = [
  { path: '/settings', load: () => import('./Settings') }, { path: '/settings/$section', load: () => import('./Settings') },
];
