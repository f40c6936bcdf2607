import { Button, Checkbox, Field, Input, Switch, Textarea } from '@fluentui/react-components';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { del, get, patch, post, put, type List } from '../../api/client';
import { Time } from '../../app/time';
import { Badge } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { Form, Once, Section, Several, useAll } from './parts';
import css from './settings.module.css';

interface Role { id: string; name: string; description: string; permissions: string[]; isBuiltIn: boolean }
interface UserGroup { id: string; name: string; description: string; roles: string[] }
interface Person { id: string; login: string; displayName: string; mail: string; roles: string[]; userGroups: string[]; createdDateTimeUtc: string; disabledDateTimeUtc: string | null; passwordSignIn: boolean; secondFactor: boolean; identityProviderId: string | null; password?: string }

const roles = '/api/vedette/roles';
const groups = '/api/vedette/usergroups';
const users = '/api/vedette/users';

const rights: [string, string][] = [
  ['ViewData.SecurityOperations', 'View data: security operations'], ['ViewData.VulnerabilityManagement', 'View data: vulnerability management'], ['ActiveRemediation.SecurityOperations', 'Response actions and indicators'],
  ['VulnerabilityManagement.Exceptions', 'Exceptions from recommendations'], ['VulnerabilityManagement.Remediation', 'Remediation requests'], ['VulnerabilityManagement.Applications', 'Block vulnerable applications'],
  ['VulnerabilityManagement.Baselines', 'Security baseline profiles'], ['AlertsInvestigation', 'Alerts and investigations'], ['ManageSecuritySettings', 'Security settings: rules, suppression, notifications'],
  ['LiveResponse.Basic', 'Live response: basic'], ['LiveResponse.Advanced', 'Live response: advanced'],
];

/** Roles: what people may do. */
export function Roles() {
  const [open, setOpen] = useState<Partial<Role>>();
  return (
    <Section<Role> title="Roles" text="A role is a set of permissions. People have roles by themselves or by their user groups." path={roles} rowKey={(r) => r.id} empty="There is no role" add={{ title: 'Create role', run: () => setOpen({ permissions: [] }) }} onOpen={setOpen}
      columns={[
        { id: 'name', title: 'Name', value: (r) => r.name, width: 220, sort: true }, { id: 'description', title: 'Description', value: (r) => r.description, width: 300, grow: true },
        { id: 'permissions', title: 'Permissions', value: (r) => r.permissions.length, width: 110, sort: true, align: 'end' }, { id: 'kind', title: 'Kind', value: (r) => (r.isBuiltIn ? 'Built-in' : 'Custom'), width: 100, sort: true },
      ]}>
      {open && <RoleForm start={open} close={() => setOpen(undefined)} />}
    </Section>
  );
}

function RoleForm({ start, close }: { start: Partial<Role>; close: () => void }) {
  const [name, setName] = useState(start.name ?? '');
  const [description, setDescription] = useState(start.description ?? '');
  const [permissions, setPermissions] = useState(start.permissions ?? []);
  const ask = useConfirm();
  const cache = useQueryClient();
  const fixed = start.isBuiltIn;
  return (
    <Form title={start.id ? start.name! : 'Create role'} path={roles} close={close} ready={!fixed && name.trim() !== '' && permissions.length > 0} action={start.id ? 'Save' : 'Create'}
      run={async () => { await (start.id ? put(`${roles}/${start.id}`, { name, description, permissions }) : post(roles, { name, description, permissions })); }}
      also={start.id && !fixed && <Button type="button" onClick={() => ask({ title: `Delete the role ${start.name}`, action: 'Delete role', reason: 'none', danger: true, run: async () => { await del(`${roles}/${start.id}`); await cache.invalidateQueries({ queryKey: [roles] }); close(); } })}>Delete</Button>}>
      {fixed && <p className="quiet">A built-in role cannot be changed.</p>}
      <Field label="Name" required><Input disabled={fixed} value={name} onChange={(_, d) => setName(d.value)} /></Field>
      <Field label="Description"><Textarea disabled={fixed} value={description} onChange={(_, d) => setDescription(d.value)} /></Field>
      <div role="group" aria-label="Permissions">{rights.map(([id, title]) => <div key={id}><Checkbox disabled={fixed} label={title} checked={permissions.includes(id)} onChange={(_, d) => setPermissions(d.checked ? [...permissions, id] : permissions.filter((p) => p !== id))} /></div>)}</div>
    </Form>
  );
}

