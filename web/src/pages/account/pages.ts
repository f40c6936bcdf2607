import type { Page } from '../../app/place';

// The person's menu leads there; it has no entry in the navigation.
export const pages: Page[] = [{ path: '/account', load: () => import('./Account') }];
