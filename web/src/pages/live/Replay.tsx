// A recorded session again, as it was shown: play, pause, speed, any place in it, and its commands to jump to.
import { Button, Dropdown, Link, MessageBar, MessageBarBody, Option, Slider, Switch } from '@fluentui/react-components';
import { ArrowDownloadRegular } from '@fluentui/react-icons/svg/arrow-download';
import { PauseRegular } from '@fluentui/react-icons/svg/pause';
import { PlayRegular } from '@fluentui/react-icons/svg/play';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import { beginning } from '../../api/client';
import type { LiveCommand } from '../../api/types';
import { Failure, Waiting } from '../../ui/states';
import { sessionsPath, transcriptAddress } from './api';
import { clock, commandsIn, parseCast, withoutPauses, type Cast } from './cast';
import { meant } from '../../api/text';
import css from './live.module.css';
import { Player } from './player';
import { Screen } from './terminal';

/** Of a transcript, in bytes: the rest has to be downloaded. */
const most = 48 << 20;

export default function Replay({ id, commands }: { id: string; commands: LiveCommand[] }) {
  const found = useQuery({
    queryKey: [sessionsPath, id, 'transcript'], staleTime: Infinity, gcTime: 60_000, retry: false,
    queryFn: async ({ signal }) => {
      const { text, whole } = await beginning(transcriptAddress(id), most, signal);
      return { cast: parseCast(whole ? text : text.slice(0, text.lastIndexOf('\n'))), whole };
    },
  });
  if (found.isPending) return <Waiting label="Loading the transcript" />;
  if (found.error) return <Failure error={found.error} retry={() => void found.refetch()} />;
  return <Recorded id={id} cast={found.data.cast} whole={found.data.whole} commands={commands} />;
}

const speeds = [0.5, 1, 2, 4, 8, 16];
const longest = 1.5; // seconds of a pause when pauses are shortened

function Recorded({ id, cast, whole, commands }: { id: string; cast: Cast; whole: boolean; commands: LiveCommand[] }) {
  const stage = useRef<HTMLDivElement>(null);
  const [player, setPlayer] = useState<Player>();
  const [shorten, setShorten] = useState(true);
  const [speed, setSpeed] = useState(1);
  const [at, setAt] = useState(0);
  const [playing, setPlaying] = useState(false);
  const times = useMemo(() => (shorten ? withoutPauses(cast.times, longest) : cast.times), [cast, shorten]);
  const length = times.at(-1) ?? 0;
  const lines = useMemo(() => commands.map((c) => meant(c.commandLine)), [commands]); // the transcript is as it was
  const begun = useMemo(() => commandsIn(cast, lines), [cast, lines]);

  useEffect(() => {
    const screen = new Screen({ label: 'Recorded session', input: false, scrollback: 50_000 });
    const hide = screen.show(stage.current!);
    const p = new Player(cast, screen, { lines, begun }, (now, plays) => { setAt(now); setPlaying(plays); });
    setPlayer(p);
    return () => {
      p.dispose();
      hide();
      screen.dispose();
    };
  }, [cast, lines, begun]);
  useEffect(() => { player?.pace(times, speed); }, [player, times, speed]);

  const keys = (e: KeyboardEvent) => {
    if (!player || e.altKey || e.ctrlKey || e.metaKey || !(e.target instanceof HTMLElement)) return;
    if (e.target.closest('button, input, [role=combobox], [role=slider], [role=option], a') && e.key !== 'Escape') return;
    if (e.key === ' ' || e.key === 'k') player.toggle();
    else if (e.key === 'ArrowRight') player.seek(at + 5);
    else if (e.key === 'ArrowLeft') player.seek(at - 5);
    else if (e.key === 'Home') player.seek(0);
    else if (e.key === 'End') player.seek(length);
    else return;
    e.preventDefault();
  };
  return (
    <div className={css.work} onKeyDown={keys}>
      <div className={css.player}>
        {!whole && <MessageBar intent="warning" layout="multiline"><MessageBarBody>The transcript is too long to be played to its end here: this is its beginning. <Link href={transcriptAddress(id)} download>Download all of it.</Link></MessageBarBody></MessageBar>}
        {cast.broken > 0 && <MessageBar intent="warning"><MessageBarBody>{cast.broken === 1 ? 'One line' : `${cast.broken} lines`} of the transcript cannot be read and {cast.broken === 1 ? 'is' : 'are'} left out.</MessageBarBody></MessageBar>}
        <div className={css.stage} role="region" aria-label="Recorded session" tabIndex={0}><div ref={stage} /></div>
        <div className={css.controls} role="group" aria-label="Playback">
          <Button appearance="primary" icon={playing ? <PauseRegular /> : <PlayRegular />} disabled={!player} onClick={() => player?.toggle()}>{playing ? 'Pause' : at >= length && length > 0 ? 'Play again' : 'Play'}</Button>
          <div className={css.seek}><Slider aria-label="Position" aria-valuetext={`${clock(at)} of ${clock(length)}`} min={0} max={Math.max(Math.ceil(length * 10), 1)} value={Math.min(Math.round(at * 10), Math.ceil(length * 10))} onChange={(_, d) => player?.seek(d.value / 10)} /></div>
          <span className={css.clock}>{clock(at)} / {clock(length)}</span>
          <Dropdown aria-label="Speed" style={{ minWidth: 84 }} value={`${speed}×`} selectedOptions={[String(speed)]} onOptionSelect={(_, d) => setSpeed(Number(d.optionValue))}>{speeds.map((s) => <Option key={s} value={String(s)} text={`${s}×`}>{`${s}×`}</Option>)}</Dropdown>
          <Switch label="Shorten pauses" checked={shorten} onChange={(_, d) => setShorten(!!d.checked)} />
          <Link href={transcriptAddress(id)} download title="The transcript, in the asciicast format"><ArrowDownloadRegular aria-hidden /> Transcript</Link>
        </div>
      </div>
      <aside className={css.rail} aria-label="Commands of the recording">
        <h2>Commands</h2>
        {commands.length === 0 && <p className="quiet">None was typed.</p>}
        <ol className={css.marks}>
          {commands.map((c, n) => {
            const i = begun[n];
            return (
              <li key={c.run}>
                <time>{i === undefined ? '—' : clock(times[i])}</time>
                <button type="button" className={css.command} disabled={i === undefined} title={i === undefined ? 'Not in what was loaded' : c.commandLine} onClick={() => player?.seekEvent(i!)}>{c.commandLine}</button>
              </li>
            );
          })}
        </ol>
      </aside>
    </div>
  );
}