/** User groups. */
export function Groups() {
  const [open, setOpen] = useState<Partial<UserGroup>>();
  const all = useAll<Role>(roles);
  return (
    <Section<UserGroup> title="User groups" text="People in a group have its roles, and see the device groups that it is given access to." path={groups} rowKey={(r) => r.id} empty="There is no user group" add={{ title: 'Create group', run: () => setOpen({}) }} onOpen={setOpen}
      columns={[{ id: 'name', title: 'Name', value: (r) => r.name, width: 220, sort: true }, { id: 'description', title: 'Description', value: (r) => r.description, width: 300, grow: true }, { id: 'roles', title: 'Roles', value: (r) => r.roles.map((x) => all.data?.find((y) => y.id === x)?.name ?? x).join(', '), width: 260 }]}>
      {open && <GroupForm start={open} all={all.data} close={() => setOpen(undefined)} />}
    </Section>
  );
}

function GroupForm({ start, all, close }: { start: Partial<UserGroup>; all?: Role[]; close: () => void }) {
  const [d, set] = useState({ name: start.name ?? '', description: start.description ?? '', roles: start.roles ?? [] });
  const ask = useConfirm();
  const cache = useQueryClient();
  return (
    <Form title={start.id ? start.name! : 'Create user group'} path={groups} close={close} ready={d.name.trim() !== ''} action={start.id ? 'Save' : 'Create'} run={async () => { await (start.id ? put(`${groups}/${start.id}`, d) : post(groups, d)); }}
      also={start.id && <Button type="button" onClick={() => ask({ title: `Delete the group ${start.name}`, action: 'Delete group', reason: 'none', danger: true, run: async () => { await del(`${groups}/${start.id}`); await cache.invalidateQueries({ queryKey: [groups] }); close(); } })}>Delete</Button>}>
      <Field label="Name" required><Input value={d.name} onChange={(_, v) => set({ ...d, name: v.value })} /></Field>
      <Field label="Description"><Textarea value={d.description} onChange={(_, v) => set({ ...d, description: v.value })} /></Field>
      <Field label="Roles"><Several label="Roles" all={all} chosen={d.roles} set={(r) => set({ ...d, roles: r })} /></Field>
    </Form>
  );
}

/** How somebody signs in. */
function how(r: Person): string {
  const ways = [r.passwordSignIn && (r.secondFactor ? 'Password and second factor' : 'Password'), r.identityProviderId && 'Single sign-on'].filter(Boolean);
  return ways.join(', ') || 'Cannot';
}

/** People who sign in. */
export function Users() {
  const [open, setOpen] = useState<Partial<Person>>();
  const all = useAll<Role>(roles);
  const of = useAll<UserGroup>(groups);
  return (
    <Section<Person> title="Users" text="People who sign in to the portal." path={users} rowKey={(r) => r.id} empty="There is nobody" add={{ title: 'Add user', run: () => setOpen({}) }} onOpen={setOpen}
      columns={[
        { id: 'login', title: 'User name', value: (r) => r.login, width: 180, sort: true, grow: true }, { id: 'displayName', title: 'Name', value: (r) => r.displayName, width: 150, sort: true },
        { id: 'roles', title: 'Roles', value: (r) => r.roles.map((x) => all.data?.find((y) => y.id === x)?.name ?? x).join(', '), width: 160 }, { id: 'groups', title: 'Groups', value: (r) => r.userGroups.map((x) => of.data?.find((y) => y.id === x)?.name ?? x).join(', '), width: 150 },
        { id: 'how', title: 'Signs in', value: how, width: 150, sort: true },
        { id: 'state', title: 'State', value: (r) => (r.disabledDateTimeUtc ? 'Disabled' : 'Active'), cell: (r) => <Badge tone={r.disabledDateTimeUtc ? 'quiet' : 'good'}>{r.disabledDateTimeUtc ? 'Disabled' : 'Active'}</Badge>, width: 90, sort: true },
        { id: 'created', title: 'Since', value: (r) => r.createdDateTimeUtc, cell: (r) => <Time at={r.createdDateTimeUtc} form="day" />, width: 130, sort: true },
      ]}>
      {open && <UserForm start={open} all={all.data} groups={of.data} close={() => setOpen(undefined)} />}
    </Section>
  );
}

