import type { Page } from '../../app/place';

export const pages: Page[] = [
  { path: '/indicators', load: () => import('./Indicators') },
];
