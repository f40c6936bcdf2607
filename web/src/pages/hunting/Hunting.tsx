import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Dropdown, Field, Input, MessageBar, MessageBarBody, Option, ProgressBar, Switch, Textarea, Tooltip } from '@fluentui/react-components';
import { AddRegular } from '@fluentui/react-icons/svg/add';
import { DismissRegular } from '@fluentui/react-icons/svg/dismiss';
import { PlayRegular } from '@fluentui/react-icons/svg/play';
import { SaveRegular } from '@fluentui/react-icons/svg/save';
import { ShareRegular } from '@fluentui/react-icons/svg/share';
import { ShieldTaskRegular } from '@fluentui/react-icons/svg/shield-task';
import { StopRegular } from '@fluentui/react-icons/svg/stop';
import { useQueryClient } from '@tanstack/react-query';
import { lazy, Suspense, useCallback, useEffect, useRef, useState, type KeyboardEvent, type PointerEvent } from 'react';
import { get, patch, post, segment } from '../../api/client';
import { useMay, usePreference } from '../../api/session';
import { useNotify } from '../../app/notices';
import { at } from '../../app/links';
import { Page } from '../../ui/Page';
import { Empty, Failure, Waiting } from '../../ui/states';
import { useAddress } from '../../ui/url';
import { empty } from '../rules/api';
import { RuleForm } from '../rules/RuleForm';
import { run, useVocabulary, type Answer, type Saved } from './api';
import { landed } from './area';
import type { EditorHandle } from './editor/Editor';
import css from './hunting.module.css';
import { Panes } from './Panes';
import { Results } from './Results';
import { newTab, spans, useHistory, useTabs, type Tab } from './tabs';

const Editor = lazy(() => import('./editor/Editor'));

type Outcome = { state: 'running'; since: number; stop: () => void } | { state: 'done'; answer: Answer; n: number } | { state: 'failed'; error: unknown } | { state: 'stopped' };

let runs = 0;

const inSight = (tab: HTMLElement | null) => tab?.scrollIntoView({ block: 'nearest', inline: 'nearest' });