function UserForm({ start, all, groups: of, close }: { start: Partial<Person>; all?: Role[]; groups?: UserGroup[]; close: () => void }) {
  const [d, set] = useState({ login: start.login ?? '', displayName: start.displayName ?? '', mail: start.mail ?? '', roles: start.roles ?? [], userGroups: start.userGroups ?? [], disabled: !!start.disabledDateTimeUtc });
  const [withPassword, setWithPassword] = useState(start.passwordSignIn ?? true);
  const [password, setPassword] = useState('');
  const { login, ...rest } = d;
  return (
    <Form title={start.id ? start.login! : 'Add user'} path={users} close={close} ready={login.trim() !== ''} action={start.id ? 'Save' : 'Add user'}
      run={async () => {
        if (start.id) {
          if (password) await post(`${users}/${start.id}/password`, { password });
          await patch(`${users}/${start.id}`, { ...rest, ...(withPassword !== start.passwordSignIn ? { passwordSignIn: withPassword } : {}) });
          return;
        }
        const made = await post<Person>(users, { login: login.trim(), roles: d.roles, userGroups: d.userGroups, ...(password ? { password } : {}) });
        await patch(`${users}/${made.id}`, rest);
        if (made.password) return <Once title={`The password of ${made.login}.`} text={made.password} />;
      }}>
      <Field label="User name" required><Input disabled={!!start.id} value={d.login} onChange={(_, v) => set({ ...d, login: v.value })} autoComplete="off" /></Field>
      <Field label="Name"><Input value={d.displayName} onChange={(_, v) => set({ ...d, displayName: v.value })} /></Field>
      <Field label="Mail"><Input value={d.mail} onChange={(_, v) => set({ ...d, mail: v.value })} /></Field>
      <Field label="Roles"><Several label="Roles" all={all} chosen={d.roles} set={(r) => set({ ...d, roles: r })} /></Field>
      <Field label="User groups"><Several label="User groups" all={of} chosen={d.userGroups} set={(r) => set({ ...d, userGroups: r })} /></Field>
      <Field label={start.id ? 'New password' : 'Password'} hint={start.id ? 'Left as it is when empty' : 'One is chosen when it is empty'}><Input type="password" autoComplete="new-password" value={password} onChange={(_, v) => setPassword(v.value)} /></Field>
      {start.id && <Switch label={withPassword ? 'Can sign in with a password' : 'Cannot sign in with a password'} checked={withPassword} onChange={(_, v) => setWithPassword(v.checked)} />}
      {start.id && <Standing of={start as Person} close={close} />}
      {start.id && <Switch label={d.disabled ? 'Disabled: cannot sign in' : 'Active'} checked={!d.disabled} onChange={(_, v) => set({ ...d, disabled: !v.checked })} />}
    </Form>
  );
}

/** What else there is of how somebody signs in, and what an administrator can end of it. */
function Standing({ of: p, close }: { of: Person; close: () => void }) {
  const ask = useConfirm();
  const cache = useQueryClient();
  const sessions = useQuery({ queryKey: [users, p.id, 'sessions'], queryFn: async () => (await get<List<{ id: string }>>(`${users}/${p.id}/sessions`)).value });
  const end = async (path: string) => { await del(`${users}/${p.id}/${path}`); await cache.invalidateQueries({ queryKey: [users] }); close(); };
  const n = sessions.data?.length ?? 0;
  const row = (text: string, button?: React.ReactNode) => <div className={css.row}><span>{text}</span>{button}</div>;
  return (
    <div>
      {row(p.secondFactor ? 'Has a second factor' : 'Has no second factor', p.secondFactor && <Button type="button" size="small" onClick={() => ask({ title: `Reset the second factor of ${p.login}`, action: 'Reset second factor', reason: 'none', danger: true, body: 'Their sessions end. Until they set up another, their password alone lets them in, or they have to set one up at the next sign-in where one is required.', run: () => end('factor') })}>Reset</Button>)}
      {p.identityProviderId && row('An identity provider vouches for them', <Button type="button" size="small" onClick={() => ask({ title: `Unlink ${p.login} from the identity provider`, action: 'Unlink', reason: 'none', danger: true, body: 'Their sessions end. They sign in with a password, if they have one.', run: () => end('identity') })}>Unlink</Button>)}
      {row(n === 0 ? 'Is not signed in to the portal' : `Is signed in to the portal in ${n} ${n === 1 ? 'browser' : 'browsers'}`, n > 0 && <Button type="button" size="small" onClick={() => ask({ title: `End the sessions of ${p.login}`, action: 'End sessions', reason: 'none', danger: true, run: () => end('sessions') })}>End</Button>)}
    </div>
  );
}
