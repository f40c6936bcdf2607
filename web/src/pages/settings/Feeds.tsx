import { Button, Field, Input, MessageBar, MessageBarBody } from '@fluentui/react-components';
import { useQueryClient } from '@tanstack/react-query';
import { useCallback, useEffect, useRef, useState } from 'react';
import { call } from '../../api/client';
import { useMay } from '../../api/session';
import type { Feed } from '../../api/types';
import { Time } from '../../app/time';
import { Badge, counted, type Tone, words } from '../../ui/badges';
import { bytes } from '../live/api';
import { Form, Section, useAll } from './parts';
import { useNotify } from '../../app/notices';
import { Facts } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';

const path = '/api/vedette/feeds';
const tones: Record<string, Tone> = { ready: 'good', failed: 'bad', importing: 'busy', waiting: 'busy' };

/** What the server knows of vulnerabilities, by where it is from. */
export function Feeds() {
  const [adding, setAdding] = useState(false);
  const [open, setOpen] = useState<Feed>();
  const may = useMay();
  const cache = useQueryClient();
  const feeds = useAll<Feed>(path);
  const busy = feeds.data?.some((f) => !f.finishedDateTimeUtc) ?? false;
  useEffect(() => {
    if (!busy) return undefined;
    const timer = setInterval(() => void cache.invalidateQueries({ queryKey: [path] }), 2000);
    return () => clearInterval(timer);
  }, [busy, cache]);
  const watch = useOutcome(feeds.data);
  return (
    <Section<Feed> title="Vulnerability feeds" text="The server has no need of the internet: advisories are imported as files, and a newer file of the same name takes the place of the older." path={path} rowKey={(r) => r.id} empty="No feed was imported: no vulnerability is known" onOpen={setOpen}
      add={may('Vedette.Admin.All', 'SecurityConfiguration.ReadWrite.All') ? { title: 'Import feed', run: () => setAdding(true) } : undefined}
      columns={[
        { id: 'name', title: 'Name', value: (r) => r.name, width: 130, sort: true, grow: true }, { id: 'kind', title: 'Kind', value: (r) => words(r.kind), width: 90, sort: true },
        { id: 'state', title: 'State', value: (r) => r.state, cell: (r) => <State of={r} />, width: 120, sort: true },
        { id: 'records', title: 'Advisories', value: (r) => r.records, cell: (r) => r.records.toLocaleString('en'), width: 95, sort: true, align: 'end' }, { id: 'packages', title: 'Packages', value: (r) => r.packages, cell: (r) => r.packages.toLocaleString('en'), width: 90, align: 'end' },
        { id: 'finished', title: 'Imported', value: (r) => r.finishedDateTimeUtc, cell: (r) => <Time at={r.finishedDateTimeUtc} form="short" />, width: 125, sort: true },
        { id: 'error', title: 'What went wrong', value: (r) => r.error, cell: (r) => <span title={r.error ?? undefined}>{r.error || '—'}</span>, width: 200 },
        { id: 'by', title: 'By', value: (r) => r.importedBy, width: 110 }, { id: 'file', title: 'File', value: (r) => r.fileName, width: 160 },
      ]}>
      <SidePanel open={open !== undefined} title={open?.name ?? 'Feed'} close={() => setOpen(undefined)}>{open && <One of={feeds.data?.find((f) => f.id === open.id) ?? open} />}</SidePanel>
      {adding && <Import begun={(f) => watch(f.id)} close={() => setAdding(false)} />}
    </Section>
  );
}

/** How far an import is, or how it ended. */
const State = ({ of: r }: { of: Feed }) => <Badge tone={tones[r.state] ?? 'quiet'} title={r.error ?? undefined}>{r.state === 'importing' && r.sizeInBytes > 0 ? `Importing, ${Math.floor((r.readBytes * 100) / r.sizeInBytes)} %` : words(r.state)}</Badge>;

function One({ of: r }: { of: Feed }) {
  return (
    <>
      {r.error && <MessageBar intent="error" layout="multiline" style={{ marginBottom: 12 }}><MessageBarBody className="wrap">{r.error}</MessageBarBody></MessageBar>}
      <Facts of={[
        ['State', <State key="s" of={r} />], ['Kind', words(r.kind)], ['File', r.fileName], ['Size', `${bytes(r.readBytes)} read of ${bytes(r.sizeInBytes)}`], ['Advisories', counted(r.records, 'advisory', 'advisories')],
        ['Packages', counted(r.packages, 'package')], ['Left out', r.skippedRecords > 0 && `${counted(r.skippedRecords, 'record')} that ${r.skippedRecords === 1 ? 'is' : 'are'} not of this kind`], ['Started', <Time key="b" at={r.startedDateTimeUtc} />], ['Ended', <Time key="e" at={r.finishedDateTimeUtc} />], ['By', r.importedBy],
      ]} />
    </>
  );
}

/** Tells how imports ended that were under way, or that are watched because somebody began them here: they may end before the list is asked for. */
function useOutcome(feeds: Feed[] | undefined): (id: string) => void {
  const notify = useNotify();
  const busy = useRef(new Set<string>());
  useEffect(() => {
    for (const f of feeds ?? []) {
      if (!f.finishedDateTimeUtc) busy.current.add(f.id);
      else if (busy.current.delete(f.id)) {
        if (f.error) notify({ intent: 'error', title: `The feed ${f.name} was not imported`, text: f.error, to: '/settings/feeds' });
        else notify({ intent: 'success', title: `The feed ${f.name} was imported`, text: counted(f.records, 'advisory', 'advisories'), to: '/vulnerabilities' });
      }
    }
  }, [feeds, notify]);
  return useCallback((id: string) => { busy.current.add(id); }, []);
}

function Import({ begun, close }: { begun: (f: Feed) => void; close: () => void }) {
  const [file, setFile] = useState<File>();
  const [name, setName] = useState('');
  const input = useRef<HTMLInputElement>(null);
  return (
    <Form title="Import feed" path={path} close={close} ready={file !== undefined} action="Import" saved="The import has begun" run={async () => { begun(await call<Feed>('POST', path, { form: file, params: { name: name.trim(), file: file!.name } })); }}>
      <Field label="File" required hint="OSV exports and the other kinds that docs/vulnerability.md names, compressed or not">
        <div>
          <input ref={input} type="file" aria-label="File" hidden onChange={(e) => setFile(e.target.files?.[0])} />
          <Button type="button" onClick={() => input.current?.click()}>{file ? 'Choose another' : 'Choose a file'}</Button>{' '}
          {file && <span>{file.name} <span className="quiet">{bytes(file.size)}</span></span>}
        </div>
      </Field>
      <Field label="Name" hint="What later imports of the same source replace; its kind when it is empty"><Input value={name} maxLength={128} onChange={(_, v) => setName(v.value)} /></Field>
    </Form>
  );
}
