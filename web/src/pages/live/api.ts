// What the server tells of live response, and the calls of these pages.
import { useQuery } from '@tanstack/react-query';
import { get, segment, type List } from '../../api/client';
import type { LibraryFile, LiveCommand, LiveOutlook, LiveSession } from '../../api/types';

export const sessionsPath = '/api/vedette/livesessions';
export const libraryPath = '/api/libraryfiles';
const one = (id: string) => `${sessionsPath}/${segment(id)}`;

/** The address that a file of a session is downloaded from. */
export const fileAddress = (id: string, index: number): string => `${one(id)}/files/${index}`;
export const transcriptAddress = (id: string): string => `${one(id)}/transcript`;

/** One session; looked at again while it has not ended, or the device has not told of the end. */
export function useLiveSession(id: string) {
  return useQuery({
    queryKey: [sessionsPath, id], queryFn: () => get<LiveSession>(one(id)),
    refetchInterval: ({ state: { data } }) => (data?.state === 'Ended' ? (data.outcome || !data.startDateTimeUtc || Date.now() - Date.parse(data.endDateTimeUtc ?? '') > 60_000 ? false : 2000) : 5000),
  });
}

/** The commands of a session, as the server recorded them. */
export function useCommands(id: string, running: boolean) {
  return useQuery({ queryKey: [sessionsPath, id, 'commands'], queryFn: async () => (await get<List<LiveCommand>>(`${one(id)}/commands`)).value, refetchInterval: running ? 3000 : false });
}

export const outlook = (machine: string): Promise<LiveOutlook> => get(`/api/vedette/machines/${segment(machine)}/livesessions`, undefined, { background: true });

/** What would come of asking for a session with a device now. */
export function useOutlook(machine: string, enabled = true) {
  return useQuery({
    queryKey: [sessionsPath, 'outlook', machine], enabled, refetchInterval: 15_000,
    queryFn: () => outlook(machine),
  });
}

export function useLibrary(enabled = true) {
  return useQuery({ queryKey: [libraryPath], enabled, queryFn: async () => (await get<List<LibraryFile>>(libraryPath, { $top: 1000, $orderby: 'fileName asc' })).value });
}

/** A number of bytes, for people. */
export function bytes(n: number): string {
  const units = ['bytes', 'KB', 'MB', 'GB'];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) { n /= 1000; i += 1; }
  return `${i === 0 ? n : n.toFixed(1)} ${units[i]}`;
}
