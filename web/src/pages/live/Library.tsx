// The library: scripts and programs that sessions run on devices and put there.
import { Button, Checkbox, Field, Input, MessageBar, MessageBarBody, Textarea } from '@fluentui/react-components';
import { ArrowUploadRegular } from '@fluentui/react-icons/svg/arrow-upload';
import { DeleteRegular } from '@fluentui/react-icons/svg/delete';
import { useQueryClient } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { call, del, segment } from '../../api/client';
import { useMay } from '../../api/session';
import type { LibraryFile } from '../../api/types';
import { useNotify } from '../../app/notices';
import { Time } from '../../app/time';
import { useConfirm } from '../../ui/confirm';
import { containing } from '../../ui/list/filters';
import { ListView } from '../../ui/list/ListView';
import type { Column } from '../../ui/list/Table';
import { SidePanel } from '../../ui/SidePanel';
import { bytes, libraryPath } from './api';
import css from './live.module.css';

const columns: Column<LibraryFile>[] = [
  { id: 'fileName', title: 'File', value: (f) => f.fileName, cell: (f) => <strong>{f.fileName}</strong>, width: 220, grow: true },
  { id: 'description', title: 'Description', value: (f) => f.description, width: 280, sort: false },
  { id: 'parameters', title: 'Parameters', value: (f) => (f.hasParameters ? f.parametersDescription || 'Yes' : 'None'), width: 200, sort: false },
  { id: 'lastUpdatedTime', title: 'Last change', value: (f) => f.lastUpdatedTime, cell: (f) => <Time at={f.lastUpdatedTime} form="short" />, width: 130 },
  { id: 'createdBy', title: 'Uploaded by', value: (f) => f.createdBy, width: 150 },
  { id: 'sha256', title: 'SHA-256', value: (f) => f.sha256, cell: (f) => <span className="mono">{f.sha256}</span>, width: 480, hidden: true },
];
const search = { hint: 'Search by file name', odata: (t: string) => containing('fileName')([t]) };
const byName = { id: 'fileName', desc: false };

/** The files of the library. */
export function Library() {
  const [adding, setAdding] = useState(false);
  const ask = useConfirm();
  const cache = useQueryClient();
  const remove = (files: LibraryFile[], done: () => void) => ask({
    title: files.length === 1 ? `Delete ${files[0].fileName}` : `Delete ${files.length} files`, action: 'Delete', reason: 'none', danger: true,
    body: 'Sessions find the file no more. What was put onto devices stays there.',
    run: async () => {
      for (const f of files) await del(`${libraryPath}/${segment(f.fileName)}`);
      await cache.invalidateQueries({ queryKey: [libraryPath] });
      done();
    },
  });
  return (
    <>
      <ListView<LibraryFile> name="library" label="Library" path={libraryPath} columns={columns} rowKey={(f) => f.fileName} search={search} start={byName}
        bulk={(files, clear) => <Button size="small" icon={<DeleteRegular />} onClick={() => remove(files, clear)}>Delete</Button>}
        aside={<Button size="small" appearance="primary" icon={<ArrowUploadRegular />} onClick={() => setAdding(true)}>Upload</Button>}
        empty={{ title: 'The library is empty', text: 'Upload scripts and tools; sessions run them with run NAME and put them onto devices with putfile NAME.' }} />
      {adding && <Upload close={() => setAdding(false)} />}
    </>
  );
}

/** Whether the person may change the library. */
export const useMayStock = (): boolean => useMay()('Library.Manage');

const most = 20 << 20;

/** Puts a file into the library; `done` hears its name. */
export function Upload({ close, done }: { close: () => void; done?: (name: string) => void }) {
  const [file, setFile] = useState<File>();
  const [description, setDescription] = useState('');
  const [parameters, setParameters] = useState('');
  const [takes, setTakes] = useState(false);
  const [over, setOver] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const input = useRef<HTMLInputElement>(null);
  const cache = useQueryClient();
  const notify = useNotify();
  const large = file !== undefined && file.size > most;
  const submit = async () => {
    if (!file) return;
    setBusy(true);
    setError('');
    const form = new FormData();
    form.set('Description', description);
    if (takes) form.set('ParametersDescription', parameters);
    form.set('HasParameters', String(takes));
    form.set('OverrideIfExists', String(over));
    form.set('file', file);
    try {
      const { fileName } = await call<LibraryFile>('POST', libraryPath, { form });
      await cache.invalidateQueries({ queryKey: [libraryPath] });
      notify({ intent: 'success', title: 'The file is in the library', text: fileName, brief: true });
      done?.(fileName);
      close();
    } catch (e) {
      setBusy(false);
      setError(e instanceof Error ? e.message : String(e));
    }
  };
  return (
    <SidePanel open title="Upload to the library" close={close}>
      <form className={css.form} onSubmit={(e) => { e.preventDefault(); void submit(); }}>
        <Field label="File" required validationState={large ? 'error' : 'none'} validationMessage={large ? `The file has ${bytes(file.size)}; the library takes 20 MB at most` : undefined}>
          <div>
            <input ref={input} type="file" aria-label="File" hidden onChange={(e) => setFile(e.target.files?.[0])} />
            <Button type="button" onClick={() => input.current?.click()}>{file ? 'Choose another' : 'Choose a file'}</Button>{' '}
            {file && <span>{file.name} <span className="quiet">{bytes(file.size)}</span></span>}
          </div>
        </Field>
        <Field label="Description"><Textarea rows={2} maxLength={4000} value={description} onChange={(_, d) => setDescription(d.value)} /></Field>
        <Checkbox label="It takes parameters" checked={takes} onChange={(_, d) => setTakes(!!d.checked)} />
        {takes && <Field label="What they are"><Input maxLength={4000} value={parameters} onChange={(_, d) => setParameters(d.value)} /></Field>}
        <Checkbox label="Replace a file of the same name" checked={over} onChange={(_, d) => setOver(!!d.checked)} />
        {error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
        <div className={css.buttons}><Button type="button" onClick={close}>Cancel</Button><Button type="submit" appearance="primary" disabled={!file || large || busy}>{busy ? 'Uploading…' : 'Upload'}</Button></div>
      </form>
    </SidePanel>
  );
}
