// The way into a session: asked for once more, with the reason, then the console.
import { useQueryClient } from '@tanstack/react-query';
import { useCallback } from 'react';
import { at, useGo } from '../../app/links';
import { useConfirm } from '../../ui/confirm';
import { outlook, sessionsPath } from './api';
import { adopt } from './open';

export interface Device { id: string; name: string }

/** A function that asks for a session with a device and goes to its console. `again` is where one before it stood. */
export function useStart(): (d: Device, again?: { directory: string }) => void {
  const ask = useConfirm();
  const go = useGo();
  const cache = useQueryClient();
  return useCallback(async (d, again) => {
    // How much the person may do; who is not told of it is asked all the same, and the server decides.
    const { level } = await cache.fetchQuery({ queryKey: [sessionsPath, 'outlook', d.id], queryFn: () => outlook(d.id), staleTime: 30_000 }).catch(() => ({ level: 'basic' }));
    const open = async (comment: string, level: string, directory: string) => {
      const { openConsole } = await import('./console');
      const c = await openConsole(d.id, comment, level, directory);
      adopt(c);
      void cache.invalidateQueries({ queryKey: [sessionsPath] });
      go(at.live(c.id));
    };
    ask({
      title: `Live response: ${d.name}`, action: again ? 'Open another session' : 'Start session',
      body: again
        ? `The new session begins in ${again.directory}. What the last one ran has ended with it.`
        : 'A console on the device opens here. Every command, everything that is shown and every file are recorded with your name. What you start ends with the session.',
      choices: level === 'basic' ? undefined : [
        { value: '', title: 'Advanced', hint: 'Looks around and fetches files, runs scripts, remediates, opens a shell' },
        { value: 'basic', title: 'Basic', hint: 'Looks around and fetches files, and changes nothing' },
      ],
      run: ({ reason, choice }) => open(reason, choice, again?.directory ?? ''),
    });
  }, [ask, go, cache]);
}
