// What can be done to a device: one table, from which the action bar and its dialogs are made.
import { Button, Menu, MenuItem, MenuList, MenuPopover, MenuTrigger, Tooltip } from '@fluentui/react-components';
import { ArchiveRegular } from '@fluentui/react-icons/svg/archive';
import { MoreHorizontalRegular } from '@fluentui/react-icons/svg/more-horizontal';
import { PlugConnectedRegular } from '@fluentui/react-icons/svg/plug-connected';
import { PlugDisconnectedRegular } from '@fluentui/react-icons/svg/plug-disconnected';
import { ScanRegular } from '@fluentui/react-icons/svg/scan';
import { SearchRegular } from '@fluentui/react-icons/svg/search';
import { ShieldProhibitedRegular } from '@fluentui/react-icons/svg/shield-prohibited';
import { ShieldCheckmarkRegular } from '@fluentui/react-icons/svg/shield-checkmark';
import { TagRegular } from '@fluentui/react-icons/svg/tag';
import { WindowConsoleRegular } from '@fluentui/react-icons/svg/window-console';
import type { FluentIcon } from '@fluentui/react-icons';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { get, post, segment, type List } from '../../api/client';
import { literal } from '../../api/hunt';
import { useMay } from '../../api/session';
import type { Action, Availability, Machine } from '../../api/types';
import { at, hasPage, useGo } from '../../app/links';
import { useNotify } from '../../app/notices';
import { useConfirm, type Question } from '../../ui/confirm';
import { useOutlook } from '../live/api';
import { useStart } from '../live/start';
import { AskExpert } from '../expert/Ask';

interface Doing {
  /** The published type of the action. */
  type: string;
  path: string;
  title: string;
  icon: FluentIcon;
  need: string;
  body: string;
  choices?: Question['choices'];
  /** The member of the body that the choice goes into. */
  choice?: string;
  /** Its name among what the server says is available. */
  available?: string;
}

const isolate: Doing = {
  type: 'Isolate', path: 'isolate', title: 'Isolate device', icon: PlugDisconnectedRegular, need: 'Machine.Isolate', available: 'FullIsolation',
  body: 'The device is cut off from the network and stays connected to this server alone, so that it can be investigated and released. Isolation holds across restarts.',
};
const release: Doing = { type: 'Unisolate', path: 'unisolate', title: 'Release from isolation', icon: PlugConnectedRegular, need: 'Machine.Isolate', body: 'The device reaches its network again.' };
const restrict: Doing = {
  type: 'RestrictCodeExecution', path: 'restrictCodeExecution', title: 'Restrict app execution', icon: ShieldProhibitedRegular, need: 'Machine.RestrictExecution', available: 'RestrictCodeExecution',
  body: 'Nothing runs on the device but what is trusted there.',
};
const unrestrict: Doing = { type: 'UnrestrictCodeExecution', path: 'unrestrictCodeExecution', title: 'Remove app restrictions', icon: ShieldCheckmarkRegular, need: 'Machine.RestrictExecution', body: 'Everything may run on the device again.' };
const scan: Doing = {
  type: 'RunAntiVirusScan', path: 'runAntiVirusScan', title: 'Run antivirus scan', icon: ScanRegular, need: 'Machine.Scan', available: 'RunAntiVirusScan', choice: 'ScanType',
  body: 'The device is scanned for malware.', choices: [{ value: 'Quick', title: 'Quick scan', hint: 'Where malware usually is: minutes' }, { value: 'Full', title: 'Full scan', hint: 'Every file: hours' }],
};
const collect: Doing = {
  type: 'CollectInvestigationPackage', path: 'collectInvestigationPackage', title: 'Collect investigation package', icon: ArchiveRegular, need: 'Machine.CollectForensics', available: 'CollectInvestigationPackage',
  body: 'The device gathers its processes, connections, logs and what starts by itself. The package can be downloaded in the action center.',
};

const activeKey = (id: string) => ['/api/vedette/machineactions', 'device', id];

/** The actions on a device, newest first; looked at often while one is open. */
export function useActions(id: string) {
  return useQuery({
    queryKey: activeKey(id), queryFn: () => get<List<Action>>('/api/vedette/machineactions', { $filter: `machineId eq '${id}'`, $orderby: 'creationDateTimeUtc desc', $top: 50 }),
    refetchInterval: (q) => (q.state.data?.value.some((a) => a.isOpen) ? 1500 : 15_000), select: (l) => l.value,
  });
}

/** Whether the newest action of a kind is in force: proven on the device and not undone since. */
export const inForce = (actions: Action[] | undefined, type: string): Action | undefined => {
  const a = actions?.find((x) => x.type === type && x.status === 'Succeeded');
  return a?.state === 'verified' && a.undoType !== '' ? a : undefined;
};

const lacks = (permission: string): string => `You may not: it needs the permission ${permission}`;

