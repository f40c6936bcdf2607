import type { Area } from '../../app/place';

export const area: Area = {
  places: [], // the person's menu leads there
  pages: [{ path: '/account', load: () => import('./Account') }],
};
