import { Button, Field, Input } from '@fluentui/react-components';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { call } from '../../api/client';
import { useMay } from '../../api/session';
import type { Feed } from '../../api/types';
import { Time } from '../../app/time';
import { Badge, words, type Tone } from '../../ui/badges';
import { bytes } from '../live/api';
import { Form, Section, useAll } from './parts';

const path = '/api/vedette/feeds';
const tones: Record<string, Tone> = { ready: 'good', failed: 'bad', importing: 'busy', waiting: 'busy' };

/** What the server knows of vulnerabilities, by where it is from. */
export function Feeds() {
  const [adding, setAdding] = useState(false);
  const may = useMay();
  const cache = useQueryClient();
  const feeds = useAll<Feed>(path);
  const busy = feeds.data?.some((f) => !f.finishedDateTimeUtc) ?? false;
  useEffect(() => {
    if (!busy) return undefined;
    const timer = setInterval(() => void cache.invalidateQueries({ queryKey: [path] }), 2000);
    return () => clearInterval(timer);
  }, [busy, cache]);
  return (
    <Section<Feed> title="Vulnerability feeds" text="The server has no need of the internet: advisories are imported as files, and a newer file of the same name takes the place of the older." path={path} rowKey={(r) => r.id} empty="No feed was imported: no vulnerability is known"
      add={may('Vedette.Admin.All', 'SecurityConfiguration.ReadWrite.All') ? { title: 'Import feed', run: () => setAdding(true) } : undefined}
      columns={[
        { id: 'name', title: 'Name', value: (r) => r.name, width: 160, sort: true, grow: true }, { id: 'file', title: 'File', value: (r) => r.fileName, width: 200 }, { id: 'kind', title: 'Kind', value: (r) => r.kind, width: 120, sort: true },
        { id: 'state', title: 'State', value: (r) => r.state, cell: (r) => <Badge tone={tones[r.state] ?? 'quiet'} title={r.error ?? undefined}>{words(r.state)}</Badge>, width: 110, sort: true },
        { id: 'read', title: 'Read', value: (r) => r.readBytes, cell: (r) => (r.sizeInBytes > 0 && !r.finishedDateTimeUtc ? `${Math.floor((r.readBytes * 100) / r.sizeInBytes)} %` : bytes(r.readBytes)), width: 90, align: 'end' },
        { id: 'records', title: 'Advisories', value: (r) => r.records, width: 100, sort: true, align: 'end' }, { id: 'packages', title: 'Packages', value: (r) => r.packages, width: 90, align: 'end' },
        { id: 'finished', title: 'Imported', value: (r) => r.finishedDateTimeUtc, cell: (r) => <Time at={r.finishedDateTimeUtc} form="short" />, width: 130, sort: true }, { id: 'by', title: 'By', value: (r) => r.importedBy, width: 120 },
        { id: 'error', title: 'What went wrong', value: (r) => r.error, cell: (r) => <span title={r.error ?? undefined}>{r.error || '—'}</span>, width: 220 },
      ]}>
      {adding && <Import close={() => setAdding(false)} />}
    </Section>
  );
}

function Import({ close }: { close: () => void }) {
  const [file, setFile] = useState<File>();
  const [name, setName] = useState('');
  const input = useRef<HTMLInputElement>(null);
  return (
    <Form title="Import feed" path={path} close={close} ready={file !== undefined} action="Import" run={async () => { await call('POST', path, { form: file, params: { name: name.trim(), file: file!.name } }); }}>
      <Field label="File" required hint="OSV exports and the other kinds that docs/vulnerability.md names, compressed or not">
        <div>
          <input ref={input} type="file" aria-label="File" hidden onChange={(e) => setFile(e.target.files?.[0])} />
          <Button type="button" onClick={() => input.current?.click()}>{file ? 'Choose another' : 'Choose a file'}</Button>{' '}
          {file && <span>{file.name} <span className="quiet">{bytes(file.size)}</span></span>}
        </div>
      </Field>
      <Field label="Name" hint="What later imports of the same source replace; its kind when it is empty"><Input value={name} onChange={(_, v) => setName(v.value)} /></Field>
    </Form>
  );
}
