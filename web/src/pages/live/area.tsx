import { WindowConsoleRegular } from '@fluentui/react-icons/svg/window-console';
import type { Area } from '../../app/place';
import { useOpenCount } from './open';

export const area: Area = {
  places: [{ path: '/live', title: 'Live response', icon: WindowConsoleRegular, group: 'Investigation & response', need: ['Machine.LiveResponse', 'Library.Manage'], order: 60, useCount: useOpenCount }],
};
