import type { Page } from '../../app/place';

export const pages: Page[] = [
  { path: '/hunting', load: () => import('./Hunting') },
];
