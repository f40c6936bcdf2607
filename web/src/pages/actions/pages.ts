import type { Page } from '../../app/place';

export const pages: Page[] = [
  { path: '/actions', load: () => import('./Actions') },
];
