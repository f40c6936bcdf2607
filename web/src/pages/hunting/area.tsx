import { SearchSquareRegular } from '@fluentui/react-icons/svg/search-square';
import type { Area } from '../../app/place';

/** Where the portal was opened: a query in a link from elsewhere is shown and not run. */
export const landed = window.location.href;

export const area: Area = {
  places: [{ path: '/hunting', title: 'Advanced hunting', icon: SearchSquareRegular, group: 'Hunting', need: ['AdvancedQuery.Read.All', 'AdvancedHunting.Read.All', 'ThreatHunting.Read.All'], order: 10 }],
};
