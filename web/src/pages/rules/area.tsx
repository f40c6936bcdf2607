import { ShieldTaskRegular } from '@fluentui/react-icons/svg/shield-task';
import type { Area } from '../../app/place';

export const area: Area = {
  places: [{ path: '/rules', title: 'Detection rules', icon: ShieldTaskRegular, group: 'Hunting', need: ['CustomDetection.Read.All', 'CustomDetection.ReadWrite.All'], order: 20 }],
};
