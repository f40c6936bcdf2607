import { ChevronDownRegular } from '@fluentui/react-icons/svg/chevron-down';
import { ChevronRightRegular } from '@fluentui/react-icons/svg/chevron-right';
import { AlertUrgentFilled } from '@fluentui/react-icons/svg/alert-urgent';
import { useMemo, useState, type KeyboardEvent, type ReactNode } from 'react';
import type { ProcessNode } from '../../api/types';
import { Time } from '../../app/time';
import css from './ProcessTree.module.css';

interface Line { index: number; depth: number; children: number[]; open: boolean }

/** The processes around an alert, parents above what they started. Arrow keys move, open and close; Enter chooses. */
export function ProcessTree({ nodes, chosen, choose, actions }: { nodes: ProcessNode[]; chosen?: number; choose: (index: number) => void; actions?: (n: ProcessNode) => ReactNode }) {
  const [closed, setClosed] = useState<Set<number>>(new Set());
  const [active, setActive] = useState(() => Math.max(0, nodes.findIndex((n) => n.inAlert)));
  const children = useMemo(() => {
    const of: number[][] = nodes.map(() => []);
    nodes.forEach((n, i) => { if (n.parent >= 0 && n.parent < nodes.length && n.parent !== i) of[n.parent].push(i); });
    return of;
  }, [nodes]);
  const lines = useMemo(() => {
    const out: Line[] = [];
    const seen = new Set<number>(); // a list from a server is no promise that there is no circle
    const walk = (i: number, depth: number) => {
      if (seen.has(i)) return;
      seen.add(i);
      const open = !closed.has(i);
      out.push({ index: i, depth, children: children[i], open });
      if (open) for (const c of children[i]) walk(c, depth + 1);
    };
    nodes.forEach((n, i) => { if (n.parent < 0 || n.parent >= nodes.length || n.parent === i) walk(i, 0); });
    return out;
  }, [nodes, children, closed]);
  const toggle = (i: number, open: boolean) => setClosed((old) => { const next = new Set(old); if (open) next.delete(i); else next.add(i); return next; });
  const at = lines.findIndex((l) => l.index === active);
  const keys = (e: KeyboardEvent<HTMLUListElement>) => {
    const line = lines[at];
    if (!line || !(e.target as HTMLElement).matches('[role=treeitem]')) return;
    const go = (to: number) => {
      const n = lines[Math.max(0, Math.min(lines.length - 1, to))].index;
      setActive(n);
      e.currentTarget.querySelector<HTMLElement>(`[data-node="${n}"]`)?.focus();
    };
    if (e.key === 'ArrowDown') go(at + 1);
    else if (e.key === 'ArrowUp') go(at - 1);
    else if (e.key === 'Home') go(0);
    else if (e.key === 'End') go(lines.length - 1);
    else if (e.key === 'ArrowRight' && line.children.length > 0) { if (line.open) go(at + 1); else toggle(line.index, true); }
    else if (e.key === 'ArrowLeft') { if (line.open && line.children.length > 0) toggle(line.index, false); else go(lines.findIndex((l) => l.index === nodes[line.index].parent)); }
    else if (e.key === 'Enter' || e.key === ' ') choose(line.index);
    else return;
    e.preventDefault();
  };
  return (
    <ul className={css.tree} role="tree" aria-label="Processes" onKeyDown={keys}>
      {lines.map(({ index, depth, children: kids, open }) => {
        const n = nodes[index];
        return (
          <li key={index} role="treeitem" data-node={index} aria-level={depth + 1} aria-expanded={kids.length > 0 ? open : undefined} aria-selected={chosen === index}
            tabIndex={index === (at < 0 ? lines[0]?.index : active) ? 0 : -1} className={`${css.item} ${chosen === index ? css.on : ''}`} style={{ paddingLeft: 8 + depth * 20 }}
            onClick={() => { setActive(index); choose(index); }} onFocus={(e) => { if (e.target === e.currentTarget) setActive(index); }}>
            {/* The keyboard opens with arrows; this is for the mouse. */}
            <span className={css.twist} aria-hidden="true" onClick={(e) => { if (kids.length > 0) { e.stopPropagation(); toggle(index, !open); } }}>
              {kids.length > 0 && (open ? <ChevronDownRegular /> : <ChevronRightRegular />)}
            </span>
            <span className={css.what}>
              <span className={css.head}>
                {n.inAlert && <AlertUrgentFilled className={css.bolt} aria-label="Part of the alert" />}
                <strong className="clip">{n.fileName || 'unknown'}</strong>
                <span className="quiet">{n.processId}</span>
                <span className={css.when}><Time at={n.processCreationTime} form="clock" /></span>
              </span>
              <span className={`${css.command} mono`} title={n.processCommandLine}>{n.processCommandLine || n.filePath}</span>
            </span>
            {actions?.(n)}
          </li>
        );
      })}
    </ul>
  );
}