/** Advanced hunting: queries over everything that devices said. */
export default function Hunting() {
  const vocabulary = useVocabulary();
  const { tabs, active, open, close, edit, choose } = useTabs();
  const [history, addHistory, clearHistory] = useHistory();
  const [outcomes, setOutcomes] = useState<Record<string, Outcome>>({});
  const [address, setAddress] = useAddress();
  const [kept, keepHeight] = usePreference('hunting.editor', 220);
  const [dragged, setHeight] = useState<number>();
  const height = dragged ?? kept;
  const [narrow] = usePreference('hunting.narrow', false);
  const [saving, setSaving] = useState<string>();
  const [ruling, setRuling] = useState<string>();
  const editor = useRef<EditorHandle>(null);
  const notify = useNotify();
  const may = useMay();

  const put = useCallback((id: string, o: Outcome) => setOutcomes((all) => ({ ...all, [id]: o })), []);
  const start = useCallback((tab: Tab, text: string) => {
    if (text.trim() === '') return;
    const stop = new AbortController();
    const begun = Date.now();
    put(tab.id, { state: 'running', since: begun, stop: () => stop.abort() });
    const span = spans.find((s) => s.value === tab.span);
    const from = span && span.ms > 0 ? new Date(begun - span.ms).toISOString() : undefined;
    run(text, { from }, stop.signal).then((answer) => {
      put(tab.id, { state: 'done', answer, n: ++runs });
      addHistory({ text, at: new Date(begun).toISOString(), rows: answer.rows.length, seconds: answer.elapsedSeconds });
    }, (error: unknown) => {
      if (stop.signal.aborted) put(tab.id, { state: 'stopped' });
      else {
        put(tab.id, { state: 'failed', error });
        addHistory({ text, at: new Date(begun).toISOString(), rows: 0, seconds: (Date.now() - begun) / 1000, error: error instanceof Error ? error.message : '' });
      }
    });
  }, [put, addHistory]);

  // A query in the address gets a tab of its own, once.
  const taken = useRef('');
  useEffect(() => {
    if (!tabs) return;
    const { query, saved } = address;
    const key = query ? `q${query}` : saved ? `s${saved}` : '';
    if (key === '' || taken.current === key) { if (key === '') taken.current = ''; return; }
    taken.current = key;
    const fromOutside = window.location.href === landed;
    setAddress({ query: undefined, saved: undefined });
    if (query) {
      const tab = { ...newTab(query, 'Linked query'), span: /\bTimestamp\b/.test(query) ? 'all' : '30d' };
      open(tab);
      if (!fromOutside) start(tab, query);
    } else {
      get<Saved>(`/api/vedette/queries/${segment(saved)}`).then((q) => open({ ...newTab(q.query, q.name), saved: q.isOwn ? q.id : undefined }),
        (e: unknown) => notify({ intent: 'error', title: 'The saved query could not be opened', text: e instanceof Error ? e.message : '' }));
    }
  }, [tabs, address, setAddress, open, start, notify]);

  if (vocabulary.error) return <Page title="Advanced hunting"><Failure error={vocabulary.error} retry={() => void vocabulary.refetch()} /></Page>;
  if (!tabs || !active || !vocabulary.data) return <Page title="Advanced hunting"><Waiting /></Page>;
  const outcome = outcomes[active.id];
  const running = outcome?.state === 'running';
  const current = () => editor.current?.current()?.text ?? active.text;

  const share = () => {
    const text = current();
    if (encodeURIComponent(text).length > 6000) {
      notify({ intent: 'info', title: 'The query is too long for a link', text: 'Save it as a shared query and send the link of that.' });
      return;
    }
    const link = active.saved ? `${window.location.origin}/hunting?saved=${active.saved}` : window.location.origin + at.hunt(text);
    navigator.clipboard.writeText(link).then(() => notify({ intent: 'success', title: 'Link copied', brief: true }), () => notify({ intent: 'error', title: 'The browser did not let the link be copied' }));
  };
  const extend = (line: string) => {
    const text = active.text;
    const part = editor.current?.current();
    if (!part) return;
    // Before a render, which has to come last.
    const body = part.text.trimEnd();
    const cut = /\n\s*\|\s*render\b[\s\S]*$/.exec(body)?.index ?? body.length;
    edit(active.id, { text: `${text.slice(0, part.from) + body.slice(0, cut)}\n${line}${body.slice(cut)}${text.slice(part.from + part.text.length)}` });
  };

  return (
    <Page title="Advanced hunting" fill>
      <div className={css.all} data-narrow={narrow || undefined}>
        <Panes vocabulary={vocabulary.data} insert={(t) => editor.current?.insert(t)} openQuery={(title, text, saved) => open({ ...newTab(text, title), saved })} history={history} clearHistory={clearHistory} />
        <div className={css.main}>
          <div className={css.tabs} role="group" aria-label="Open queries">
            {tabs.map((t) => (
              <span key={t.id} ref={t.id === active.id ? inSight : undefined} className={t.id === active.id ? css.tabOn : css.tab}>
                <button type="button" aria-pressed={t.id === active.id} className={css.tabName} title={t.title} onClick={() => choose(t.id)}>{t.title}</button>
                <Button size="small" appearance="transparent" icon={<DismissRegular />} aria-label={`Close ${t.title}`} onClick={() => { if (outcomes[t.id]?.state === 'running') (outcomes[t.id] as { stop: () => void }).stop(); close(t.id); }} />
              </span>
            ))}
            <Tooltip content="Add a query" relationship="label"><Button size="small" appearance="subtle" icon={<AddRegular />} onClick={() => open(newTab())} /></Tooltip>
          </div>
          <div className={css.commands} role="toolbar" aria-label="Query">
            {running ? <Button size="small" appearance="primary" icon={<StopRegular />} onClick={outcome.stop}>Cancel</Button>
              : <Button size="small" appearance="primary" icon={<PlayRegular />} onClick={() => start(active, current())}>Run query</Button>}
            <Dropdown size="small" aria-label="Time range" style={{ minWidth: 140 }} value={spans.find((s) => s.value === active.span)?.label ?? ''} selectedOptions={[active.span]} onOptionSelect={(_, d) => edit(active.id, { span: d.optionValue! })}>
              {spans.map((s) => <Option key={s.value} value={s.value}>{s.label}</Option>)}
            </Dropdown>
            <span className={css.space} />
            <Button size="small" appearance="subtle" icon={<SaveRegular />} onClick={() => setSaving(current())}>Save</Button>
            <Button size="small" appearance="subtle" icon={<ShareRegular />} onClick={share}>Share link</Button>
            {may('CustomDetection.ReadWrite.All') && <Button size="small" appearance="subtle" icon={<ShieldTaskRegular />} onClick={() => setRuling(current())}>Create detection rule</Button>}
          </div>
          <div className={css.editor} style={{ height }}>
            <Suspense fallback={<Waiting label="Loading the editor" />}>
              <Editor key={active.id} ref={editor} value={active.text} onChange={(text) => edit(active.id, { text })} onRun={() => { if (!running) start(active, current()); }} vocabulary={vocabulary.data} />
            </Suspense>
          </div>
          <Split height={height} set={setHeight} keep={keepHeight} />
          <div className={css.results} aria-label="Results" role="region">
            {running ? <Running since={outcome.since} /> : outcome?.state === 'done' ? <Results key={outcome.n} answer={outcome.answer} extend={extend} />
              : outcome?.state === 'failed' ? <MessageBar intent="error" role="alert" layout="multiline"><MessageBarBody className={css.mark}>{outcome.error instanceof Error ? outcome.error.message : String(outcome.error)}</MessageBarBody></MessageBar>
                : outcome?.state === 'stopped' ? <Empty title="The query was cancelled" />
                  : <Empty title="Run a query">Shift + Enter runs the one that the cursor is in; an empty line stands between queries.</Empty>}
          </div>
        </div>
      </div>
      {saving !== undefined && <Save tab={active} text={saving} close={() => setSaving(undefined)} saved={(q) => edit(active.id, { title: q.name, saved: q.id })} />}
      {ruling !== undefined && <RuleForm start={{ ...empty(ruling), name: active.title === 'New query' ? '' : active.title }} close={() => setRuling(undefined)} />}
    </Page>
  );
}

