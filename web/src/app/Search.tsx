import { SearchRegular } from '@fluentui/react-icons/svg/search';
import { useQuery } from '@tanstack/react-query';
import { useDeferredValue, useEffect, useId, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import { useMay, usePreference } from '../api/session';
import { hasPage, useGo } from './links';
import { atServer, byForm, type Found } from './lookup';
import css from './Search.module.css';

const kept = 30 * 86_400_000;

/** The search of everything that has a page. "/" goes there from anywhere; arrows choose, Enter opens. */
export function Search() {
  const [text, setText] = useState('');
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const [history, setHistory] = usePreference<(Found & { at: number })[]>('search.history', []);
  const input = useRef<HTMLInputElement>(null);
  const list = useId();
  const go = useGo();
  const may = useMay();
  const asked = useDeferredValue(text.trim());
  const found = useQuery({
    queryKey: ['search', asked], enabled: open && asked.length >= 2, staleTime: 30_000,
    // A moment, so that not every letter is a question.
    queryFn: async ({ signal }) => {
      await new Promise((r) => { setTimeout(r, 180); });
      return signal.aborted ? [] : atServer(asked, may, signal);
    },
  });
  const shown = useMemo(() => {
    if (asked === '') return history.filter((h) => Date.now() - h.at < kept).slice(0, 8);
    const all = [...byForm(asked), ...(found.data ?? [])].filter((f) => hasPage(f.to));
    return all.filter((f, i) => all.findIndex((g) => g.to === f.to) === i);
  }, [asked, found.data, history]);

  useEffect(() => {
    const slash = (e: globalThis.KeyboardEvent) => {
      const at = e.target as HTMLElement;
      if (e.key !== '/' || e.ctrlKey || e.metaKey || e.altKey || at.isContentEditable || at.closest('input, textarea, select, [role=textbox], .xterm, .monaco-editor')) return;
      e.preventDefault();
      input.current?.focus();
    };
    window.addEventListener('keydown', slash);
    return () => window.removeEventListener('keydown', slash);
  }, []);

  const follow = (f: Found) => {
    setHistory([{ ...f, at: Date.now() }, ...history.filter((h) => h.to !== f.to)].slice(0, 20));
    setOpen(false);
    setText('');
    setActive(-1);
    input.current?.blur();
    go(f.to);
  };
  const keys = (e: KeyboardEvent) => {
    if (e.key === 'ArrowDown') setActive((n) => Math.min(shown.length - 1, n + 1));
    else if (e.key === 'ArrowUp') setActive((n) => Math.max(-1, n - 1));
    else if (e.key === 'Enter' && (shown[active] ?? shown[0])) follow(shown[active] ?? shown[0]);
    else if (e.key === 'Escape') { setOpen(false); input.current?.blur(); }
    else return;
    e.preventDefault();
  };
  const option = (i: number) => `${list}-${i}`;
  const panel = open && (asked !== '' || shown.length > 0);
  return (
    <div className={css.search} onBlur={(e) => { if (!e.currentTarget.contains(e.relatedTarget)) setOpen(false); }}>
      <SearchRegular className={css.icon} aria-hidden />
      <input ref={input} className={css.input} type="search" role="combobox" aria-label="Search devices, users, files, addresses, alerts, incidents and vulnerabilities" aria-expanded={Boolean(panel)} aria-controls={list}
        aria-activedescendant={active >= 0 ? option(active) : undefined} aria-autocomplete="list" placeholder="Search devices, users, files, IPs, URLs, alerts, CVEs  ( / )" maxLength={512} autoComplete="off" spellCheck={false}
        value={text} onChange={(e) => { setText(e.target.value); setOpen(true); setActive(-1); }} onFocus={() => setOpen(true)} onKeyDown={keys} />
      {panel && (
        <div className={css.panel}>
          {asked === '' && <div className={css.note}>Recent</div>}
          <ul id={list} role="listbox" aria-label="Suggestions" className={css.list}>
            {shown.map((f, i) => (
              <li key={f.to} id={option(i)} role="option" aria-selected={i === active} className={i === active ? css.on : css.item}
                onMouseDown={(e) => e.preventDefault()} onClick={() => follow(f)}>
                <span className={css.kind}>{f.kind}</span>
                <span className={css.title}><span className="clip">{f.title}</span>{f.detail && <span className={css.detail}>{f.detail}</span>}</span>
              </li>
            ))}
          </ul>
          <div role="status">
            {found.isFetching && <div className={css.note}>Searching…</div>}
            {found.error && <div className={css.note}>{found.error.message}</div>}
            {asked.length >= 2 && !found.isFetching && !found.error && shown.length === 0 && <div className={css.note}>Nothing was found for “{asked}”.</div>}
          </div>
        </div>
      )}
    </div>
  );
}
