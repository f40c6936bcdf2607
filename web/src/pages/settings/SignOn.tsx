import { Button, Checkbox, Field, Input, MessageBar, MessageBarBody, Radio, RadioGroup, Switch, Textarea } from '@fluentui/react-components';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { del, get, post, put } from '../../api/client';
import { useNotify } from '../../app/notices';
import { Time } from '../../app/time';
import { Badge, type Tone } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { Card } from '../../ui/Page';
import { Failure, Waiting } from '../../ui/states';
import { Form, Section, Several, useAll } from './parts';
import css from './settings.module.css';

interface Role { id: string; name: string }
interface Provider {
  id: string; name: string; issuer: string; clientId: string; hasClientSecret: boolean; scopes: string[]; userNameClaim: string; groupsClaim: string; groupRoles: { group: string; role: string }[]; roles: string[];
  allowedDomains: string[]; createAccounts: boolean; linkAccounts: boolean; requireSecondFactor: boolean; disabled: boolean; redirectUri: string; lastUpdateDateTimeUtc: string;
}
interface Check { check: string; result: 'Passed' | 'Warning' | 'Failed'; detail: string }
interface Policy { secondFactor: 'None' | 'All' | 'Roles'; roles: string[] }

const path = '/api/vedette/identityproviders';
const policyPath = '/api/vedette/signinpolicy';
const tones: Record<Check['result'], Tone> = { Passed: 'good', Warning: 'warn', Failed: 'bad' };

/** How people sign in: by whom else, and with what beside their password. */
export function SignOn() {
  const [open, setOpen] = useState<Partial<Provider>>();
  const roles = useAll<Role>('/api/vedette/roles');
  return (
    <Section<Provider> title="Sign-in" text="People sign in with a password of this server, or by an identity provider of yours that speaks OpenID Connect. Keep one administrator with a password, for the day on which the provider does not answer." path={path} rowKey={(r) => r.id} empty="There is no identity provider: people sign in with passwords"
      add={{ title: 'Add identity provider', run: () => setOpen({}) }} onOpen={setOpen}
      columns={[
        { id: 'name', title: 'Name', value: (r) => r.name, width: 180, sort: true }, { id: 'issuer', title: 'Issuer', value: (r) => r.issuer, width: 220, grow: true },
        { id: 'accounts', title: 'New people', value: (r) => (r.createAccounts ? 'Get an account' : 'Are turned away'), width: 140 },
        { id: 'roles', title: 'Roles', value: (r) => (r.groupRoles.length > 0 ? 'By groups' : r.roles.map((x) => roles.data?.find((y) => y.id === x)?.name ?? x).join(', ')), width: 160 },
        { id: 'state', title: 'State', value: (r) => (r.disabled ? 'Disabled' : 'Active'), cell: (r) => <Badge tone={r.disabled ? 'quiet' : 'good'}>{r.disabled ? 'Disabled' : 'Active'}</Badge>, width: 100 },
        { id: 'changed', title: 'Changed', value: (r) => r.lastUpdateDateTimeUtc, cell: (r) => <Time at={r.lastUpdateDateTimeUtc} form="day" />, width: 120, sort: true },
      ]}>
      <div className={css.below}><SecondFactor roles={roles.data} /></div>
      {open && <ProviderForm start={open} roles={roles.data} close={() => setOpen(undefined)} />}
    </Section>
  );
}

