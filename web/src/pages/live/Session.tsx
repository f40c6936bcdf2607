// One session: its console while it is open in this page, and what is kept of it: the recording, the log, the files.
import { Button, MessageBar, MessageBarBody, MessageBarTitle } from '@fluentui/react-components';
import { ArrowUploadRegular } from '@fluentui/react-icons/svg/arrow-upload';
import { PlugDisconnectedRegular } from '@fluentui/react-icons/svg/plug-disconnected';
import { QuestionCircleRegular } from '@fluentui/react-icons/svg/question-circle';
import { useQueryClient } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import { post, segment } from '../../api/client';
import type { LiveSession } from '../../api/types';
import { at, Go } from '../../app/links';
import { Time } from '../../app/time';
import { words } from '../../ui/badges';
import { useConfirm } from '../../ui/confirm';
import { Page, Tabs } from '../../ui/Page';
import { SidePanel } from '../../ui/SidePanel';
import { Empty, Failure, Waiting } from '../../ui/states';
import { useAddressed, useId } from '../../ui/url';
import { bytes, sessionsPath, useCommands, useLibrary, useLiveSession } from './api';
import type { Console } from './console';
import { Upload, useMayStock } from './Library';
import css from './live.module.css';
import { drop, useConsoles } from './open';
import { CommandLog, Consoles, Files, LiveState, useConsole } from './parts';
import { useStart } from './start';

const Replay = lazy(() => import('./Replay'));

export default function Session() {
  const id = useId();
  const found = useLiveSession(id);
  const mine = useConsoles().find((c) => c.id === id);
  if (found.isPending) return <Waiting />;
  if (!found.data) return <Failure error={found.error} retry={() => void found.refetch()} />;
  return mine ? <Mine key={id} of={mine} session={found.data} /> : <Kept key={id} session={found.data} />;
}

const labels = (n: LiveSession) => ({ title: `Live response: ${n.computerDnsName}`, crumbs: [{ title: 'Live response', to: '/live' }] });

function FactsOf({ of: n }: { of: LiveSession }) {
  return (
    <div className={css.facts}>
      <span>Device <strong><Go to={at.device(n.machineId)}>{n.computerDnsName}</Go></strong></span>
      <span>Level <strong>{words(n.level)}</strong></span>
      <span>By <strong>{n.startedBy}</strong></span>
      <span>Started <strong><Time at={n.startDateTimeUtc ?? n.creationDateTimeUtc} /></strong></span>
      {n.endDateTimeUtc && <span>Ended <strong><Time at={n.endDateTimeUtc} /></strong></span>}
      {n.comment && <span>Comment <strong>{n.comment}</strong></span>}
    </div>
  );
}

/** The tabs of what is kept of a session, beside the first. */
function Records({ tab, session: n, running }: { tab: string; session: LiveSession; running: boolean }) {
  const commands = useCommands(n.id, running);
  if (tab === 'files') return <div className={css.scroll}><Files id={n.id} of={n.files} /></div>;
  if (commands.isPending) return <Waiting />;
  if (commands.error) return <Failure error={commands.error} retry={() => void commands.refetch()} />;
  if (tab === 'log') return <div className={css.scroll}><CommandLog id={n.id} of={commands.data} files={n.files} /></div>;
  return <Suspense fallback={<Waiting />}><Replay id={n.id} commands={commands.data} /></Suspense>;
}

