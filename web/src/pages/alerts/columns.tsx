import { at, Go } from '../../app/links';
import { Time } from '../../app/time';
import type { Alert } from '../../api/types';
import { Severity, Status, words } from '../../ui/badges';
import { containing, options, since, type Filter } from '../../ui/list/filters';
import type { Column } from '../../ui/list/Table';

export const columns: Column<Alert>[] = [
  { id: 'title', title: 'Alert', value: (a) => a.title, cell: (a) => <Go to={at.alert(a.id)} title={a.title}>{a.title}</Go>, width: 320, grow: true, plain: true },
  { id: 'severity', title: 'Severity', value: (a) => a.severity, cell: (a) => <Severity value={a.severity} />, width: 105 },
  { id: 'status', title: 'Status', value: (a) => a.status, cell: (a) => <Status value={a.status} />, width: 115 },
  { id: 'alertCreationTime', title: 'Created', value: (a) => a.alertCreationTime, cell: (a) => <Time at={a.alertCreationTime} form="short" />, width: 120 },
  { id: 'category', title: 'Category', value: (a) => words(a.category), sort: 'category', width: 150 },
  { id: 'device', title: 'Device', value: (a) => a.computerDnsName, cell: (a) => (a.machineId ? <Go to={at.device(a.machineId)}>{a.computerDnsName ?? a.machineId}</Go> : '—'), sort: false, width: 180 },
  { id: 'user', title: 'User', value: (a) => a.relatedUser?.userName, cell: (a) => (a.relatedUser?.userName ? <Go to={at.user(a.relatedUser.domainName ? `${a.relatedUser.domainName}\\${a.relatedUser.userName}` : a.relatedUser.userName)}>{a.relatedUser.userName}</Go> : <span className="quiet">—</span>), sort: false, width: 120 },
  { id: 'incident', title: 'Incident', value: (a) => a.incidentId, cell: (a) => (a.incidentId ? <Go to={at.incident(a.incidentId)}>{a.incidentId}</Go> : '—'), sort: 'incidentId', width: 90 },
  { id: 'detectionSource', title: 'Detection source', value: (a) => words(a.detectionSource), sort: 'detectionSource', width: 150 },
  { id: 'assignedTo', title: 'Assigned to', value: (a) => a.assignedTo, width: 150 },
  { id: 'lastEventTime', title: 'Last activity', value: (a) => a.lastEventTime, cell: (a) => <Time at={a.lastEventTime} />, width: 180, hidden: true },
  { id: 'lastUpdateTime', title: 'Last change', value: (a) => a.lastUpdateTime, cell: (a) => <Time at={a.lastUpdateTime} />, width: 180, hidden: true },
  { id: 'classification', title: 'Classification', value: (a) => words(a.classification), width: 200, hidden: true },
  { id: 'determination', title: 'Determination', value: (a) => words(a.determination), width: 180, hidden: true },
  { id: 'techniques', title: 'Techniques', value: (a) => a.mitreTechniques.join(', '), sort: false, width: 180, hidden: true },
  { id: 'group', title: 'Device group', value: (a) => a.rbacGroupName, sort: false, width: 150, hidden: true },
  { id: 'id', title: 'Alert ID', value: (a) => a.id, cell: (a) => <span className="mono">{a.id}</span>, width: 240, hidden: true },
];

export const severity: Filter = { id: 'severity', title: 'Severity', field: 'severity', options: options('High', 'Medium', 'Low', 'Informational') };
export const status: Filter = { id: 'status', title: 'Status', field: 'status', options: options('New', 'InProgress', 'Resolved'), start: ['New', 'InProgress'] };

export const filters: Filter[] = [
  status, severity,
  since('alertCreationTime', '7d'),
  { id: 'category', title: 'Category', field: 'category' },
  { id: 'source', title: 'Detection source', field: 'detectionSource', options: ['WindowsDefenderAtp', 'CustomDetection', 'CustomerTI'].map((value) => ({ value, label: words(value) })) },
  { id: 'classification', title: 'Classification', field: 'classification', options: options('TruePositive', 'InformationalExpectedActivity', 'FalsePositive') },
  { id: 'assigned', title: 'Assigned to', field: 'assignedTo' },
];

export const search = { hint: 'Search titles', odata: (text: string) => containing('title')([text]) };
