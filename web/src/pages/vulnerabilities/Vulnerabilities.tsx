// What is weak in the organisation, and what to do about it.
import { Button } from '@fluentui/react-components';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { call, post, segment } from '../../api/client';
import { useMay } from '../../api/session';
import type { Recommendation, RemediationTask, Software, Vulnerability } from '../../api/types';
import { at, Go } from '../../app/links';
import { Time } from '../../app/time';
import { Status, words } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { containing, options, type Filter } from '../../ui/list/filters';
import { ListView } from '../../ui/list/ListView';
import type { Column } from '../../ui/list/Table';
import { Page, Tabs } from '../../ui/Page';
import { useAddress } from '../../ui/url';
import { recommendations, software, vulnerabilities } from './columns';

const severity: Filter = { id: 'severity', title: 'Severity', field: 'severity', options: options('Critical', 'High', 'Medium', 'Low') };
const ofVulnerabilities: Filter[] = [
  severity,
  { id: 'exploit', title: 'Exploit', single: true, options: [{ value: 'verified', label: 'Verified' }], odata: () => 'exploitVerified eq true' },
  { id: 'exposed', title: 'Devices', single: true, start: ['here'], options: [{ value: 'here', label: 'On devices here' }], odata: () => 'exposedMachines gt 0' },
];
const ofSoftware: Filter[] = [{ id: 'weak', title: 'Weaknesses', single: true, options: [{ value: 'some', label: 'Has some' }], odata: () => 'weaknesses gt 0' }, { id: 'vendor', title: 'Vendor', field: 'vendor' }];
const ofRecommendations: Filter[] = [
  { id: 'status', title: 'Status', field: 'status', options: options('Active', 'Exception') },
  { id: 'remediation', title: 'Remediation', field: 'remediationType', options: options('Update', 'ConfigurationChange') },
  { id: 'vendor', title: 'Vendor', field: 'vendor' },
];
const tasks: Column<RemediationTask>[] = [
  { id: 'title', title: 'Remediation', value: (t) => t.title, width: 300, grow: true, sort: false },
  { id: 'status', title: 'Status', value: (t) => t.status, cell: (t) => <Status value={t.status} />, width: 120 },
  { id: 'type', title: 'Kind', value: (t) => words(t.type), width: 140, sort: false },
  { id: 'priority', title: 'Priority', value: (t) => t.priority, width: 100, sort: false },
  { id: 'targetDevices', title: 'Devices', value: (t) => t.targetDevices, width: 100, align: 'end', sort: false },
  { id: 'createdOn', title: 'Asked for', value: (t) => t.createdOn, cell: (t) => <Time at={t.createdOn} form="day" />, width: 120 },
  { id: 'dueOn', title: 'Due', value: (t) => t.dueOn, cell: (t) => <Time at={t.dueOn} form="day" />, width: 120, sort: false },
  { id: 'requesterEmail', title: 'By', value: (t) => t.requesterEmail, width: 160, sort: false },
  { id: 'recommendation', title: 'Recommendation', value: (t) => t.scid || t.relatedComponent, cell: (t) => (t.recommendationReference ? <Go to={at.recommendation(t.recommendationReference)}>{t.recommendationReference}</Go> : t.relatedComponent || '—'), width: 220, sort: false },
];

/** A search by what stands in some fields. */
const by = (hint: string, ...fields: string[]) => ({ hint, odata: (text: string) => containing(...fields)([text]) });
const searches = { vulnerabilities: by('Search by name or description', 'name', 'description'), software: by('Search by name', 'name'), recommendations: by('Search by product', 'productName') };
const worst = { vulnerabilities: { id: 'cvssV3', desc: true }, software: { id: 'weaknesses', desc: true }, recommendations: { id: 'severityScore', desc: true }, remediation: { id: 'createdOn', desc: true } };

export default function Vulnerabilities() {
  const may = useMay();
  const [address, set] = useAddress();
  const tabs: [string, string][] = [
    ...(may('SecurityRecommendation.Read.All') ? [['recommendations', 'Recommendations'] as [string, string]] : []), ...(may('Vulnerability.Read.All') ? [['vulnerabilities', 'Vulnerabilities'] as [string, string]] : []),
    ...(may('Software.Read.All') ? [['software', 'Software'] as [string, string]] : []), ...(may('RemediationTasks.Read.All') ? [['remediation', 'Remediation'] as [string, string]] : []),
  ];
  const tab = address.tab ?? tabs[0]?.[0];
  const ask = useConfirm();
  const cache = useQueryClient();
  const complete = (of: RemediationTask[], done: () => void) => ask({
    title: of.length === 1 ? `Complete “${of[0].title}”` : `Complete ${of.length} remediations`, action: 'Complete', reason: 'none', body: 'Nobody works on it any more. Devices that still have it stay exposed.',
    run: async () => {
      for (const t of of) await post(`/api/vedette/remediationTasks/${segment(t.id)}/complete`);
      await cache.invalidateQueries({ queryKey: ['/api/remediationTasks'] });
      done();
    },
  });
  const none = { title: 'Nothing is known', text: 'Vulnerabilities are told of by feeds, which are imported in the settings.' };
  return (
    <Page title="Vulnerabilities" fill aside={may('Score.Read.All') && <Score />}>
      <Tabs label="Kinds" value={tab ?? ''} choose={(id) => set({ ...Object.fromEntries(Object.keys(address).map((k) => [k, undefined])), tab: id })} of={tabs} />
      {tab === 'recommendations' && <ListView<Recommendation> key={tab} name="recommendations" label="Recommendations" path="/api/recommendations" columns={recommendations} rowKey={(r) => r.id} filters={ofRecommendations} search={searches.recommendations} start={worst.recommendations} empty={{ title: 'Nothing is recommended', text: none.text }} />}
      {tab === 'vulnerabilities' && <ListView<Vulnerability> key={tab} name="vulnerabilities" label="Vulnerabilities" path="/api/vulnerabilities" columns={vulnerabilities} rowKey={(v) => v.id} filters={ofVulnerabilities} search={searches.vulnerabilities} start={worst.vulnerabilities} empty={none} />}
      {tab === 'software' && <ListView<Software> key={tab} name="software" label="Software" path="/api/Software" columns={software} rowKey={(s) => s.id} filters={ofSoftware} search={searches.software} start={worst.software} empty={{ title: 'No software is known', text: 'Devices send what is installed when they start and when it changes.' }} />}
      {tab === 'remediation' && <ListView<RemediationTask> key={tab} name="remediation" label="Remediation activities" path="/api/remediationTasks" columns={tasks} rowKey={(t) => t.id} start={worst.remediation} bulk={may('SecurityConfiguration.ReadWrite.All', 'Vedette.Admin.All') ? (rows, clear) => <Button size="small" disabled={rows.every((t) => t.status === 'Completed')} onClick={() => complete(rows.filter((t) => t.status !== 'Completed'), clear)}>Complete</Button> : undefined} empty={{ title: 'No remediation was asked for', text: 'It is asked for on the page of a recommendation.' }} />}
    </Page>
  );
}

/** The exposure of the organisation. */
function Score() {
  const { data } = useQuery({ queryKey: ['/api/exposureScore'], queryFn: () => call<{ score: number | null }>('GET', '/api/exposureScore', { background: true }), retry: false });
  return data?.score == null ? null : <span className="quiet">Exposure score <strong>{data.score.toFixed(0)}</strong> of 100</span>;
}