/** A session of this page. */
function Mine({ of, session }: { of: Console; session: LiveSession }) {
  const shown = useConsole(of);
  const [tab, setTab] = useAddressed('tab', 'console');
  const [helps, setHelps] = useState(false);
  const [loading, setLoading] = useState(false);
  const ask = useConfirm();
  const start = useStart();
  const stocks = useMayStock();
  const cache = useQueryClient();
  const advanced = shown.session.level === 'advanced';
  // What a command left is there as soon as it has ended.
  const ended = shown.runs.filter((r) => r.status !== '').length;
  useEffect(() => { void cache.invalidateQueries({ queryKey: [sessionsPath, of.id] }); }, [cache, of.id, ended, shown.runs.length, shown.state]);
  const files = session.files.length;
  return (
    <Page {...labels(session)} fill aside={<LiveState of={shown.state} />}
      actions={(
        <>
          {of.live && advanced && <Button icon={<ArrowUploadRegular />} onClick={() => setLoading(true)}>Put a file on the device</Button>}
          {of.live && <Button icon={<QuestionCircleRegular />} aria-pressed={helps} onClick={() => setHelps(!helps)}>Commands</Button>}
          {of.live ? (
            <Button icon={<PlugDisconnectedRegular />} onClick={() => ask({ title: 'Disconnect the session', action: 'Disconnect', reason: 'none', body: `The session with ${session.computerDnsName} ends, and with it everything that it started there.`, run: () => { of.close(); return Promise.resolve(); } })}>Disconnect</Button>
          ) : (
            <>
              <Button onClick={() => start({ id: session.machineId, name: session.computerDnsName }, { directory: shown.directory })}>New session</Button>
              <Button onClick={() => drop(of)}>Close the console</Button>
            </>
          )}
        </>
      )}>
      <Consoles current={of.id} />
      <FactsOf of={session} />
      {!of.live && <Over shown={shown.state} reason={shown.reason} session={session} />}
      <Tabs label="Parts of the session" value={tab} choose={setTab} of={[['console', 'Console'], ...(!of.live && session.hasTranscript ? [['replay', 'Replay'] as const] : []), ['log', `Command log (${session.commandCount})`], ['files', `Files (${files})`]]} />
      {tab === 'console' ? (
        <div className={css.work}>
          <div className={css.main}>
            <Terminal of={of} key={of.id} />
            <Hints of={of} />
          </div>
          {helps && of.live && <Help of={of} />}
        </div>
      ) : <Records tab={tab} session={session} running={of.live} />}
      {loading && <PutFile of={of} stocks={stocks} close={() => setLoading(false)} />}
    </Page>
  );
}

/** How a session of this page ended, and what is known of it since. */
function Over({ shown, reason, session: n }: { shown: string; reason: string; session: LiveSession }) {
  const known = n.state === 'Ended';
  return (
    <MessageBar intent={shown === 'lost' ? 'error' : 'info'} layout="multiline" className={css.banner}>
      <MessageBarBody>
        <MessageBarTitle>{shown === 'lost' ? 'The connection to the server was lost.' : 'The session is over.'}</MessageBarTitle>
        {shown === 'lost' ? ' A session ends with its console: what it ran is ended on the device. ' : ` ${sentence(reason)} `}
        {shown === 'lost' && known && `The server says: ${sentence(n.reason)} `}
        {known && n.outcome && `The device says: ${sentence(n.outcome)}`}
        {!known && 'The server has not told of its end yet.'}
        {known && !n.outcome && n.startDateTimeUtc && 'The device has not told of its end yet.'}
      </MessageBarBody>
    </MessageBar>
  );
}

const sentence = (s: string) => (s ? `${s.charAt(0).toUpperCase()}${s.slice(1)}${/[.!?]$/.test(s) ? '' : '.'}` : '');

// Tab in the terminal is its own: the library of components would move the focus before the terminal hears of it.
const ownKeys = '{"uncontrolled":{"completely":true}}';

function Terminal({ of }: { of: Console }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const hide = of.screen.show(place.current!);
    of.screen.focus();
    return hide;
  }, [of]);
  return <div ref={place} className={css.terminal} data-tabster={ownKeys} />;
}

function Hints({ of }: { of: Console }) {
  const { front, state } = useConsole(of);
  if (state !== 'ready') return null;
  const shell = of.front?.shell;
  return (
    <div className={css.hint}>
      {front === 0 && <><span><kbd>Tab</kbd> completes a command</span><span><kbd>↑</kbd> earlier lines</span></>}
      {front !== 0 && !shell && <><span><kbd>Ctrl</kbd> <kbd>C</kbd> cancels</span><span><kbd>Ctrl</kbd> <kbd>Z</kbd> lets it run in the background</span></>}
      {shell && <span>A shell on the device has the keyboard; <kbd>exit</kbd> leaves it</span>}
      <span><kbd>Shift</kbd> <kbd>Tab</kbd> leaves the console</span>
    </div>
  );
}

/** The commands of the session; one that is chosen goes into the command line. */
function Help({ of }: { of: Console }) {
  useConsole(of);
  return (
    <aside className={css.rail} aria-label="Commands" tabIndex={0}>
      <h2>Commands</h2>
      <ul className={css.commands}>
        {of.commands.map((c) => (
          <li key={c.name}>
            <button type="button" className={css.command} disabled={!of.idle} onClick={() => of.put(c.usage === '' ? c.name : `${c.name} `, 'type')}>{c.name} {c.usage}</button>
            <div className={css.help}>{c.help}</div>
          </li>
        ))}
      </ul>
    </aside>
  );
}

