import type { Page } from '../../app/place';

export const pages: Page[] = [
  { path: '/rules', load: () => import('./Rules') },
];
