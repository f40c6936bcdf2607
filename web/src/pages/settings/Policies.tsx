import { Button, Checkbox, Combobox, Field, Input, Option, Switch } from '@fluentui/react-components';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { del, patch, post } from '../../api/client';
import type { DeviceGroup } from '../../api/types';
import { Badge, words } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { Form, Section, Several, useAll } from './parts';

interface Policy { id: number; name: string; enabled: boolean; types: string[]; rbacGroupIds: number[]; requestors: string[]; approvals: number; approvers: string[]; requestorMayApprove: boolean; patienceMinutes: number }

const path = '/api/vedette/approvalpolicies';
const types = ['Isolate', 'Unisolate', 'RestrictCodeExecution', 'UnrestrictCodeExecution', 'RunAntiVirusScan', 'CollectInvestigationPackage', 'StopAndQuarantineFile', 'RestoreFile', 'RequestSample', 'LiveResponse', 'NotifyUser', 'AskExpert', 'Offboard'];
const anybody: { id: string; name: string }[] = [{ id: 'Applications', name: 'Any application' }, { id: 'Automatic', name: 'Rules and other parts of the server' }];

/** Who has to agree before an action goes to a device. */
export function Policies() {
  const [open, setOpen] = useState<Partial<Policy>>();
  const groups = useAll<DeviceGroup>('/api/vedette/devicegroups');
  const who = useWho();
  const named = (ids: string[]) => ids.map((id) => who.find((w) => w.id === id)?.name ?? id).join(', ');
  return (
    <Section<Policy> title="Approval policies" text="An action that a policy is about waits until so many people have agreed. Where several policies are about an action, each has its say." path={path} rowKey={(r) => String(r.id)} empty="No action needs anybody’s approval"
      add={{ title: 'Create policy', run: () => setOpen({}) }} onOpen={setOpen}
      columns={[
        { id: 'name', title: 'Name', value: (r) => r.name, width: 200, sort: true, grow: true }, { id: 'state', title: 'State', value: (r) => (r.enabled ? 'On' : 'Off'), cell: (r) => <Badge tone={r.enabled ? 'good' : 'quiet'}>{r.enabled ? 'On' : 'Off'}</Badge>, width: 80, sort: true },
        { id: 'types', title: 'Actions', value: (r) => r.types.map(words).join(', ') || 'All', width: 240 },
        { id: 'groups', title: 'Device groups', value: (r) => r.rbacGroupIds.map((g) => groups.data?.find((x) => x.rbacGroupId === g)?.rbacGroupName ?? (g === 0 ? 'Devices in none' : g)).join(', ') || 'All', width: 160 },
        { id: 'requestors', title: 'Asked for by', value: (r) => named(r.requestors) || 'Anybody', width: 150 },
        { id: 'approvals', title: 'Approvals', value: (r) => r.approvals, width: 100, sort: true, align: 'end' }, { id: 'approvers', title: 'Of', value: (r) => named(r.approvers) || 'Who may approve', width: 160 },
      ]}>
      {open && <PolicyForm start={open} who={who} groups={groups.data} close={() => setOpen(undefined)} />}
    </Section>
  );
}

/** Roles and applications: those whom a policy names. */
function useWho(): { id: string; name: string }[] {
  const roles = useAll<{ id: string; name: string }>('/api/vedette/roles');
  const apps = useAll<{ id: string; name: string }>('/api/vedette/applications');
  return [...(roles.data ?? []).map((r) => ({ id: r.id, name: `Role ${r.name}` })), ...(apps.data ?? []).map((a) => ({ id: a.id, name: `Application ${a.name}` }))];
}

function PolicyForm({ start, who, groups, close }: { start: Partial<Policy>; who: { id: string; name: string }[]; groups?: DeviceGroup[]; close: () => void }) {
  const [d, setDraft] = useState({
    name: start.name ?? '', enabled: start.enabled ?? true, types: start.types ?? [], rbacGroupIds: start.rbacGroupIds ?? [], requestors: start.requestors ?? [], approvals: start.approvals ?? 1,
    approvers: start.approvers ?? [], requestorMayApprove: start.requestorMayApprove ?? false, patienceMinutes: start.patienceMinutes ?? 0,
  });
  const set = (change: Partial<typeof d>) => setDraft({ ...d, ...change });
  const ask = useConfirm();
  const cache = useQueryClient();
  const whole = (text: string) => Math.max(0, Math.floor(Number(text) || 0));
  return (
    <Form title={start.id ? start.name! : 'Create approval policy'} path={path} close={close} ready={d.name.trim() !== '' && d.approvals >= 1} action={start.id ? 'Save' : 'Create'}
      run={async () => { await (start.id ? patch(`${path}/${start.id}`, d) : post(path, d)); }}
      also={start.id && <Button type="button" onClick={() => ask({ title: `Delete “${start.name}”`, action: 'Delete policy', reason: 'none', danger: true, body: 'What waits by it goes on waiting for those whom it named.', run: async () => { await del(`${path}/${start.id}`); await cache.invalidateQueries({ queryKey: [path] }); close(); } })}>Delete</Button>}>
      <Field label="Name" required><Input value={d.name} maxLength={256} onChange={(_, v) => set({ name: v.value })} /></Field>
      <Field label="Actions" hint={d.types.length > 0 ? d.types.map(words).join(', ') : 'Every action when none is chosen'}>
        <Combobox multiselect placeholder="All actions" selectedOptions={d.types} onOptionSelect={(_, v) => set({ types: v.selectedOptions })}>{types.map((t) => <Option key={t} value={t}>{words(t)}</Option>)}</Combobox>
      </Field>
      <Field label="Device groups" hint="All devices when none is chosen">
        <Several label="Device groups" none="All devices" all={groups?.map((g) => ({ id: String(g.rbacGroupId), name: g.rbacGroupName }))} chosen={d.rbacGroupIds.map(String)} set={(ids) => set({ rbacGroupIds: ids.map(Number) })} />
      </Field>
      <Field label="Asked for by" hint="Anybody when none is chosen"><Several label="Asked for by" none="Anybody" all={[...anybody, ...who]} chosen={d.requestors} set={(requestors) => set({ requestors })} /></Field>
      <Field label="Approvals" required hint="How many have to agree"><Input type="number" min={1} max={10} value={String(d.approvals)} onChange={(_, v) => set({ approvals: whole(v.value) })} /></Field>
      <Field label="Approvers" hint="Everybody who may approve when none is chosen"><Several label="Approvers" none="Everybody who may approve" all={who} chosen={d.approvers} set={(approvers) => set({ approvers })} /></Field>
      <Checkbox label="Whoever asked may be one of them" checked={d.requestorMayApprove} onChange={(_, v) => set({ requestorMayApprove: !!v.checked })} />
      <Field label="Waits at most so many minutes" hint="Seven days when it is 0"><Input type="number" min={0} value={String(d.patienceMinutes)} onChange={(_, v) => set({ patienceMinutes: whole(v.value) })} /></Field>
      <Switch label={d.enabled ? 'On' : 'Off'} checked={d.enabled} onChange={(_, v) => set({ enabled: v.checked })} />
    </Form>
  );
}
