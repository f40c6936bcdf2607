// Asking an expert outside: the button of a page, and its dialog.
import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Dropdown, Field, Input, MessageBar, MessageBarBody, Option, Radio, RadioGroup, Textarea } from '@fluentui/react-components';
import { PersonQuestionMarkRegular } from '@fluentui/react-icons/svg/person-question-mark';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { get, post, type List } from '../../api/client';
import { useMay, useUser } from '../../api/session';
import { at, Go } from '../../app/links';
import { useNotify } from '../../app/notices';
import { Empty, Failure, Waiting } from '../../ui/states';
import { receiversPath, reach, type Case, type Receiver } from './api';

/** What a question is about: one of them. */
export type About = { alertId: string } | { incidentId: number } | { machineId: string };

/** A button that asks an expert about a thing called `name`; nothing for who may not. */
export function AskExpert({ about, name }: { about: About; name: string }) {
  const may = useMay();
  const [open, setOpen] = useState(false);
  if (!may('Vedette.Expert.Ask')) return null;
  return (
    <>
      <Button icon={<PersonQuestionMarkRegular />} onClick={() => setOpen(true)}>Ask an expert</Button>
      {open && <Asking about={about} name={name} close={() => setOpen(false)} />}
    </>
  );
}

function Asking({ about, name, close }: { about: About; name: string; close: () => void }) {
  const [busy, setBusy] = useState(false);
  return (
    <Dialog open modalType="modal" onOpenChange={(_, d) => { if (!d.open && !busy) close(); }}>
      <DialogSurface aria-describedby={undefined}>
        <DialogBody>
          <DialogTitle>Ask an expert about {name}</DialogTitle>
          <Choice about={about} close={close} busy={busy} setBusy={setBusy} />
        </DialogBody>
      </DialogSurface>
    </Dialog>
  );
}

function Choice({ about, close, busy, setBusy }: { about: About; close: () => void; busy: boolean; setBusy: (b: boolean) => void }) {
  const may = useMay();
  const user = useUser();
  const notify = useNotify();
  const cache = useQueryClient();
  const found = useQuery({ queryKey: [receiversPath], queryFn: async () => (await get<List<Receiver>>(receiversPath)).value });
  const [to, setTo] = useState<number>();
  const [question, setQuestion] = useState('');
  const [contact, setContact] = useState(user.mail || user.name);
  const packages = may('Machine.CollectForensics');
  const [kind, setKind] = useState(packages ? 'Latest' : 'None');
  const [error, setError] = useState('');
  const receivers = (found.data ?? []).filter((r) => r.enabled);
  const chosen = receivers.find((r) => r.id === to) ?? (receivers.length === 1 ? receivers[0] : undefined);
  const ready = Boolean(chosen) && question.trim() !== '' && !busy;
  const submit = (e: FormEvent) => {
    e.preventDefault();
    if (!ready || !chosen) return;
    setBusy(true);
    setError('');
    post<Case>('/api/vedette/expert/cases', { ...about, question: question.trim(), contact: contact.trim(), receiverId: chosen.id, package: kind }).then((c) => {
      for (const key of ['/api/vedette/machineactions', '/api/machineactions', 'device']) void cache.invalidateQueries({ queryKey: [key] });
      notify({ intent: 'ongoing', title: `${chosen.name} is being asked`, text: c.state === 'requested' ? 'Somebody has to agree first. The action center tells what becomes of it.' : 'The action center tells what becomes of it.', to: at.action(c.id) });
      close();
    }, (err: unknown) => setError(err instanceof Error ? err.message : String(err))).finally(() => setBusy(false));
  };
  if (found.isPending) return <DialogContent><Waiting /></DialogContent>;
  if (found.error) return <><DialogContent><Failure error={found.error} retry={() => void found.refetch()} /></DialogContent><DialogActions><Button onClick={close}>Close</Button></DialogActions></>;
  if (receivers.length === 0) {
    return (
      <>
        <DialogContent><Empty title="There is nobody to ask yet">{may('Vedette.Admin.All') ? <Go to="/settings/experts" onFollow={close}>Add a receiver in the settings</Go> : 'An administrator adds receivers in the settings.'}</Empty></DialogContent>
        <DialogActions><Button onClick={close}>Close</Button></DialogActions>
      </>
    );
  }
  return (
    <form onSubmit={submit} style={{ display: 'contents' }}>
      <DialogContent style={{ display: 'flex', flexDirection: 'column', gap: 12 }}>
        <Field label="Whom" required hint={chosen ? `${chosen.about ? `${chosen.about} · ` : ''}${chosen.webhookUrl ? 'web hook' : 'mail'} to ${reach(chosen)}, ${chosen.keys.length > 0 ? 'encrypted' : 'not encrypted'}` : undefined}>
          <Dropdown value={chosen?.name ?? ''} selectedOptions={chosen ? [String(chosen.id)] : []} placeholder="Choose a receiver" onOptionSelect={(_, d) => setTo(Number(d.optionValue))}>
            {receivers.map((r) => <Option key={r.id} value={String(r.id)} text={r.name}>{r.name}</Option>)}
          </Dropdown>
        </Field>
        <Field label="Question" required hint="Kept with the action and shown to everybody who sees it">
          <Textarea value={question} onChange={(_, d) => setQuestion(d.value)} maxLength={4000} rows={4} autoFocus />
        </Field>
        <Field label="Answer to" hint="A mail address or a telephone number"><Input value={contact} maxLength={256} onChange={(_, d) => setContact(d.value)} /></Field>
        {packages && (
          <Field label="Investigation package">
            <RadioGroup value={kind} onChange={(_, d) => setKind(d.value)}>
              <Radio value="Latest" label="The last that was collected, if there is one" />
              <Radio value="Collect" label="Collect one now, and wait up to two hours for it" />
              <Radio value="None" label="None" />
            </RadioGroup>
          </Field>
        )}
        <p className="quiet" style={{ margin: 0 }}>Alerts with their evidence, process trees, the machines and what happened on them around that time leave the organisation. Comments stay here.</p>
        {error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
      </DialogContent>
      <DialogActions>
        <Button type="button" onClick={close} disabled={busy}>Cancel</Button>
        <Button type="submit" appearance="primary" disabled={!ready}>{busy ? 'One moment…' : 'Hand over'}</Button>
      </DialogActions>
    </form>
  );
}
