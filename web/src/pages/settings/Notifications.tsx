import { Button, Dropdown, Field, Input, Option, Switch } from '@fluentui/react-components';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { del, get, patch, post, type List } from '../../api/client';
import { useNotify } from '../../app/notices';
import { Time } from '../../app/time';
import { Badge, Severity, words } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { Form, Section } from './parts';

interface Rule { id: number; name: string; enabled: boolean; subject: string; severity: string; mail: string[]; webhookUrl: string; signed: boolean }
interface Message { id: string; channel: string; to: string[]; subject: string; state: string; attempts: number; lastError: string; createdTime: string }

const path = '/api/vedette/notifications';

/** Who is told of alerts, incidents and approvals, and how. */
export function Notifications() {
  const [open, setOpen] = useState<Partial<Rule>>();
  return (
    <Section<Rule> title="Notification rules" text="Mail or a web hook tells people and systems of new alerts, incidents, and actions that wait for approval." path={path} rowKey={(r) => String(r.id)} empty="Nobody is told of anything" add={{ title: 'Create rule', run: () => setOpen({ subject: 'Alert', severity: 'High', enabled: true, mail: [] }) }} onOpen={setOpen}
      columns={[
        { id: 'name', title: 'Name', value: (r) => r.name, width: 220, sort: true, grow: true }, { id: 'state', title: 'State', value: (r) => (r.enabled ? 'On' : 'Off'), cell: (r) => <Badge tone={r.enabled ? 'good' : 'quiet'}>{r.enabled ? 'On' : 'Off'}</Badge>, width: 80 },
        { id: 'subject', title: 'Of', value: (r) => r.subject, width: 110, sort: true }, { id: 'severity', title: 'From severity', value: (r) => r.severity, cell: (r) => <Severity value={r.severity} />, width: 130, sort: true },
        { id: 'mail', title: 'Mail', value: (r) => r.mail.join(', '), width: 240 }, { id: 'hook', title: 'Web hook', value: (r) => r.webhookUrl, width: 240 },
      ]}>
      {open && <RuleForm start={open} close={() => setOpen(undefined)} />}
    </Section>
  );
}

function RuleForm({ start, close }: { start: Partial<Rule>; close: () => void }) {
  const [d, set] = useState({ name: start.name ?? '', enabled: start.enabled ?? true, subject: start.subject ?? 'Alert', severity: start.severity ?? 'High', mail: (start.mail ?? []).join(', '), webhookUrl: start.webhookUrl ?? '', secret: '' });
  const ask = useConfirm();
  const notify = useNotify();
  const cache = useQueryClient();
  const messages = useQuery({ queryKey: [path, start.id, 'messages'], enabled: start.id !== undefined, queryFn: async () => (await get<List<Message>>(`${path}/${start.id}/messages`)).value });
  const test = () => post(`${path}/${start.id}/test`).then(() => notify({ intent: 'success', title: 'A test went out', text: 'What became of it stands below in a moment.' }), (e: Error) => notify({ intent: 'error', title: 'The test failed', text: e.message })).finally(() => void messages.refetch());
  return (
    <Form title={start.id ? start.name! : 'Create notification rule'} path={path} close={close} ready={d.name.trim() !== '' && (d.mail.trim() !== '' || d.webhookUrl.trim() !== '')} action={start.id ? 'Save' : 'Create'}
      run={async () => {
        const { secret, mail, ...rest } = d;
        const body = { ...rest, mail: mail.split(/[\s,;]+/).filter(Boolean), ...(secret ? { secret } : {}) };
        await (start.id ? patch(`${path}/${start.id}`, body) : post(path, body));
      }}
      also={start.id && <><Button type="button" onClick={() => void test()}>Send a test</Button><Button type="button" onClick={() => ask({ title: `Delete “${start.name}”`, action: 'Delete rule', reason: 'none', run: async () => { await del(`${path}/${start.id}`); await cache.invalidateQueries({ queryKey: [path] }); close(); } })}>Delete</Button></>}>
      <Field label="Name" required><Input value={d.name} onChange={(_, v) => set({ ...d, name: v.value })} /></Field>
      <Field label="Of"><Dropdown value={d.subject} selectedOptions={[d.subject]} onOptionSelect={(_, v) => set({ ...d, subject: v.optionValue! })}>{['Alert', 'Incident', 'Approval'].map((s) => <Option key={s} value={s}>{s}</Option>)}</Dropdown></Field>
      {d.subject !== 'Approval' && <Field label="From severity"><Dropdown value={d.severity} selectedOptions={[d.severity]} onOptionSelect={(_, v) => set({ ...d, severity: v.optionValue! })}>{['Informational', 'Low', 'Medium', 'High'].map((s) => <Option key={s} value={s}>{s}</Option>)}</Dropdown></Field>}
      <Field label="Mail to" hint="Addresses with commas between"><Input value={d.mail} onChange={(_, v) => set({ ...d, mail: v.value })} /></Field>
      <Field label="Web hook"><Input value={d.webhookUrl} placeholder="https://" onChange={(_, v) => set({ ...d, webhookUrl: v.value })} /></Field>
      <Field label="Secret that signs the web hook" hint={start.signed ? 'There is one; it stays when this is empty' : undefined}><Input type="password" autoComplete="new-password" value={d.secret} onChange={(_, v) => set({ ...d, secret: v.value })} /></Field>
      <Switch label={d.enabled ? 'On' : 'Off'} checked={d.enabled} onChange={(_, v) => set({ ...d, enabled: v.checked })} />
      {messages.data && messages.data.length > 0 && <div><strong>Latest messages</strong>{messages.data.slice(0, 8).map((m) => <div key={m.id} style={{ padding: '4px 0' }}><Badge tone={/sent|done|delivered/i.test(m.state) ? 'good' : /fail/i.test(m.state) ? 'bad' : 'busy'}>{words(m.state)}</Badge> <Time at={m.createdTime} form="short" /> <span className="wrap">{m.subject}</span>{m.lastError && <div className="quiet wrap">{m.lastError}</div>}</div>)}</div>}
    </Form>
  );
}