/** The way to a console of the device; while one is open, the way to that. */
function LiveResponse({ machine: m }: { machine: Machine }) {
  const allowed = useMay()('Machine.LiveResponse');
  const start = useStart();
  const go = useGo();
  const { data: outlook } = useOutlook(m.id, allowed);
  const no = allowed ? outlook?.notAvailableReason ?? '' : lacks('Machine.LiveResponse');
  const open = outlook?.openSession;
  const button = open
    ? <Button icon={<WindowConsoleRegular />} onClick={() => go(at.live(open.id))}>Go to the live response session</Button>
    : <Button icon={<WindowConsoleRegular />} disabledFocusable={no !== ''} onClick={() => { if (!no) start({ id: m.id, name: m.computerDnsName ?? m.id }); }}>Initiate live response session</Button>;
  return no ? <Tooltip content={no} relationship="description">{button}</Tooltip> : button;
}

/** The action bar of a device. What it cannot do now is disabled and says why. */
export function ActionBar({ machine: m }: { machine: Machine }) {
  const may = useMay();
  const ask = useConfirm();
  const notify = useNotify();
  const go = useGo();
  const cache = useQueryClient();
  const name = m.computerDnsName ?? m.id;
  const actions = useActions(m.id);
  const can = useQuery({ queryKey: ['device', m.id, 'available'], queryFn: () => get<List<Availability>>(`/api/machines/${segment(m.id)}/availableMachineActions`), staleTime: 60_000, select: (l) => l.value });
  const refresh = () => { for (const key of [['/api/vedette/machineactions'], ['/api/machineactions'], ['/api/machines'], ['device', m.id]]) void cache.invalidateQueries({ queryKey: key }); };

  const start = (d: Doing) => ask({
    title: `${d.title}: ${name}`, body: d.body, action: d.title, choices: d.choices,
    run: async ({ reason, choice }) => {
      await post(`/api/machines/${segment(m.id)}/${d.path}`, { Comment: reason, ...(d.choice ? { [d.choice]: choice } : d.type === 'Isolate' ? { IsolationType: 'Full' } : {}) });
      notify({ intent: 'ongoing', title: `${d.title} was requested`, text: name, brief: true });
      refresh();
    },
  });
  const tag = (what: 'Add' | 'Remove') => ask({
    title: what === 'Add' ? `Add a tag to ${name}` : `Remove a tag of ${name}`, action: what === 'Add' ? 'Add tag' : 'Remove tag', reason: what === 'Add' ? 'required' : 'none',
    label: 'Tag', hint: 'Up to 200 characters', most: 200, choices: what === 'Remove' ? m.machineTags.map((t) => ({ value: t, title: t })) : undefined,
    run: async ({ reason, choice }) => { await post(`/api/machines/${segment(m.id)}/tags`, { Value: what === 'Add' ? reason : choice, Action: what }); refresh(); },
  });
  const value = () => ask({
    title: `Value of ${name}`, action: 'Set value', reason: 'none', body: 'How much it would matter if this device were lost. It weighs in the exposure of the organisation.',
    choices: ['High', 'Normal', 'Low'].map((v) => ({ value: v, title: v })),
    run: async ({ choice }) => { await post(`/api/machines/${segment(m.id)}/setDeviceValue`, { DeviceValue: choice }); refresh(); },
  });

  const isolated = inForce(actions.data, 'Isolate');
  const restricted = inForce(actions.data, 'RestrictCodeExecution');
  const bar = [isolated ? release : isolate, restricted ? unrestrict : restrict, scan, collect];
  const why = (d: Doing): string => {
    if (!may(d.need)) return lacks(d.need);
    const open = actions.data?.find((a) => a.isOpen && a.type === d.type);
    if (open) return `It was requested already and is ${open.state}`;
    const says = can.data?.find((a) => a.action === d.available);
    return says && !says.isAvailable ? says.notSupportedReason ?? 'The device does not carry it out' : '';
  };
  const hunt = at.hunt(`DeviceEvents\n| where DeviceId == ${literal(m.id)}\n| sort by Timestamp desc\n| take 100`);
  return (
    <>
      {bar.map((d) => {
        const no = why(d);
        const Icon = d.icon;
        const button = <Button key={d.type} icon={<Icon />} disabledFocusable={no !== ''} onClick={() => { if (!no) start(d); }}>{d.title}</Button>;
        return no ? <Tooltip key={d.type} content={no} relationship="description">{button}</Tooltip> : button;
      })}
      <LiveResponse machine={m} />
      <AskExpert about={{ machineId: m.id }} name={name} />
      <Menu>
        <MenuTrigger disableButtonEnhancement><Button icon={<MoreHorizontalRegular />} aria-label="More actions" /></MenuTrigger>
        <MenuPopover>
          <MenuList>
            {may('Machine.ReadWrite.All') && <MenuItem icon={<TagRegular />} onClick={() => tag('Add')}>Add a tag…</MenuItem>}
            {may('Machine.ReadWrite.All') && m.machineTags.length > 0 && <MenuItem onClick={() => tag('Remove')}>Remove a tag…</MenuItem>}
            {may('Machine.ReadWrite.All') && <MenuItem onClick={value}>Set the device value…</MenuItem>}
            {hasPage(hunt) && <MenuItem icon={<SearchRegular />} onClick={() => go(hunt)}>Go hunt</MenuItem>}
            <MenuItem onClick={() => go(`/actions?device=${segment(m.id)}&range=*`)}>Actions on this device</MenuItem>
          </MenuList>
        </MenuPopover>
      </Menu>
    </>
  );
}
