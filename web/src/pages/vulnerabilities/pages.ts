import type { Page } from '../../app/place';

export const pages: Page[] = [
  { path: '/vulnerabilities', load: () => import('./Vulnerabilities') },
  { path: '/vulnerabilities/$id', load: () => import('./Vulnerability') },
  { path: '/software/$id', load: () => import('./Software') },
  { path: '/recommendations/$id', load: () => import('./Recommendation') },
];
