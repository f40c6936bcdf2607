import { Button, Dropdown, Field, Input, MessageBar, MessageBarBody, Option, Textarea } from '@fluentui/react-components';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { del, get, post, put } from '../../api/client';
import { at, Go } from '../../app/links';
import { Time } from '../../app/time';
import { Badge, words } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { Card } from '../../ui/Page';
import { Install } from './Install';
import { Form, Once, Section, Several, useAll } from './parts';
import type { ServerSettings } from './Server';
import css from './settings.module.css';

interface Condition { property: string; operator: string; values: string[] }
interface Group { rbacGroupId: number; rbacGroupName: string; description: string; automationLevel: string; rules: Condition[]; rank: number | null; userGroups: string[]; roles: string[]; deviceCount: number }

const path = '/api/vedette/devicegroups';
const levels: Record<string, string> = { Full: 'Full: remediate automatically', SemiAllFolders: 'Semi: approval for all folders', SemiCoreFolders: 'Semi: approval for core folders', SemiNonTempFolders: 'Semi: approval for non-temp folders', None: 'No automated response' };

/** Device groups: which devices, who sees them, how much happens by itself. */
export function DeviceGroups() {
  const [open, setOpen] = useState<Partial<Group>>();
  return (
    <Section<Group> title="Device groups" text="A device belongs to the first group, by rank, whose rules it meets. What people see, and how far automation goes, is decided by group." path={path} rowKey={(r) => String(r.rbacGroupId)} empty="There is no device group"
      add={{ title: 'Create group', run: () => setOpen({ rules: [{ property: 'Name', operator: 'StartsWith', values: [''] }] }) }} onOpen={setOpen}
      columns={[
        { id: 'rank', title: 'Rank', value: (r) => r.rank, cell: (r) => r.rank ?? 'last', width: 70, sort: true }, { id: 'name', title: 'Name', value: (r) => r.rbacGroupName, width: 200, sort: true },
        { id: 'rules', title: 'Rules', value: (r) => r.rules.map((c) => `${c.property} ${words(c.operator).toLowerCase()} ${c.values.join(', ')}`).join(' and '), width: 320, grow: true },
        { id: 'level', title: 'Automation', value: (r) => levels[r.automationLevel] ?? r.automationLevel, width: 250, sort: true }, { id: 'devices', title: 'Devices', value: (r) => r.deviceCount, width: 90, sort: true, align: 'end' },
      ]}>
      {open && <GroupForm start={open} close={() => setOpen(undefined)} />}
    </Section>
  );
}

