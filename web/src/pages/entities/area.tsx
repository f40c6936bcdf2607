import type { Area } from '../../app/place';

/** Pages of things that are met everywhere and listed nowhere. */
export const area: Area = {
  places: [],
  pages: [
    { path: '/files/$id', load: () => import('./File') },
    { path: '/ips/$id', load: () => import('./Ip') },
    { path: '/domains/$id', load: () => import('./Domain') },
    { path: '/users/$id', load: () => import('./User') },
  ],
};
