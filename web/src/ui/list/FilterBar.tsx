import { Button, Checkbox, Input, Menu, MenuDivider, MenuItem, MenuList, MenuPopover, MenuTrigger, Popover, PopoverSurface, PopoverTrigger, Radio, RadioGroup, SearchBox } from '@fluentui/react-components';
import { BookmarkRegular } from '@fluentui/react-icons/svg/bookmark';
import { ChevronDownRegular } from '@fluentui/react-icons/svg/chevron-down';
import { DismissRegular } from '@fluentui/react-icons/svg/dismiss';
import { useEffect, useState } from 'react';
import { usePreference } from '../../api/session';
import { useAddress } from '../url';
import { chosen, written, type Filter } from './filters';
import css from './FilterBar.module.css';

type SavedSet = { name: string; values: Record<string, string> };

/** Search, filters and saved sets of them, all kept in the address. `name` names the list among preferences. */
export function FilterBar({ name, filters, search }: { name: string; filters: Filter[]; search?: string }) {
  const [address, set] = useAddress();
  if (filters.length === 0 && !search) return null;
  const changed = filters.some((f) => address[f.id] !== undefined) || address.q;
  return (
    <div className={css.bar} role="search" aria-label="Filters">
      {search && <Search text={address.q ?? ''} placeholder={search} set={(q) => set({ q })} />}
      {filters.map((f) => <One key={f.id} filter={f} values={chosen(f, address)} set={(v) => set({ [f.id]: written(f, v) })} />)}
      {changed && <Button appearance="transparent" size="small" onClick={() => set(Object.fromEntries([...filters.map((f) => [f.id, undefined]), ['q', undefined]]))}>Reset</Button>}
      <Saved name={name} address={address} ids={[...filters.map((f) => f.id), 'q']} set={set} />
    </div>
  );
}

function Search({ text, placeholder, set }: { text: string; placeholder: string; set: (q: string) => void }) {
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  useEffect(() => {
    if (typed === text) return undefined;
    const later = setTimeout(() => set(typed.trim()), 300);
    return () => clearTimeout(later);
    // `set` is new at each render and means the same.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [typed]);
  return <SearchBox className={css.search} size="small" placeholder={placeholder} aria-label={placeholder} value={typed} onChange={(_, d) => setTyped(d.value)} />;
}

function One({ filter: f, values, set }: { filter: Filter; values: string[]; set: (v: string[]) => void }) {
  const [text, setText] = useState('');
  const label = (v: string) => f.options?.find((o) => o.value === v)?.label ?? v;
  const said = values.length === 0 ? 'Any' : values.length <= 2 ? values.map(label).join(', ') : `${values.length} chosen`;
  return (
    <span className={values.length > 0 ? css.on : css.off}>
      <Popover trapFocus withArrow onOpenChange={() => setText('')}>
        <PopoverTrigger disableButtonEnhancement>
          <button type="button" className={css.pill}><span className={css.name}>{f.title}:</span> <span className={css.said}>{said}</span> <ChevronDownRegular /></button>
        </PopoverTrigger>
        <PopoverSurface aria-label={f.title}>
          <div className={css.choices}>
            {f.options && f.single && (
              <RadioGroup value={values[0] ?? ''} onChange={(_, d) => set(d.value ? [d.value] : [])} aria-label={f.title}>
                <Radio value="" label="Any" />
                {f.options.map((o) => <Radio key={o.value} value={o.value} label={o.label} />)}
              </RadioGroup>
            )}
            {f.options && !f.single && f.options.map((o) => (
              <Checkbox key={o.value} label={o.label} checked={values.includes(o.value)}
                onChange={(_, d) => set(f.options!.map((p) => p.value).filter((v) => (v === o.value ? d.checked : values.includes(v))))} />
            ))}
            {!f.options && (
              <form onSubmit={(e) => { e.preventDefault(); if (text.trim()) set(f.single ? [text.trim()] : [...new Set([...values, text.trim()])]); setText(''); }}>
                <Input size="small" autoFocus value={text} onChange={(_, d) => setText(d.value)} placeholder={f.title} aria-label={f.title} />
                <Button size="small" type="submit" disabled={!text.trim()}>Add</Button>
                {values.map((v) => <Checkbox key={v} label={v} checked onChange={() => set(values.filter((x) => x !== v))} />)}
              </form>
            )}
          </div>
        </PopoverSurface>
      </Popover>
      {values.length > 0 && <button type="button" className={css.x} aria-label={`Remove the filter ${f.title}`} onClick={() => set([])}><DismissRegular /></button>}
    </span>
  );
}

function Saved({ name, address, ids, set }: { name: string; address: Record<string, string>; ids: string[]; set: (c: Record<string, string | undefined>) => void }) {
  const [sets, keep] = usePreference<SavedSet[]>(`filters.${name}`, []);
  const [naming, setNaming] = useState(false);
  const [title, setTitle] = useState('');
  const save = () => {
    const values = Object.fromEntries(ids.flatMap((id) => (address[id] === undefined ? [] : [[id, address[id]]])));
    keep([...sets.filter((s) => s.name !== title.trim()), { name: title.trim(), values }].slice(-50));
    setNaming(false);
    setTitle('');
  };
  if (naming) {
    return (
      <form className={css.naming} onSubmit={(e) => { e.preventDefault(); if (title.trim()) save(); }}>
        <Input size="small" autoFocus placeholder="Name of this set" aria-label="Name of this set of filters" maxLength={64} value={title} onChange={(_, d) => setTitle(d.value)} />
        <Button size="small" type="submit" appearance="primary" disabled={!title.trim()}>Save</Button>
        <Button size="small" onClick={() => setNaming(false)}>Cancel</Button>
      </form>
    );
  }
  return (
    <Menu>
      <MenuTrigger disableButtonEnhancement><Button size="small" appearance="subtle" icon={<BookmarkRegular />}>Saved filters</Button></MenuTrigger>
      <MenuPopover>
        <MenuList>
          {sets.map((s) => <MenuItem key={s.name} onClick={() => set(Object.fromEntries(ids.map((id) => [id, s.values[id]])))}>{s.name}</MenuItem>)}
          {sets.length > 0 && <MenuDivider />}
          <MenuItem onClick={() => setNaming(true)}>Save these filters…</MenuItem>
          {sets.map((s) => <MenuItem key={`-${s.name}`} onClick={() => keep(sets.filter((x) => x !== s))}>Forget “{s.name}”</MenuItem>)}
        </MenuList>
      </MenuPopover>
    </Menu>
  );
}
