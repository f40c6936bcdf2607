import type { Page } from '../../app/place';

export const pages: Page[] = [
  { path: '/dashboard', load: () => import('./Dashboard') },
];