/** How long a query has been running. */
function Running({ since }: { since: number }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => { const t = window.setInterval(() => setNow(Date.now()), 500); return () => window.clearInterval(t); }, []);
  const seconds = (now - since) / 1000;
  return (
    <div style={{ padding: 24 }} role="status">
      <ProgressBar aria-label="The query is running" />
      <p className="quiet">Running for {seconds.toFixed(0)} s{seconds > 15 && ' of at most 200'}</p>
    </div>
  );
}

/** The bar between editor and results: moved by pointer or arrow keys. */
function Split({ height, set, keep }: { height: number; set: (n: number) => void; keep: (n: number) => void }) {
  const from = useRef<{ y: number; height: number }>(undefined);
  const bound = (n: number) => Math.max(80, Math.min(Math.round(n), window.innerHeight - 330));
  const down = (e: PointerEvent) => { from.current = { y: e.clientY, height }; (e.target as Element).setPointerCapture(e.pointerId); };
  const move = (e: PointerEvent) => { if (from.current) set(bound(from.current.height + e.clientY - from.current.y)); };
  const key = (e: KeyboardEvent) => {
    const by = { ArrowUp: -24, ArrowDown: 24 }[e.key];
    if (by) { e.preventDefault(); set(bound(height + by)); }
  };
  return <div className={css.split} role="separator" aria-orientation="horizontal" aria-label="Height of the editor" aria-valuenow={height} aria-valuemin={80} aria-valuemax={1000} tabIndex={0} onPointerDown={down} onPointerMove={move} onPointerUp={() => { from.current = undefined; keep(height); }} onKeyDown={key} onBlur={() => keep(height)} />;
}

function Save({ tab, text, close, saved }: { tab: Tab; text: string; close: () => void; saved: (q: Saved) => void }) {
  const [name, setName] = useState(['New query', 'Linked query', 'From history'].includes(tab.title) ? '' : tab.title);
  const [folder, setFolder] = useState('');
  const [description, setDescription] = useState('');
  const [isShared, setShared] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const cache = useQueryClient();
  const notify = useNotify();
  const submit = async (over: boolean) => {
    setBusy(true);
    setError('');
    try {
      const q = over ? await patch<Saved>(`/api/vedette/queries/${tab.saved}`, { name, query: text }) : await post<Saved>('/api/vedette/queries', { name, folder, description, query: text, isShared });
      await cache.invalidateQueries({ queryKey: ['/api/vedette/queries'] });
      saved(q);
      notify({ intent: 'success', title: `“${q.name}” was saved`, brief: true });
      close();
    } catch (e) {
      setBusy(false);
      setError(e instanceof Error ? e.message : String(e));
    }
  };
  return (
    <Dialog open onOpenChange={(_, d) => { if (!d.open && !busy) close(); }}>
      <DialogSurface aria-describedby={undefined}>
        <form onSubmit={(e) => { e.preventDefault(); void submit(false); }}>
          <DialogBody>
            <DialogTitle>Save the query</DialogTitle>
            <DialogContent style={{ display: 'flex', flexDirection: 'column', gap: 12 }}>
              <Field label="Name" required><Input value={name} maxLength={256} onChange={(_, d) => setName(d.value)} /></Field>
              <Field label="Folder" hint="A / makes folders in folders"><Input value={folder} maxLength={256} onChange={(_, d) => setFolder(d.value)} /></Field>
              <Field label="Description"><Textarea value={description} rows={2} maxLength={4000} onChange={(_, d) => setDescription(d.value)} /></Field>
              <Switch label="Shared with everybody who may hunt" checked={isShared} onChange={(_, d) => setShared(d.checked)} />
              {error && <MessageBar intent="error" role="alert"><MessageBarBody>{error}</MessageBarBody></MessageBar>}
            </DialogContent>
            <DialogActions fluid>
              <Button type="button" onClick={close}>Cancel</Button>
              {tab.saved && <Button type="button" disabled={busy || name.trim() === ''} onClick={() => void submit(true)}>Replace</Button>}
              <Button type="submit" appearance="primary" disabled={busy || name.trim() === ''}>{tab.saved ? 'Save a copy' : 'Save'}</Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
