import { Button } from '@fluentui/react-components';
import { TagRegular } from '@fluentui/react-icons/svg/tag';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { call, post } from '../../api/client';
import { useMay } from '../../api/session';
import type { Machine } from '../../api/types';
import { at, useGo } from '../../app/links';
import { useConfirm } from '../../ui/confirm';
import { ListView } from '../../ui/list/ListView';
import { Page } from '../../ui/Page';
import { useAddress } from '../../ui/url';
import { columns, filters, search } from './columns';
import css from './Devices.module.css';

const latest = { id: 'lastSeen', desc: true };

/** The inventory of devices. */
export default function Devices() {
  const may = useMay();
  const go = useGo();
  const ask = useConfirm();
  const cache = useQueryClient();
  const tag = (rows: Machine[], clear: () => void, what: 'Add' | 'Remove') => ask({
    title: what === 'Add' ? `Tag ${rows.length} devices` : `Remove a tag of ${rows.length} devices`, action: what === 'Add' ? 'Add tag' : 'Remove tag', body: 'The comment is the tag: up to 200 characters.',
    run: async ({ reason }) => {
      await post('/api/machines/AddOrRemoveTagForMultipleMachines', { Value: reason, Action: what, MachineIds: rows.map((m) => m.id) });
      clear();
      await cache.invalidateQueries({ queryKey: ['/api/machines'] });
    },
  });
  return (
    <Page title="Devices" fill aside={<Counts />}>
      <ListView<Machine> name="devices" label="Devices" path="/api/machines" columns={columns} rowKey={(m) => m.id} filters={filters} search={search} start={latest} every={60_000}
        onOpen={(m) => go(at.device(m.id))}
        bulk={may('Machine.ReadWrite.All') ? (rows, clear) => (
          <>
            <Button size="small" icon={<TagRegular />} onClick={() => tag(rows, clear, 'Add')}>Add tag</Button>
            <Button size="small" onClick={() => tag(rows, clear, 'Remove')}>Remove tag</Button>
          </>
        ) : undefined}
        empty={{ title: 'No device has enrolled yet', text: 'Install the agent on a device with an enrolment token, and it is shown here within seconds.' }} />
    </Page>
  );
}

const pills = [
  { title: 'Total', filter: '', set: {} },
  { title: 'High risk', filter: "riskScore eq 'High'", set: { risk: 'High' } },
  { title: 'High exposure', filter: "exposureLevel eq 'High'", set: { exposure: 'High' } },
  { title: 'Sensor issues', filter: "healthStatus ne 'Active'", set: { health: 'Inactive,ImpairedCommunication,NoSensorData' } },
];

function Counts() {
  const [, set] = useAddress();
  const { data } = useQuery({
    queryKey: ['/api/machines', 'counts'], refetchInterval: 60_000,
    queryFn: () => Promise.all(pills.map((p) => call<number>('GET', '/api/machines/$count', { params: { $filter: p.filter }, background: true }))),
  });
  return (
    <div className={css.pills}>
      {pills.map((p, i) => (
        <button key={p.title} type="button" className={css.pill} onClick={() => set({ risk: undefined, exposure: undefined, health: undefined, ...p.set })}>
          <strong>{data ? data[i].toLocaleString('en') : '–'}</strong> {p.title}
        </button>
      ))}
    </div>
  );
}
