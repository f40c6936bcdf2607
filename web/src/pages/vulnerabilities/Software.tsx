// One product: its versions, what is weak in it, and where it is installed.
import { useQuery } from '@tanstack/react-query';
import { get, segment } from '../../api/client';
import type { Distribution, MachineReference, Software as Entity, Vulnerability } from '../../api/types';
import { ListView } from '../../ui/list/ListView';
import type { Column } from '../../ui/list/Table';
import { Page, Tabs } from '../../ui/Page';
import { Failure, Waiting } from '../../ui/states';
import { useAddressed, useId } from '../../ui/url';
import { machines, vulnerabilities } from './columns';

const crumbs = [{ title: 'Vulnerabilities', to: '/vulnerabilities' }, { title: 'Software', to: '/vulnerabilities?tab=software' }];
const unsorted = vulnerabilities.map((c) => ({ ...c, sort: false }));
const versions: Column<Distribution>[] = [
  { id: 'version', title: 'Version', value: (d) => d.version, cell: (d) => <span className="mono">{d.version}</span>, width: 320, grow: true, sort: false },
  { id: 'installations', title: 'Devices', value: (d) => d.installations, width: 120, align: 'end', sort: false },
  { id: 'vulnerabilities', title: 'Vulnerabilities', value: (d) => d.vulnerabilities, width: 140, align: 'end', sort: false },
];

export default function Software() {
  const id = useId();
  const [tab, setTab] = useAddressed('tab', 'versions');
  const path = `/api/Software/${segment(id)}`;
  const found = useQuery({ queryKey: ['/api/Software', id], queryFn: () => get<Entity>(path) });
  if (found.isPending) return <Waiting />;
  if (!found.data) return <Page title={id} crumbs={crumbs}><Failure error={found.error} retry={() => void found.refetch()} /></Page>;
  const s = found.data;
  return (
    <Page title={s.name || s.id} crumbs={crumbs} fill aside={<span className="quiet">{s.vendor}</span>}>
      <Tabs label="Parts of the product" value={tab} choose={setTab} of={[['versions', 'Versions'], ['vulnerabilities', `Vulnerabilities (${s.weaknesses})`], ['devices', 'Devices']]} />
      {tab === 'versions' && <ListView<Distribution> name="software-versions" label="Versions" path={`${path}/distributions`} columns={versions} rowKey={(d) => d.version} empty={{ title: 'No version is known' }} />}
      {tab === 'vulnerabilities' && <ListView<Vulnerability> name="software-vulnerabilities" label="Vulnerabilities of the product" path={`${path}/vulnerabilities`} columns={unsorted} rowKey={(v) => v.id} empty={{ title: 'None is known' }} />}
      {tab === 'devices' && <ListView<MachineReference> name="software-devices" label="Devices that hold it" path={`${path}/machineReferences`} columns={machines} rowKey={(m) => m.id} empty={{ title: 'No device holds it' }} />}
    </Page>
  );
}
