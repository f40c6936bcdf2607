import { Button, Checkbox, Combobox, Dropdown, Field, Input, MessageBar, MessageBarBody, Option, Textarea } from '@fluentui/react-components';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { get, post, type List } from '../../api/client';
import { useNotify } from '../../app/notices';
import type { DeviceGroup, Indicator } from '../../api/types';
import { words } from '../../ui/badges';
import { SidePanel } from '../../ui/SidePanel';

export const types: Record<string, string> = { FileSha256: 'File, SHA-256', FileSha1: 'File, SHA-1', FileMd5: 'File, MD5', IpAddress: 'IP address', DomainName: 'Domain', Url: 'URL', CertificateThumbprint: 'Certificate' };

/** What can be done about each type. */
const actionsOf = (type: string): string[] => (type.startsWith('File') ? ['Audit', 'Warn', 'Block', 'BlockAndRemediate', 'Allowed'] : type === 'CertificateThumbprint' ? ['BlockAndRemediate', 'Allowed'] : ['Audit', 'Warn', 'Block', 'Allowed']);
const actionWords: Record<string, string> = { Audit: 'Audit (alert only)', Warn: 'Warn', Block: 'Block', BlockAndRemediate: 'Block and remediate', Allowed: 'Allow' };

const lives: [string, number][] = [['Never', 0], ['In 1 day', 1], ['In 7 days', 7], ['In 30 days', 30], ['In 90 days', 90], ['In 1 year', 365]];

/** What a form begins with. */
export type Start = Partial<Omit<Indicator, 'indicatorType'>> & { indicatorType?: string };

/** Makes an indicator, or replaces the one of the same value. */
export function IndicatorForm({ start, close }: { start: Start; close: () => void }) {
  const [d, setDraft] = useState({
    type: (start.indicatorType ?? 'FileSha256') as string, value: start.indicatorValue ?? '', action: (start.action ?? 'Audit') as string, title: start.title ?? '', description: start.description ?? '', severity: start.severity || 'Medium',
    recommended: start.recommendedActions ?? '', alert: start.generateAlert ?? true, expires: start.expirationTime ?? '', life: start.expirationTime ? 'Keep' : 'Never', groups: start.rbacGroupNames ?? [], techniques: (start.mitreTechniques ?? []).join(', '),
  });
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const notify = useNotify();
  const cache = useQueryClient();
  const groups = useQuery({ queryKey: ['/api/vedette/devicegroups'], retry: false, queryFn: async () => (await get<List<DeviceGroup>>('/api/vedette/devicegroups')).value });
  const set = (change: Partial<typeof d>) => setDraft({ ...d, ...change });
  const actions = actionsOf(d.type);
  const action = actions.includes(d.action) ? d.action : actions[0];
  const submit = async () => {
    setBusy(true);
    setError('');
    const days = lives.find(([n]) => n === d.life)?.[1];
    const expirationTime = days === undefined ? d.expires : days === 0 ? null : new Date(Date.now() + days * 86_400_000).toISOString();
    try {
      await post('/api/indicators', {
        indicatorType: d.type, indicatorValue: d.value.trim(), action, title: d.title.trim(), description: d.description.trim() || d.title.trim(), severity: d.severity, recommendedActions: d.recommended || null,
        generateAlert: action === 'Allowed' ? false : action === 'Audit' ? true : d.alert, expirationTime, rbacGroupNames: d.groups, mitreTechniques: d.techniques.split(/[\s,;]+/).filter(Boolean),
      });
      await cache.invalidateQueries({ queryKey: ['/api/indicators'] });
      notify({ intent: 'success', title: 'The indicator is in force', text: d.value.trim(), to: '/indicators' });
      close();
    } catch (e) {
      setBusy(false);
      setError(e instanceof Error ? e.message : String(e));
    }
  };
  return (
    <SidePanel open title={start.id ? 'Edit indicator' : 'Add indicator'} close={close}>
      <form style={{ display: 'flex', flexDirection: 'column', gap: 12 }} onSubmit={(e) => { e.preventDefault(); void submit(); }}>
        <Field label="Type"><Dropdown disabled={!!start.id} value={types[d.type]} selectedOptions={[d.type]} onOptionSelect={(_, v) => set({ type: v.optionValue! })}>{Object.entries(types).map(([k, v]) => <Option key={k} value={k}>{v}</Option>)}</Dropdown></Field>
        <Field label="Value" required><Input className="mono" disabled={!!start.id} value={d.value} onChange={(_, v) => set({ value: v.value })} /></Field>
        <Field label="Action"><Dropdown value={actionWords[action]} selectedOptions={[action]} onOptionSelect={(_, v) => set({ action: v.optionValue! })}>{actions.map((a) => <Option key={a} value={a}>{actionWords[a]}</Option>)}</Dropdown></Field>
        <Field label="Title" required><Input value={d.title} onChange={(_, v) => set({ title: v.value })} /></Field>
        <Field label="Description"><Textarea rows={2} value={d.description} onChange={(_, v) => set({ description: v.value })} /></Field>
        {action !== 'Allowed' && <Field label="Severity"><Dropdown value={words(d.severity)} selectedOptions={[d.severity]} onOptionSelect={(_, v) => set({ severity: v.optionValue! as typeof d.severity })}>{['Informational', 'Low', 'Medium', 'High'].map((s) => <Option key={s} value={s}>{s}</Option>)}</Dropdown></Field>}
        {action !== 'Allowed' && <Checkbox label="Generate an alert" disabled={action === 'Audit'} checked={action === 'Audit' || d.alert} onChange={(_, v) => set({ alert: !!v.checked })} />}
        <Field label="Recommended actions"><Textarea rows={2} value={d.recommended} onChange={(_, v) => set({ recommended: v.value })} /></Field>
        <Field label="MITRE ATT&CK techniques"><Input value={d.techniques} onChange={(_, v) => set({ techniques: v.value })} /></Field>
        <Field label="Expires"><Dropdown value={d.life === 'Keep' ? d.expires.slice(0, 10) : d.life} selectedOptions={[d.life]} onOptionSelect={(_, v) => set({ life: v.optionValue! })}>{[...(d.expires ? [['Keep', -1] as [string, number]] : []), ...lives].map(([n]) => <Option key={n} value={n}>{n === 'Keep' ? d.expires.slice(0, 10) : n}</Option>)}</Dropdown></Field>
        <Field label="Device groups" hint={d.groups.length > 0 ? d.groups.join(', ') : 'All devices when none is chosen'}>
          <Combobox multiselect placeholder="All devices" selectedOptions={d.groups} onOptionSelect={(_, v) => set({ groups: v.selectedOptions })} disabled={!groups.data}>{(groups.data ?? []).map((g) => <Option key={g.rbacGroupId} value={g.rbacGroupName}>{g.rbacGroupName}</Option>)}</Combobox>
        </Field>
        {error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
        <div style={{ display: 'flex', gap: 8, justifyContent: 'flex-end' }}><Button type="button" onClick={close}>Cancel</Button><Button type="submit" appearance="primary" disabled={busy || d.value.trim() === '' || d.title.trim() === ''}>{start.id ? 'Save' : 'Add indicator'}</Button></div>
      </form>
    </SidePanel>
  );
}
