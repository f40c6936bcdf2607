import { Tab, TabList } from '@fluentui/react-components';
import type { ReactNode } from 'react';
import { useEffect } from 'react';
import { Go } from '../app/links';
import css from './Page.module.css';

export interface Crumb { title: string; to: string }

/** The frame of a page: where it is, its title, what can be done, and its content. `fill` gives the content the
 *  rest of the window, for lists that scroll by themselves. */
export function Page({ title, crumbs = [], aside, actions, fill, children }: {
  title: string; crumbs?: Crumb[]; aside?: ReactNode; actions?: ReactNode; fill?: boolean; children: ReactNode;
}) {
  useEffect(() => { document.title = `${title} · Vedette`; }, [title]);
  return (
    <div className={fill ? css.fill : css.page}>
      {crumbs.length > 0 && (
        <nav aria-label="Breadcrumb" className={css.crumbs}>
          {crumbs.map((c, i) => <span key={c.to}>{i > 0 && <span aria-hidden="true" className={css.slash}>/</span>}<Go to={c.to}>{c.title}</Go></span>)}
        </nav>
      )}
      <div className={css.head}>
        <div className={css.titles}><h1 className={css.title}>{title}</h1>{aside}</div>
        {actions && <div className={css.actions}>{actions}</div>}
      </div>
      {children}
    </div>
  );
}

/** The parts of a page, of which one is shown: the same line of tabs everywhere. */
export function Tabs<T extends string>({ label, value, choose, of }: { label: string; value: T; choose: (id: T) => void; of: readonly (readonly [id: T, title: string])[] }) {
  return <TabList selectedValue={value} onTabSelect={(_, d) => choose(d.value as T)} aria-label={label} className={css.tabs}>{of.map(([id, title]) => <Tab key={id} value={id}>{title}</Tab>)}</TabList>;
}

/** A part of a page with a heading. */
export function Card({ title, actions, children, className }: { title?: ReactNode; actions?: ReactNode; children: ReactNode; className?: string }) {
  return (
    <section className={`${css.card} ${className ?? ''}`}>
      {title && <div className={css.cardHead}><h2 className={css.cardTitle}>{title}</h2>{actions}</div>}
      {children}
    </section>
  );
}

/** Names and values, one under the other. Values that are empty show a dash. */
export function Facts({ of, wide }: { of: [string, ReactNode][]; wide?: boolean }) {
  return (
    <dl className={wide ? css.factsWide : css.facts}>
      {of.map(([name, value]) => (
        <div key={name} className={css.fact}><dt>{name}</dt><dd>{value === '' || value === null || value === undefined || value === false ? <span className="quiet">—</span> : value}</dd></div>
      ))}
    </dl>
  );
}

/** Cards beside each other, as many as fit. */
export function Cards({ children }: { children: ReactNode }) {
  return <div className={css.cards}>{children}</div>;
}
