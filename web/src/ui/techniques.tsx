// ATT&CK techniques by their names: an id alone tells nobody what was done.
import { useQuery } from '@tanstack/react-query';
import { get, type List } from '../api/client';
import css from './badges.module.css';

interface Technique { id: string; name: string }

/** A function that names a technique: "T1059.004 Command and Scripting Interpreter: Unix Shell", the last part alone where it
 *  has to be short, and its id while the names are on their way. */
export function useTechniqueName(): (id: string, short?: boolean) => string {
  const { data } = useQuery({
    queryKey: ['/api/vedette/techniques'], staleTime: Infinity, gcTime: Infinity, retry: false,
    queryFn: async () => new Map((await get<List<Technique>>('/api/vedette/techniques')).value.map((t) => [t.id, t.name])),
  });
  return (id, short) => {
    const name = data?.get(id);
    // A sub-technique is named with the one that it is part of.
    const parent = id.includes('.') && !short ? data?.get(id.split('.')[0]) : undefined;
    return name ? `${id} ${parent ? `${parent}: ` : ''}${name}` : id;
  };
}

/** Techniques, one under the other. */
export function Techniques({ of }: { of: readonly string[] }) {
  const name = useTechniqueName();
  if (of.length === 0) return <span className="quiet">—</span>;
  return <ul className={css.lines}>{of.map((t) => <li key={t}>{name(t)}</li>)}</ul>;
}
