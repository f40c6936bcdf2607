import { BugRegular } from '@fluentui/react-icons/svg/bug';
import type { Area } from '../../app/place';

export const area: Area = {
  places: [{ path: '/vulnerabilities', title: 'Vulnerabilities', icon: BugRegular, group: 'Assets', need: ['Vulnerability.Read.All', 'SecurityRecommendation.Read.All', 'Software.Read.All'], order: 20 }],
  pages: [
    { path: '/vulnerabilities', load: () => import('./Vulnerabilities') },
    { path: '/vulnerabilities/$id', load: () => import('./Vulnerability') },
    { path: '/software/$id', load: () => import('./Software') },
    { path: '/recommendations/$id', load: () => import('./Recommendation') },
  ],
};
