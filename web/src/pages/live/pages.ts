import type { Page } from '../../app/place';

export const pages: Page[] = [
  { path: '/live', load: () => import('./Live') },
  { path: '/live/$id', load: () => import('./Session') },
];
