import { DesktopRegular } from '@fluentui/react-icons/svg/desktop';
import type { Area } from '../../app/place';

export const area: Area = {
  places: [{ path: '/devices', title: 'Devices', icon: DesktopRegular, group: 'Assets', need: ['Machine.Read.All'], order: 10 }],
};
