// Whom cases may be handed to: a section of the settings.
import { Button, Dropdown, Field, Input, Option, Switch, Textarea } from '@fluentui/react-components';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { del, patch, post } from '../../api/client';
import { useNotify } from '../../app/notices';
import { Badge } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { Form, Section, Several, useAll } from '../settings/parts';
import { bytes, reach, receiversPath as path, type Receiver } from './api';

/** The receivers of cases. */
export function Receivers() {
  const [open, setOpen] = useState<Partial<Receiver>>();
  return (
    <Section<Receiver> title="Experts" text="People outside whom analysts can ask about an alert, an incident or a device. They get a bundle of what is known here; nobody else can be named when somebody asks." path={path} rowKey={(r) => String(r.id)} empty="There is nobody to ask yet" add={{ title: 'Add receiver', run: () => setOpen({}) }} onOpen={setOpen}
      columns={[
        { id: 'name', title: 'Name', value: (r) => r.name, width: 220, sort: true, grow: true },
        { id: 'state', title: 'State', value: (r) => (r.enabled ? 'On' : 'Off'), cell: (r) => <Badge tone={r.enabled ? 'good' : 'quiet'}>{r.enabled ? 'On' : 'Off'}</Badge>, width: 80 },
        { id: 'to', title: 'To', value: reach, width: 280 }, { id: 'how', title: 'Gets', value: (r) => (r.handover === 'Link' ? 'A link' : 'The bundle'), width: 110, sort: true },
        { id: 'sealed', title: 'Encryption', value: (r) => (r.keys.length > 0 ? 'Encrypted' : 'None'), cell: (r) => <Badge tone={r.keys.length > 0 ? 'good' : 'warn'}>{r.keys.length > 0 ? 'Encrypted' : 'None'}</Badge>, width: 110 },
        { id: 'most', title: 'At most', value: (r) => r.maxBytes, cell: (r) => bytes(r.maxBytes), width: 110 },
      ]}>
      {open && <ReceiverForm start={open} close={() => setOpen(undefined)} />}
    </Section>
  );
}

const ways = { Link: 'A link that ends', Attachment: 'The bundle itself' };

function ReceiverForm({ start, close }: { start: Partial<Receiver>; close: () => void }) {
  const [d, set] = useState({ name: start.name ?? '', about: start.about ?? '', enabled: start.enabled ?? true, mail: (start.mail ?? []).join(', '), webhookUrl: start.webhookUrl ?? '', secret: '', handover: start.handover ?? 'Link', keys: (start.keys ?? []).join('\n'),
    allowPlain: start.allowPlain ?? false, linkHours: String(start.linkHours ?? 72), linkBase: start.linkBase ?? '', groups: (start.rbacGroupIds ?? []).map(String) });
  const ask = useConfirm();
  const notify = useNotify();
  const cache = useQueryClient();
  const groups = useAll<{ id: number; name: string }>('/api/vedette/devicegroups');
  const test = () => post<{ answer: string }>(`${path}/${start.id}/test`).then((a) => notify({ intent: 'success', title: 'The test was taken', text: a.answer }), (e: Error) => notify({ intent: 'error', title: 'The test failed', text: e.message }));
  const mails = d.mail.split(/[\s,;]+/).filter(Boolean);
  const byMail = mails.length > 0;
  return (
    <Form title={start.id ? start.name! : 'Add receiver'} path={path} close={close} ready={d.name.trim() !== '' && (byMail !== (d.webhookUrl.trim() !== ''))} action={start.id ? 'Save' : 'Add'}
      run={async () => {
        const { secret, keys, groups: chosen, linkHours, mail: _, ...rest } = d;
        const body = { ...rest, mail: mails, keys: keys.split('\n').map((k) => k.trim()).filter(Boolean), linkHours: Number(linkHours), rbacGroupIds: chosen.map(Number), ...(secret ? { secret } : {}) };
        await (start.id ? patch(`${path}/${start.id}`, body) : post(path, body));
      }}
      also={start.id && <><Button type="button" onClick={() => void test()}>Send a test</Button><Button type="button" onClick={() => ask({ title: `Delete “${start.name}”`, action: 'Delete receiver', reason: 'none', run: async () => { await del(`${path}/${start.id}`); await cache.invalidateQueries({ queryKey: [path] }); close(); } })}>Delete</Button></>}>
      <Field label="Name" required><Input value={d.name} maxLength={256} onChange={(_, v) => set({ ...d, name: v.value })} /></Field>
      <Field label="Who they are" hint="Shown to whoever asks"><Textarea value={d.about} maxLength={1000} rows={2} onChange={(_, v) => set({ ...d, about: v.value })} /></Field>
      <Field label="Mail to" hint="Addresses with commas between; or a web hook"><Input value={d.mail} onChange={(_, v) => set({ ...d, mail: v.value })} /></Field>
      <Field label="Web hook"><Input value={d.webhookUrl} placeholder="https://" onChange={(_, v) => set({ ...d, webhookUrl: v.value })} /></Field>
      {!byMail && <Field label="Secret that signs the web hook" hint={start.signed ? 'There is one; it stays when this is empty and the address is the same' : undefined}><Input type="password" autoComplete="new-password" value={d.secret} onChange={(_, v) => set({ ...d, secret: v.value })} /></Field>}
      <Field label="They get"><Dropdown value={ways[d.handover as keyof typeof ways]} selectedOptions={[d.handover]} onOptionSelect={(_, v) => set({ ...d, handover: v.optionValue! })}>{Object.entries(ways).map(([k, t]) => <Option key={k} value={k}>{t}</Option>)}</Dropdown></Field>
      <Field label="Keys" hint="Public keys of age or ssh, one a line; bundles are encrypted to them"><Textarea className="mono" value={d.keys} rows={3} spellCheck={false} onChange={(_, v) => set({ ...d, keys: v.value })} /></Field>
      {byMail && d.handover === 'Attachment' && d.keys.trim() === '' && <Switch label="Allow attachments without encryption" checked={d.allowPlain} onChange={(_, v) => set({ ...d, allowPlain: v.checked })} />}
      {d.handover === 'Link' && <Field label="Hours that the link is good for"><Input type="number" min={1} max={336} value={d.linkHours} onChange={(_, v) => set({ ...d, linkHours: v.value })} /></Field>}
      {d.handover === 'Link' && <Field label="Address at which they reach this server" hint="Where it is another than its own"><Input value={d.linkBase} placeholder="https://" onChange={(_, v) => set({ ...d, linkBase: v.value })} /></Field>}
      <Field label="Device groups" hint="Whose cases may go there; none chosen means all"><Several label="Device groups" none="All devices" all={groups.data?.map((g) => ({ id: String(g.id), name: g.name }))} chosen={d.groups} set={(ids) => set({ ...d, groups: ids })} /></Field>
      <Switch label={d.enabled ? 'On' : 'Off'} checked={d.enabled} onChange={(_, v) => set({ ...d, enabled: v.checked })} />
    </Form>
  );
}