/** Takes a file of the library, or one of this computer through it, to the device. */
function PutFile({ of, stocks, close }: { of: Console; stocks: boolean; close: () => void }) {
  const library = useLibrary(stocks);
  const [own, setOwn] = useState(false);
  useConsole(of);
  const put = (name: string) => {
    of.put(`putfile "${name.replace(/[\\"]/g, (c) => `\\${c}`)}"`, 'type');
    close();
  };
  if (!stocks || own) {
    return stocks ? <Upload close={() => setOwn(false)} done={put} /> : <Choose close={close} title="Put a file on the device"><Empty title="You may not see the library">putfile NAME puts a file of it into the working directory; the permission Library.Manage shows which there are.</Empty></Choose>;
  }
  return (
    <Choose close={close} title="Put a file on the device">
      <p>Files come to devices from the library, so that it is known what was put there. The command is written into the console; Enter carries it out.</p>
      <p><Button icon={<ArrowUploadRegular />} onClick={() => setOwn(true)}>Upload from this computer</Button></p>
      {library.isPending ? <Waiting /> : library.error ? <Failure error={library.error} /> : library.data.length === 0 ? <Empty title="The library is empty" /> : (
        <ul className={css.commands} aria-label="Files of the library">
          {library.data.map((f) => (
            <li key={f.fileName}>
              <button type="button" className={css.command} disabled={!of.idle} onClick={() => put(f.fileName)}>{f.fileName}</button>{' '}
              <button type="button" className={css.command} disabled={!of.idle} aria-label={`Run ${f.fileName}`} onClick={() => { of.put(`run "${f.fileName.replace(/[\\"]/g, (c) => `\\${c}`)}"${f.hasParameters ? ' -parameters ""' : ''}`, 'type'); close(); }}>run</button>
              <div className={css.help}>{f.description}{f.hasParameters && f.parametersDescription ? ` Parameters: ${f.parametersDescription}` : ''}</div>
            </li>
          ))}
        </ul>
      )}
    </Choose>
  );
}

function Choose({ title, close, children }: { title: string; close: () => void; children: React.ReactNode }) {
  return <SidePanel open title={title} close={close}>{children}</SidePanel>;
}

/** A session that is not open in this page. */
function Kept({ session: n }: { session: LiveSession }) {
  const ask = useConfirm();
  const start = useStart();
  const cache = useQueryClient();
  const over = n.state === 'Ended';
  const [tab, setTab] = useAddressed('tab', over && n.hasTranscript ? 'replay' : 'log');
  const total = n.files.reduce((sum, f) => sum + f.size, 0);
  return (
    <Page {...labels(n)} fill aside={<LiveState of={n.state} />}
      actions={over ? <Button onClick={() => start({ id: n.machineId, name: n.computerDnsName })}>New session</Button> : (
        <Button icon={<PlugDisconnectedRegular />} onClick={() => ask({
          title: 'End the session', action: 'End session', reason: 'none', danger: true, body: `The session of ${n.startedBy} with ${n.computerDnsName} ends, and with it everything that it started there.`,
          run: async () => { await post(`${sessionsPath}/${segment(n.id)}/end`); await cache.invalidateQueries({ queryKey: [sessionsPath] }); },
        })}>End session</Button>
      )}>
      <Consoles current={n.id} />
      <FactsOf of={n} />
      {over ? (n.reason || n.outcome) && <p className="quiet" style={{ margin: '0 0 10px' }}>{sentence(n.reason)} {n.outcome && `The device said: ${sentence(n.outcome)}`}</p> : (
        <MessageBar intent="info" className={css.banner} layout="multiline"><MessageBarBody>The console is open elsewhere: in another window, or with {n.startedBy}. Its commands are shown here as they are recorded; the recording can be played when the session has ended.</MessageBarBody></MessageBar>
      )}
      <Tabs label="Parts of the session" value={tab} choose={setTab} of={[...(over && n.hasTranscript ? [['replay', 'Replay'] as const] : []), ['log', `Command log (${n.commandCount})`], ['files', `Files (${n.files.length}${total > 0 ? `, ${bytes(total)}` : ''})`]]} />
      <Records tab={tab} session={n} running={!over} />
    </Page>
  );
}
