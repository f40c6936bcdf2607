import { HomeRegular } from '@fluentui/react-icons/svg/home';
import type { Area } from '../../app/place';

export const area: Area = {
  places: [{ path: '/dashboard', title: 'Dashboard', icon: HomeRegular, group: '', order: 10 }],
};
