import { BugRegular } from '@fluentui/react-icons/svg/bug';
import type { Area } from '../../app/place';

export const area: Area = {
  places: [{ path: '/vulnerabilities', title: 'Vulnerabilities', icon: BugRegular, group: 'Assets', need: ['Vulnerability.Read.All', 'SecurityRecommendation.Read.All', 'Software.Read.All'], order: 20 }],
};
