import { Button, Field, Input, Textarea } from '@fluentui/react-components';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { del, post, put } from '../../api/client';
import { useUser } from '../../api/session';
import { Time } from '../../app/time';
import { Badge } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { Form, Once, Section } from './parts';
import css from './settings.module.css';

interface Secret { id: string; displayName: string; hint: string; createdDateTimeUtc: string; expirationDateTimeUtc: string | null; clientSecret?: string }
interface App { id: string; name: string; roles: string[]; delegatedPermissions: string[]; isPublicClient: boolean; redirectUris: string[]; secrets: Secret[]; createdDateTimeUtc: string; disabledDateTimeUtc: string | null; lastUsedDateTimeUtc: string | null; clientSecret?: string }

const path = '/api/vedette/applications';

/** API applications: programs that sign in by a secret or certificate. */
export function Applications() {
  const [open, setOpen] = useState<Partial<App>>();
  return (
    <Section<App> title="API applications" text="Programs that call the API sign in with OAuth 2.0 client credentials. What each may do is what its permissions say." path={path} rowKey={(r) => r.id} empty="There is no application" add={{ title: 'Register application', run: () => setOpen({}) }} onOpen={setOpen}
      columns={[
        { id: 'name', title: 'Name', value: (r) => r.name, width: 150, sort: true }, { id: 'roles', title: 'Permissions', value: (r) => r.roles.join(', '), width: 240, grow: true },
        { id: 'state', title: 'State', value: (r) => (r.disabledDateTimeUtc ? 'Disabled' : 'Active'), cell: (r) => <Badge tone={r.disabledDateTimeUtc ? 'quiet' : 'good'}>{r.disabledDateTimeUtc ? 'Disabled' : 'Active'}</Badge>, width: 100 },
        { id: 'used', title: 'Last used', value: (r) => r.lastUsedDateTimeUtc, cell: (r) => <Time at={r.lastUsedDateTimeUtc} form="short" />, width: 120, sort: true },
        { id: 'id', title: 'Client ID', value: (r) => r.id, cell: (r) => <span className="mono">{r.id}</span>, width: 290 },
      ]}>
      {open && <AppForm start={open} close={() => setOpen(undefined)} />}
    </Section>
  );
}

function AppForm({ start, close }: { start: Partial<App>; close: () => void }) {
  const [name, setName] = useState(start.name ?? '');
  const [roles, setRoles] = useState((start.roles ?? ['Alert.Read.All', 'Machine.Read.All']).join('\n'));
  const [made, setMade] = useState<string>();
  const ask = useConfirm();
  const cache = useQueryClient();
  const user = useUser();
  const stale = () => cache.invalidateQueries({ queryKey: [path] });
  const list = roles.split(/[\s,]+/).filter(Boolean);
  return (
    <Form title={start.id ? start.name! : 'Register application'} path={path} close={close} ready={name.trim() !== ''} action={start.id ? 'Save' : 'Register'}
      run={async () => {
        if (start.id) { await put(`${path}/${start.id}`, { name, roles: list, delegatedPermissions: start.delegatedPermissions, isPublicClient: start.isPublicClient, redirectUris: start.redirectUris }); return; }
        const a = await post<App>(path, { name, roles: list });
        return <><Once title="The client secret." text={a.clientSecret ?? ''} /><Field label="Client ID"><pre className={css.secret}>{a.id}</pre></Field><Field label="Token address"><pre className={css.secret}>{`${window.location.origin}/${user.tenantId}/oauth2/v2.0/token`}</pre></Field></>;
      }}
      also={start.id && (
        <>
          <Button type="button" onClick={() => ask({ title: start.disabledDateTimeUtc ? 'Enable the application' : 'Disable the application', action: start.disabledDateTimeUtc ? 'Enable' : 'Disable', reason: 'none', run: async () => { await post(`${path}/${start.id}/${start.disabledDateTimeUtc ? 'enable' : 'disable'}`); await stale(); close(); } })}>{start.disabledDateTimeUtc ? 'Enable' : 'Disable'}</Button>
          <Button type="button" onClick={() => ask({ title: `Delete ${start.name}`, action: 'Delete application', reason: 'none', danger: true, body: 'Its tokens end at once.', run: async () => { await del(`${path}/${start.id}`); await stale(); close(); } })}>Delete</Button>
        </>
      )}>
      <Field label="Name" required><Input value={name} onChange={(_, v) => setName(v.value)} /></Field>
      <Field label="Application permissions" hint="One a line, by their published names, such as AdvancedQuery.Read.All"><Textarea rows={8} className="mono" value={roles} onChange={(_, v) => setRoles(v.value)} /></Field>
      {start.id && (
        <Field label="Client secrets">
          <div>
            {(start.secrets ?? []).map((s) => <div key={s.id} style={{ display: 'flex', gap: 8, alignItems: 'center' }}><span className="mono">{s.hint}…</span><span className="quiet">{s.displayName}</span><Time at={s.createdDateTimeUtc} form="day" /><Button type="button" size="small" appearance="subtle" onClick={() => ask({ title: 'Remove the secret', action: 'Remove', reason: 'none', danger: true, run: async () => { await del(`${path}/${start.id}/secrets/${s.id}`); await stale(); close(); } })}>Remove</Button></div>)}
            <Button type="button" size="small" onClick={() => void post<Secret>(`${path}/${start.id}/secrets`, { displayName: 'Portal' }).then((s) => { setMade(s.clientSecret); void stale(); })}>New secret</Button>
            {made && <Once title="The client secret." text={made} />}
          </div>
        </Field>
      )}
    </Form>
  );
}
