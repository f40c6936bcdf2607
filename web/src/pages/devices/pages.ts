import type { Page } from '../../app/place';

export const pages: Page[] = [
  { path: '/devices', load: () => import('./Devices') },
  { path: '/devices/$id', load: () => import('./Device') },
];
