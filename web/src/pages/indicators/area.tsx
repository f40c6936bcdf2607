import { TargetRegular } from '@fluentui/react-icons/svg/target';
import type { Area } from '../../app/place';

export const area: Area = {
  places: [{ path: '/indicators', title: 'Indicators', icon: TargetRegular, group: 'Threat intelligence', need: ['Ti.ReadWrite', 'Ti.ReadWrite.All'], order: 10 }],
};
