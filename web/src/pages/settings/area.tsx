import { SettingsRegular } from '@fluentui/react-icons/svg/settings';
import type { Area } from '../../app/place';

export const area: Area = {
  places: [{ path: '/settings', title: 'Settings', icon: SettingsRegular, group: 'System', need: ['Vedette.Admin.All', 'Alert.ReadWrite.All'], order: 90 }],
};
