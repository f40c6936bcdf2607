// What the sections of the settings share: a list of one noun, and a form beside it.
import { Button, Combobox, MessageBar, MessageBarBody, Option } from '@fluentui/react-components';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';
import { get, type List } from '../../api/client';
import { useNotify } from '../../app/notices';
import { Table, type Column } from '../../ui/list/Table';
import { SidePanel } from '../../ui/SidePanel';
import { Empty, Failure, Waiting } from '../../ui/states';
import css from './settings.module.css';

/** Everything of a short list. */
export const useAll = <T,>(path: string) => useQuery({ queryKey: [path], queryFn: async () => (await get<List<T>>(path)).value });

/** A section: its heading, what it is for, and its list. */
export function Section<T>({ title, text, path, columns, rowKey, add, onOpen, empty, children }: {
  title: string; text: ReactNode; path: string; columns: Column<T>[]; rowKey: (r: T) => string; add?: { title: string; run: () => void }; onOpen?: (r: T) => void; empty: string; children?: ReactNode;
}) {
  const { data, error, isPending, refetch } = useAll<T>(path);
  return (
    <>
      <div className={css.head}><h2>{title}</h2>{add && <Button appearance="primary" size="small" onClick={add.run}>{add.title}</Button>}</div>
      <p className={css.text}>{text}</p>
      <div className={css.table}>
        {isPending ? <Waiting /> : error ? <Failure error={error} retry={() => void refetch()} /> : data.length === 0 ? <Empty title={empty} /> : <Table<T> label={title} columns={columns} rows={data} rowKey={rowKey} onOpen={onOpen} />}
      </div>
      {children}
    </>
  );
}

/** A form beside a list. `run` does it; the panel stays open with the error, or with what it returns to be shown once. */
export function Form({ title, path, close, ready, run, action, also, saved = 'Saved', children }: {
  title: string; path: string; close: () => void; ready: boolean; run: () => Promise<ReactNode | void>; action: string; also?: ReactNode; saved?: string; children: ReactNode;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const [told, setTold] = useState<ReactNode>();
  const cache = useQueryClient();
  const notify = useNotify();
  const submit = async () => {
    setBusy(true);
    setError('');
    try {
      const more = await run();
      await cache.invalidateQueries({ queryKey: [path] });
      if (more) setTold(more);
      else { notify({ intent: 'success', title: saved, brief: true }); close(); }
    } catch (e) {
      setError(e instanceof Error ? e.message : String(e));
    }
    setBusy(false);
  };
  return (
    <SidePanel open title={title} close={close}>
      {told ? <div className={css.form}>{told}<div className={css.buttons}><Button appearance="primary" onClick={close}>Done</Button></div></div> : (
        <form className={css.form} onSubmit={(e) => { e.preventDefault(); void submit(); }}>
          {children}
          {error && <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
          <div className={css.buttons}>{also}<Button type="submit" appearance="primary" disabled={!ready || busy}>{action}</Button></div>
        </form>
      )}
    </SidePanel>
  );
}

/** Several of a few things by id. */
export function Several({ label, all, chosen, set, none = 'None' }: { label: string; none?: string; all: { id: string; name: string }[] | undefined; chosen: string[]; set: (ids: string[]) => void }) {
  return (
    <Combobox aria-label={label} multiselect placeholder={chosen.length === 0 ? none : chosen.map((c) => all?.find((a) => a.id === c)?.name ?? c).join(', ')} selectedOptions={chosen} onOptionSelect={(_, d) => set(d.selectedOptions)} disabled={!all}>
      {(all ?? []).map((a) => <Option key={a.id} value={a.id}>{a.name}</Option>)}
    </Combobox>
  );
}

/** A secret that is shown this once. */
export const Once = ({ title, text }: { title: string; text: string }) => (
  <><MessageBar intent="warning" layout="multiline"><MessageBarBody>{title} It is shown this once and kept nowhere.</MessageBarBody></MessageBar><pre className={css.secret}>{text}</pre></>
);
