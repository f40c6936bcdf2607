import type { Page } from '../../app/place';

export const pages: Page[] = [
  { path: '/incidents', load: () => import('./Incidents') },
  { path: '/incidents/$id', load: () => import('./Incident') },
];
