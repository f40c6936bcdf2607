import { ClipboardTaskListLtrRegular } from '@fluentui/react-icons/svg/clipboard-task-list-ltr';
import type { Area } from '../../app/place';

export const area: Area = {
  places: [{ path: '/actions', title: 'Action center', icon: ClipboardTaskListLtrRegular, group: 'Investigation & response', need: ['Machine.Read.All'], order: 30 }],
};
