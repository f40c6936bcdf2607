import { at, Go } from '../../app/links';
import { Time } from '../../app/time';
import type { Machine } from '../../api/types';
import { Health, Severity, Tags, words } from '../../ui/badges';
import { containing, options, since, type Filter } from '../../ui/list/filters';
import type { Column } from '../../ui/list/Table';

export const columns: Column<Machine>[] = [
  { id: 'computerDnsName', title: 'Name', value: (m) => m.computerDnsName ?? m.id, cell: (m) => <Go to={at.device(m.id)}>{m.computerDnsName ?? m.id}</Go>, width: 220, grow: true, plain: true },
  { id: 'riskScore', title: 'Risk', value: (m) => m.riskScore, cell: (m) => <Severity value={m.riskScore} />, width: 115 },
  { id: 'exposureLevel', title: 'Exposure', value: (m) => m.exposureLevel, cell: (m) => <Severity value={m.exposureLevel} />, width: 100 },
  { id: 'osPlatform', title: 'Platform', value: (m) => [m.osPlatform, m.version].filter(Boolean).join(' '), width: 100 },
  { id: 'health', title: 'Sensor', value: (m) => m.healthStatus, cell: (m) => <Health value={m.healthStatus} />, sort: false, width: 135 },
  { id: 'deviceValue', title: 'Value', value: (m) => m.deviceValue, width: 80 },
  { id: 'group', title: 'Device group', value: (m) => m.rbacGroupName, sort: 'rbacGroupId', width: 140 },
  { id: 'tags', title: 'Tags', value: (m) => m.machineTags.join(', '), cell: (m) => <Tags of={m.machineTags} />, sort: false, width: 130 },
  { id: 'lastIpAddress', title: 'Last IP', value: (m) => m.lastIpAddress, cell: (m) => (m.lastIpAddress ? <Go to={at.ip(m.lastIpAddress)}>{m.lastIpAddress}</Go> : '—'), width: 130 },
  { id: 'lastSeen', title: 'Last seen', value: (m) => m.lastSeen, cell: (m) => <Time at={m.lastSeen} form="short" />, width: 120 },
  { id: 'firstSeen', title: 'First seen', value: (m) => m.firstSeen, cell: (m) => <Time at={m.firstSeen} />, width: 180, hidden: true },
  { id: 'onboardingStatus', title: 'Onboarding', value: (m) => words(m.onboardingStatus), width: 130, hidden: true },
  { id: 'agentVersion', title: 'Agent', value: (m) => m.agentVersion, width: 130, hidden: true },
  { id: 'lastExternalIpAddress', title: 'External IP', value: (m) => m.lastExternalIpAddress, width: 130, hidden: true },
  { id: 'id', title: 'Device ID', value: (m) => m.id, cell: (m) => <span className="mono">{m.id}</span>, width: 320, hidden: true },
];

export const filters: Filter[] = [
  { id: 'risk', title: 'Risk', field: 'riskScore', options: options('High', 'Medium', 'Low', 'Informational', 'None') },
  { id: 'exposure', title: 'Exposure', field: 'exposureLevel', options: options('High', 'Medium', 'Low', 'None') },
  { id: 'health', title: 'Sensor', field: 'healthStatus', options: options('Active', 'Inactive', { value: 'ImpairedCommunication', label: 'Impaired communication' }, { value: 'NoSensorData', label: 'No sensor data' }) },
  { id: 'platform', title: 'Platform', field: 'osPlatform' },
  { id: 'value', title: 'Value', field: 'deviceValue', options: options('High', 'Normal', 'Low') },
  { id: 'tag', title: 'Tag', odata: (vs) => vs.map((v) => `machineTags/any(t:t eq '${v.replaceAll("'", "''")}')`).join(' or ') },
  since('lastSeen'),
];

export const search = { hint: 'Search names and addresses', odata: (text: string) => containing('computerDnsName', 'lastIpAddress')([text]) };