function GroupForm({ start, close }: { start: Partial<Group>; close: () => void }) {
  const fixed = start.rbacGroupId !== undefined && start.rank === null;
  const [d, set] = useState({ name: start.rbacGroupName ?? '', description: start.description ?? '', automationLevel: start.automationLevel ?? 'Full', rules: start.rules ?? [], rank: start.rank ?? 1, userGroups: start.userGroups ?? [] });
  const people = useAll<{ id: string; name: string }>('/api/vedette/usergroups');
  const ask = useConfirm();
  const cache = useQueryClient();
  const rules = d.rules.map((r) => ({ ...r, values: r.values.map((v) => v.trim()).filter(Boolean) }));
  const whole = rules.length > 0 && rules.every((r) => r.values.length > 0);
  const preview = useQuery({ queryKey: [path, 'preview', rules], enabled: whole, retry: false, queryFn: () => post<{ total: number; machines: { id: string; computerDnsName: string }[] }>(`${path}/preview`, { rules }) });
  const rule = (i: number, change: Partial<Condition>) => set({ ...d, rules: d.rules.map((r, j) => (i === j ? { ...r, ...change } : r)) });
  return (
    <Form title={start.rbacGroupId !== undefined ? start.rbacGroupName! : 'Create device group'} path={path} close={close} ready={fixed || (d.name.trim() !== '' && whole)} action={start.rbacGroupId !== undefined ? 'Save' : 'Create'}
      run={async () => {
        const body = fixed ? { name: d.name, automationLevel: d.automationLevel, userGroups: d.userGroups, roles: start.roles ?? [] } : { ...d, rules, roles: start.roles ?? [] };
        await (start.rbacGroupId !== undefined ? put(`${path}/${start.rbacGroupId}`, body) : post(path, body));
      }}
      also={start.rbacGroupId !== undefined && !fixed && <Button type="button" onClick={() => ask({ title: `Delete the group ${start.rbacGroupName}`, action: 'Delete group', reason: 'none', danger: true, body: 'Its devices go to the next group whose rules they meet.', run: async () => { await del(`${path}/${start.rbacGroupId}`); await cache.invalidateQueries({ queryKey: [path] }); close(); } })}>Delete</Button>}>
      <Field label="Name" required><Input disabled={fixed} value={d.name} onChange={(_, v) => set({ ...d, name: v.value })} /></Field>
      {!fixed && <Field label="Description"><Textarea value={d.description} onChange={(_, v) => set({ ...d, description: v.value })} /></Field>}
      <Field label="Automation level"><Dropdown value={levels[d.automationLevel]} selectedOptions={[d.automationLevel]} onOptionSelect={(_, v) => set({ ...d, automationLevel: v.optionValue! })}>{Object.entries(levels).map(([k, v]) => <Option key={k} value={k}>{v}</Option>)}</Dropdown></Field>
      {!fixed && (
        <>
          <Field label="Rank" hint="The group with the lower rank is looked at first"><Input type="number" min={1} value={String(d.rank)} onChange={(_, v) => set({ ...d, rank: Math.max(1, Number(v.value) || 1) })} /></Field>
          {d.rules.map((r, i) => (
            <div key={i} className={css.rule}>
              <Dropdown aria-label="Property" value={r.property} selectedOptions={[r.property]} onOptionSelect={(_, v) => rule(i, { property: v.optionValue! })} style={{ minWidth: 0 }}>{['Name', 'Domain', 'Tag', 'OS'].map((x) => <Option key={x} value={x}>{x}</Option>)}</Dropdown>
              <Dropdown aria-label="Operator" value={words(r.operator)} selectedOptions={[r.operator]} onOptionSelect={(_, v) => rule(i, { operator: v.optionValue! })} style={{ minWidth: 0 }}>{['StartsWith', 'EndsWith', 'Contains', 'Equals', 'In'].map((x) => <Option key={x} value={x}>{words(x)}</Option>)}</Dropdown>
              <Input aria-label="Value" value={r.values.join(', ')} onChange={(_, v) => rule(i, { values: r.operator === 'In' ? v.value.split(',') : [v.value] })} style={{ minWidth: 0 }} />
              <Button type="button" size="small" disabled={d.rules.length < 2} onClick={() => set({ ...d, rules: d.rules.filter((_, j) => j !== i) })}>Remove</Button>
            </div>
          ))}
          <div><Button type="button" size="small" onClick={() => set({ ...d, rules: [...d.rules, { property: 'Tag', operator: 'Equals', values: [''] }] })}>And …</Button></div>
          {preview.error && <MessageBar intent="error"><MessageBarBody>{preview.error.message}</MessageBarBody></MessageBar>}
          {preview.data && <div role="status"><strong>{preview.data.total} {preview.data.total === 1 ? 'device meets' : 'devices meet'} the rules.</strong> <span className="quiet">{preview.data.machines.slice(0, 12).map((m, i) => <span key={m.id}>{i > 0 && ', '}<Go to={at.device(m.id)}>{m.computerDnsName}</Go></span>)}{preview.data.total > 12 && ' …'}</span></div>}
        </>
      )}
      <Field label="Access for user groups" hint="Everybody with a role sees it when none is chosen"><Several label="User groups" none="Everybody" all={people.data} chosen={d.userGroups} set={(g) => set({ ...d, userGroups: g })} /></Field>
    </Form>
  );
}

interface Token { id: string; name: string; createdDateTimeUtc: string; expirationDateTimeUtc: string | null; usedDevices: number; maxDevices: number; machineTags: string[]; state: string; token?: string }
const tokens = '/api/vedette/enrolment/tokens';