/** Of whom a second factor is required. */
function SecondFactor({ roles }: { roles?: Role[] }) {
  const policy = useQuery({ queryKey: [policyPath], queryFn: () => get<Policy>(policyPath) });
  const [draft, setDraft] = useState<Policy>();
  const [error, setError] = useState('');
  const cache = useQueryClient();
  const notify = useNotify();
  const d = draft ?? policy.data;
  const save = async () => {
    if (!draft) return;
    setError('');
    try {
      cache.setQueryData([policyPath], await put<Policy>(policyPath, { secondFactor: draft.secondFactor, roles: draft.secondFactor === 'Roles' ? draft.roles : [] }));
      setDraft(undefined);
      notify({ intent: 'success', title: 'Saved', brief: true });
    } catch (e) {
      setError(e instanceof Error ? e.message : String(e));
    }
  };
  return (
    <Card title="Second factor">
      {policy.isPending ? <Waiting /> : policy.error || !d ? <Failure error={policy.error} retry={() => void policy.refetch()} /> : (
        <div className={css.form}>
          <p className={css.text} style={{ margin: 0 }}>Whoever signs in with a password and has to have a second factor, but has none, sets it up before anything else. It counts from the next sign-in: who is signed in stays so.</p>
          <RadioGroup aria-label="A second factor is required of" value={d.secondFactor} onChange={(_, v) => setDraft({ ...d, secondFactor: v.value as Policy['secondFactor'] })}>
            <Radio value="None" label="Required of nobody; everybody may set one up" />
            <Radio value="Roles" label="Required of people with certain roles" />
            <Radio value="All" label="Required of everybody" />
          </RadioGroup>
          {d.secondFactor === 'Roles' && <Field label="Roles" required><Several label="Roles that require a second factor" all={roles} chosen={d.roles} set={(r) => setDraft({ ...d, roles: r })} /></Field>}
          {error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
          <div className={css.buttons}><Button appearance="primary" disabled={!draft || (draft.secondFactor === 'Roles' && draft.roles.length === 0)} onClick={() => void save()}>Save</Button></div>
        </div>
      )}
    </Card>
  );
}

/** Groups and roles as lines of text: "group = role". */
const lines = (of: Provider['groupRoles'], roles?: Role[]) => of.map((m) => `${m.group} = ${roles?.find((r) => r.id === m.role)?.name ?? m.role}`).join('\n');

function mappings(text: string, roles?: Role[]): Provider['groupRoles'] {
  return text.split('\n').filter((l) => l.trim()).map((l) => {
    const at = l.lastIndexOf('=');
    const [group, role] = [l.slice(0, Math.max(at, 0)).trim(), l.slice(at + 1).trim()];
    if (at < 0 || !group || !role) throw new Error(`“${l.trim()}” is not a group and a role, such as soc-team = Security Operator`);
    return { group, role: roles?.find((r) => r.name.toLowerCase() === role.toLowerCase())?.id ?? role };
  });
}

const words = (text: string) => text.split(/[\s,]+/).filter(Boolean);

function ProviderForm({ start, roles, close }: { start: Partial<Provider>; roles?: Role[]; close: () => void }) {
  const [d, setDraft] = useState({
    name: start.name ?? '', issuer: start.issuer ?? '', clientId: start.clientId ?? '', scopes: (start.scopes ?? ['profile', 'email']).join(' '), userNameClaim: start.userNameClaim ?? 'preferred_username', groupsClaim: start.groupsClaim ?? 'groups',
    roles: start.roles ?? [], allowedDomains: (start.allowedDomains ?? []).join(' '), createAccounts: start.createAccounts ?? true, linkAccounts: start.linkAccounts ?? false, requireSecondFactor: start.requireSecondFactor ?? false, disabled: start.disabled ?? false,
  });
  const [groupRoles, setGroupRoles] = useState(() => lines(start.groupRoles ?? [], roles));
  const [secret, setSecret] = useState('');
  const set = (change: Partial<typeof d>) => setDraft({ ...d, ...change });
  const ask = useConfirm();
  const cache = useQueryClient();
  const redirect = `${window.location.origin}/portal/sso/callback`;
  const text = (name: keyof typeof d) => ({ value: String(d[name]), onChange: (_: unknown, v: { value: string }) => set({ [name]: v.value }) });
  return (
    <Form title={start.id ? start.name! : 'Add identity provider'} path={path} close={close} ready={!!(d.name.trim() && d.issuer.trim() && d.clientId.trim())} action={start.id ? 'Save' : 'Add'}
      run={async () => {
        const body = { ...d, issuer: d.issuer.trim(), scopes: words(d.scopes), allowedDomains: words(d.allowedDomains), groupRoles: mappings(groupRoles, roles), ...(secret ? { clientSecret: secret } : {}) };
        const p = await (start.id ? put<Provider>(`${path}/${start.id}`, body) : post<Provider>(path, body));
        if (!start.id) return <><p>It is there. Test whether it answers as it should:</p><Test id={p.id} /></>;
      }}
      also={start.id && <Button type="button" onClick={() => ask({ title: `Delete ${start.name}`, action: 'Delete identity provider', reason: 'none', danger: true, body: 'People who come by it cannot sign in any more unless they have a password.', run: async () => { await del(`${path}/${start.id}`); await cache.invalidateQueries({ queryKey: [path] }); close(); } })}>Delete</Button>}>
      <Field label="Redirect address" hint="Register this at the provider"><div className={css.once}><pre className={css.secret}>{redirect}</pre><Button type="button" size="small" onClick={() => void navigator.clipboard.writeText(redirect)}>Copy</Button></div></Field>
      <Field label="Name" required hint="On the sign-in page: Sign in with …"><Input {...text('name')} maxLength={100} /></Field>
      <Field label="Issuer" required hint="Exactly as the provider calls itself"><Input {...text('issuer')} type="url" placeholder="https://login.example.com" /></Field>
      <Field label="Client ID" required><Input {...text('clientId')} autoComplete="off" /></Field>
      <Field label="Client secret" hint={start.hasClientSecret ? 'There is one; it stays when this is empty' : 'Empty for a public client'}><Input type="password" autoComplete="new-password" value={secret} onChange={(_, v) => setSecret(v.value)} /></Field>
      <Field label="Scopes" hint="Beside openid"><Input {...text('scopes')} /></Field>
      <Field label="Claim of the user name"><Input {...text('userNameClaim')} /></Field>
      <Field label="Claim of the groups" hint="A name, or a path such as realm_access.roles"><Input {...text('groupsClaim')} /></Field>
      <Field label="Roles by groups" hint="A line for each, such as soc-team = Security Operator. With any, roles follow the groups at every sign-in"><Textarea rows={4} className="mono" value={groupRoles} onChange={(_, v) => setGroupRoles(v.value)} /></Field>
      <Field label="Roles of everybody"><Several label="Roles of everybody" all={roles} chosen={d.roles} set={(r) => set({ roles: r })} /></Field>
      <Field label="Allowed domains" hint="Of mail addresses or user names; all when it is empty"><Input {...text('allowedDomains')} placeholder="example.com" /></Field>
      <div>
        <div><Checkbox label="Make an account at the first sign-in" checked={d.createAccounts} onChange={(_, v) => set({ createAccounts: !!v.checked })} /></div>
        <div><Checkbox label="Take over accounts of the same user name" checked={d.linkAccounts} onChange={(_, v) => set({ linkAccounts: !!v.checked })} /></div>
        <div><Checkbox label="Ask for this server’s second factor as well" checked={d.requireSecondFactor} onChange={(_, v) => set({ requireSecondFactor: !!v.checked })} /></div>
      </div>
      {d.linkAccounts && <MessageBar intent="warning" layout="multiline"><MessageBarBody>Whoever can choose their user name at the provider can take over any account here that has it.</MessageBarBody></MessageBar>}
      <Switch label={d.disabled ? 'Disabled' : 'Active'} checked={!d.disabled} onChange={(_, v) => set({ disabled: !v.checked })} />
      {start.id && <Test id={start.id} />}
    </Form>
  );
}

/** What a test of the provider says. */
function Test({ id }: { id: string }) {
  const [checks, setChecks] = useState<Check[]>();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const run = async () => {
    setBusy(true);
    setError('');
    try { setChecks((await post<{ value: Check[] }>(`${path}/${id}/test`)).value); } catch (e) { setError(e instanceof Error ? e.message : String(e)); }
    setBusy(false);
  };
  return (
    <div>
      <Button type="button" disabled={busy} onClick={() => void run()}>{busy ? 'Testing…' : 'Test what is saved'}</Button>
      {error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
      {checks && <ul className={css.checks} aria-label="Checks">{checks.map((c) => <li key={c.check}><Badge tone={tones[c.result]}>{c.result}</Badge><div><strong>{c.check}</strong><div className="quiet wrap">{c.detail}</div></div></li>)}</ul>}
    </div>
  );
}
