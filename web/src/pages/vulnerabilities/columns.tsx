// The columns of software, vulnerabilities and recommendations, wherever they are listed.
import type { MachineReference, Recommendation, Software, Vulnerability } from '../../api/types';
import { at, Go } from '../../app/links';
import { Time } from '../../app/time';
import { Badge, Severity, Status, words } from '../../ui/badges';
import type { Column } from '../../ui/list/Table';

export const exploit = (v: { exploitVerified: boolean; publicExploit: boolean }): string => (v.exploitVerified ? 'Verified' : v.publicExploit ? 'Public' : 'None known');
const yes = (b: boolean) => (b ? 'Yes' : 'No');

export const vulnerabilities: Column<Vulnerability>[] = [
  { id: 'id', title: 'Name', value: (v) => v.name || v.id, cell: (v) => <Go to={at.vulnerability(v.id)}>{v.name || v.id}</Go>, width: 170 },
  { id: 'severity', title: 'Severity', value: (v) => v.severity, cell: (v) => <Severity value={v.severity} />, width: 120 },
  { id: 'cvssV3', title: 'CVSS', value: (v) => v.cvssV3, width: 80, align: 'end' },
  { id: 'exposedMachines', title: 'Exposed devices', value: (v) => v.exposedMachines, width: 130, align: 'end' },
  { id: 'exploitVerified', title: 'Exploit', value: exploit, cell: (v) => (v.exploitVerified ? <Badge tone="bad">Verified</Badge> : exploit(v)), width: 120 },
  { id: 'description', title: 'Description', value: (v) => v.description, cell: (v) => <span title={v.description ?? undefined}>{v.description || '—'}</span>, width: 300, grow: true, sort: false },
  { id: 'publishedOn', title: 'Published', value: (v) => v.publishedOn, cell: (v) => <Time at={v.publishedOn} form="day" />, width: 120 },
  { id: 'updatedOn', title: 'Updated', value: (v) => v.updatedOn, cell: (v) => <Time at={v.updatedOn} form="day" />, width: 120, hidden: true },
];

export const software: Column<Software>[] = [
  { id: 'name', title: 'Software', value: (s) => s.name, cell: (s) => <Go to={at.software(s.id)}>{s.name || s.id}</Go>, width: 240, grow: true },
  { id: 'vendor', title: 'Vendor', value: (s) => s.vendor, width: 200 },
  { id: 'weaknesses', title: 'Weaknesses', value: (s) => s.weaknesses, width: 110, align: 'end' },
  { id: 'exposedMachines', title: 'Exposed devices', value: (s) => s.exposedMachines, width: 130, align: 'end' },
  { id: 'publicExploit', title: 'Public exploit', value: (s) => yes(s.publicExploit), width: 120, sort: false },
  { id: 'activeAlert', title: 'Active alert', value: (s) => yes(s.activeAlert), width: 110, sort: false },
  { id: 'impactScore', title: 'Impact', value: (s) => s.impactScore, cell: (s) => s.impactScore?.toFixed(1), width: 90, align: 'end', sort: false },
];

export const recommendations: Column<Recommendation>[] = [
  { id: 'recommendationName', title: 'Recommendation', value: (r) => r.recommendationName, cell: (r) => <Go to={at.recommendation(r.id)}>{r.recommendationName}</Go>, width: 320, grow: true, sort: false },
  { id: 'recommendationCategory', title: 'Category', value: (r) => words(r.recommendationCategory), width: 140 },
  { id: 'remediationType', title: 'Remediation', value: (r) => words(r.remediationType), width: 150 },
  { id: 'weaknesses', title: 'Weaknesses', value: (r) => r.weaknesses, width: 110, align: 'end', sort: false },
  { id: 'exposedMachinesCount', title: 'Exposed devices', value: (r) => r.exposedMachinesCount, cell: (r) => `${r.exposedMachinesCount} of ${r.totalMachineCount}`, width: 130, align: 'end', sort: false },
  { id: 'severityScore', title: 'Severity score', value: (r) => r.severityScore, cell: (r) => r.severityScore?.toFixed(1), width: 120, align: 'end' },
  { id: 'exposureImpact', title: 'Impact', value: (r) => r.exposureImpact, cell: (r) => r.exposureImpact?.toFixed(1), width: 90, align: 'end', sort: false },
  { id: 'status', title: 'Status', value: (r) => r.status, cell: (r) => <Status value={r.status} />, width: 120 },
];

export const machines: Column<MachineReference>[] = [
  { id: 'computerDnsName', title: 'Device', value: (m) => m.computerDnsName, cell: (m) => <Go to={at.device(m.id)}>{m.computerDnsName || m.id}</Go>, width: 260, grow: true, sort: false },
  { id: 'osPlatform', title: 'Platform', value: (m) => m.osPlatform, width: 160, sort: false },
  { id: 'rbacGroupName', title: 'Device group', value: (m) => m.rbacGroupName, width: 200, sort: false },
  { id: 'id', title: 'Device ID', value: (m) => m.id, cell: (m) => <span className="mono">{m.id}</span>, width: 330, sort: false, hidden: true },
];
