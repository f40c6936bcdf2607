import { Button } from '@fluentui/react-components';
import { TagRegular } from '@fluentui/react-icons/svg/tag';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, post } from '../../api/client';
import { useMay } from '../../api/session';
import type { Machine } from '../../api/types';
import { at, Go } from '../../app/links';
import { counted, Health, Severity, Tags, words } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { ListView, readAhead } from '../../ui/list/ListView';
import { Facts, Page } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';
import { useAddress } from '../../ui/url';
import { columns, filters, search } from './columns';
import { Time } from '../../app/time';
import css from './Devices.module.css';

const latest = { id: 'lastSeen', desc: true };

const inventory = { name: 'devices', label: 'Devices', path: '/api/machines', filters, search, start: latest };

/** Asks for the devices as an address has them, before anything is drawn. */
export const ahead = (address: Record<string, string>): void => readAhead(inventory, columns, address);

/** The inventory of devices. */
export default function Devices() {
  const may = useMay();
  const [open, setOpen] = useState<Machine>();
  const ask = useConfirm();
  const cache = useQueryClient();
  const tag = (rows: Machine[], clear: () => void, what: 'Add' | 'Remove') => ask({
    title: what === 'Add' ? `Tag ${counted(rows.length, 'device')}` : `Remove a tag of ${counted(rows.length, 'device')}`, action: what === 'Add' ? 'Add tag' : 'Remove tag', label: 'Tag', hint: 'Up to 200 characters', most: 200,
    run: async ({ reason }) => {
      await post('/api/machines/AddOrRemoveTagForMultipleMachines', { Value: reason, Action: what, MachineIds: rows.map((m) => m.id) });
      clear();
      await cache.invalidateQueries({ queryKey: ['/api/machines'] });
    },
  });
  return (
    <Page title="Devices" fill aside={<Counts />}>
      <ListView<Machine> {...inventory} columns={columns} rowKey={(m) => m.id} every={60_000}
        onOpen={setOpen} openKey={open?.id}
        bulk={may('Machine.ReadWrite.All') ? (rows, clear) => (
          <>
            <Button size="small" icon={<TagRegular />} onClick={() => tag(rows, clear, 'Add')}>Add tag</Button>
            <Button size="small" onClick={() => tag(rows, clear, 'Remove')}>Remove tag</Button>
          </>
        ) : undefined}
        empty={{ title: 'No device has enrolled yet', text: 'Install the agent on a device with an enrolment token, and it is shown here within seconds.' }} />
      <SidePanel open={open !== undefined} title={open?.computerDnsName ?? open?.id ?? ''} close={() => setOpen(undefined)} actions={open && <div><Go to={at.device(open.id)}>Open the device page</Go></div>}>
        {open && (
          <Facts of={[
            ['Risk', <Severity key="r" value={open.riskScore} />], ['Exposure', <Severity key="e" value={open.exposureLevel} />], ['Sensor', <Health key="h" value={open.healthStatus} />], ['Value', words(open.deviceValue)],
            ['Platform', [open.osPlatform, open.version].filter(Boolean).join(' ')], ['OS version', open.osVersion], ['Device group', open.rbacGroupName], ['Tags', <Tags key="t" of={open.machineTags} />],
            ['Last IP address', open.lastIpAddress && <Go key="i" to={at.ip(open.lastIpAddress)}>{open.lastIpAddress}</Go>], ['First seen', <Time key="f" at={open.firstSeen} />], ['Last seen', <Time key="l" at={open.lastSeen} />],
            ['Device ID', <span key="d" className="mono">{open.id}</span>],
          ]} />
        )}
      </SidePanel>
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
