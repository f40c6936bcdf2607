import { ShieldErrorRegular } from '@fluentui/react-icons/svg/shield-error';
import type { Area } from '../../app/place';

export const area: Area = {
  places: [{ path: '/incidents', title: 'Incidents', icon: ShieldErrorRegular, group: 'Investigation & response', need: ['Incident.Read.All'], order: 10 }],
};
