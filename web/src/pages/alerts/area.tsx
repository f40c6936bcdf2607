import { AlertUrgentRegular } from '@fluentui/react-icons/svg/alert-urgent';
import type { Area } from '../../app/place';

export const area: Area = {
  places: [{ path: '/alerts', title: 'Alerts', icon: AlertUrgentRegular, group: 'Investigation & response', need: ['Alert.Read.All'], order: 20 }],
};