/** Enrolment: the tokens that let devices in, and how the agent is installed. */
export function Enrolment() {
  const [making, setMaking] = useState(false);
  const server = useQuery({ queryKey: ['/api/vedette/settings'], queryFn: () => get<ServerSettings>('/api/vedette/settings') });
  const ask = useConfirm();
  const cache = useQueryClient();
  return (
    <Section<Token> title="Enrolment" text="A token lets devices enrol. It is used once for each; afterwards a device proves itself by a certificate of its own." path={tokens} rowKey={(r) => r.id} empty="There is no enrolment token" add={{ title: 'Create token', run: () => setMaking(true) }}
      columns={[
        { id: 'name', title: 'Name', value: (r) => r.name, width: 200, sort: true, grow: true }, { id: 'state', title: 'State', value: (r) => r.state, cell: (r) => <Badge tone={r.state === 'Active' ? 'good' : 'quiet'}>{words(r.state)}</Badge>, width: 100, sort: true },
        { id: 'used', title: 'Devices', value: (r) => r.usedDevices, cell: (r) => `${r.usedDevices}${r.maxDevices ? ` of ${r.maxDevices}` : ''}`, width: 110, sort: true }, { id: 'tags', title: 'Tags', value: (r) => r.machineTags.join(', '), width: 160 },
        { id: 'created', title: 'Made', value: (r) => r.createdDateTimeUtc, cell: (r) => <Time at={r.createdDateTimeUtc} form="day" />, width: 120, sort: true }, { id: 'expires', title: 'Expires', value: (r) => r.expirationDateTimeUtc, cell: (r) => (r.expirationDateTimeUtc ? <Time at={r.expirationDateTimeUtc} form="day" /> : 'Never'), width: 120, sort: true },
        { id: 'revoke', title: '', value: () => '', cell: (r) => r.state === 'Active' && <Button size="small" onClick={(e) => { e.stopPropagation(); ask({ title: `Revoke the token ${r.name}`, action: 'Revoke', reason: 'none', danger: true, body: 'No further device can enrol with it. Those that did stay.', run: async () => { await del(`${tokens}/${r.id}`); await cache.invalidateQueries({ queryKey: [tokens] }); } }); }}>Revoke</Button>, width: 110 },
      ]}>
      <Card title="How the agent is installed" className={css.install}><Install url={window.location.origin} ca={server.data?.caCertificate.trim() ?? ''} /></Card>
      {making && <TokenForm close={() => setMaking(false)} />}
    </Section>
  );
}

function TokenForm({ close }: { close: () => void }) {
  const [d, set] = useState({ name: '', days: '30', max: '', tags: '' });
  const server = useQuery({ queryKey: ['/api/vedette/settings'], queryFn: () => get<ServerSettings>('/api/vedette/settings') });
  return (
    <Form title="Create enrolment token" path={tokens} close={close} ready={d.name.trim() !== ''} action="Create"
      run={async () => {
        const t = await post<Token>(tokens, { name: d.name.trim(), validHours: (Number(d.days) || 0) * 24, maxDevices: Number(d.max) || 0, machineTags: d.tags.split(',').map((x) => x.trim()).filter(Boolean) });
        const url = window.location.origin;
        return (
          <>
            <Once title="The token." text={t.token ?? ''} />
            <Install url={url} ca={server.data?.caCertificate.trim() ?? ''} token={t.token ?? ''} />
          </>
        );
      }}>
      <Field label="Name" required hint="For whom or what it is"><Input value={d.name} onChange={(_, v) => set({ ...d, name: v.value })} /></Field>
      <Field label="Valid for days" hint="Without an end when it is empty"><Input type="number" min={0} value={d.days} onChange={(_, v) => set({ ...d, days: v.value })} /></Field>
      <Field label="At most so many devices" hint="Any number when it is empty"><Input type="number" min={0} value={d.max} onChange={(_, v) => set({ ...d, max: v.value })} /></Field>
      <Field label="Tags of the devices" hint="With commas between"><Input value={d.tags} onChange={(_, v) => set({ ...d, tags: v.value })} /></Field>
    </Form>
  );
}
