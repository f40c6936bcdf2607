import { Button, Menu, MenuDivider, MenuGroup, MenuGroupHeader, MenuItem, MenuItemRadio, MenuList, MenuPopover, MenuTrigger, Tooltip } from '@fluentui/react-components';
import { NavigationRegular } from '@fluentui/react-icons/svg/navigation';
import { PersonRegular } from '@fluentui/react-icons/svg/person';
import { Outlet, useRouterState } from '@tanstack/react-router';
import { Suspense, useEffect, useRef } from 'react';
import { useMay, usePreference, useSession, useSignOut, useUser } from '../api/session';
import { Boundary, Waiting } from '../ui/states';
import { areas } from './areas';
import { Go, useGo } from './links';
import { Mark } from './Mark';
import { Bell } from './notices';
import { groups, type Place } from './place';
import { Search } from './Search';
import css from './Shell.module.css';
import { useTheme, type Choice } from './theme';
import { useZone } from './time';

/** The frame of every page: search, notifications and the person above, the navigation beside. */
export function Shell() {
  const [narrow, setNarrow] = usePreference('navigation.narrow', false);
  const path = useRouterState({ select: (s) => s.location.pathname });
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    // A new page is announced and the keyboard goes on in it; the first one keeps what the browser chose.
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
  }, [path]);
  return (
    <div className={css.frame} data-narrow={narrow || undefined}>
      <a className={css.skip} href="#content" onClick={(e) => { e.preventDefault(); main.current?.focus(); }}>Skip to the content</a>
      <header className={css.top}>
        <Button appearance="transparent" className={css.onDark} icon={<NavigationRegular />} aria-label="Navigation" aria-expanded={!narrow} onClick={() => setNarrow(!narrow)} />
        <Go to="/incidents" className={css.brand}><Mark size={22} /><span>Vedette</span></Go>
        <div className={css.search}><Search /></div>
        <Bell />
        <Person />
      </header>
      <Navigation path={path} />
      <main id="content" ref={main} tabIndex={-1} className={css.main}>
        <Boundary place={path}><Suspense fallback={<Waiting />}><Outlet /></Suspense></Boundary>
      </main>
    </div>
  );
}

function Navigation({ path }: { path: string }) {
  const may = useMay();
  const places = areas.flatMap((a) => a.places).filter((p) => may(...(p.need ?? [])));
  return (
    <nav className={css.nav} aria-label="Main">
      {groups.map((g) => {
        const here = places.filter((p) => p.group === g).sort((a, b) => (a.order ?? 50) - (b.order ?? 50));
        return here.length > 0 && (
          <div key={g} className={css.group}>
            {g && <h2 className={css.groupTitle}>{g}</h2>}
            <ul className={css.list}>
              {here.map((p) => <Entry key={p.path} place={p} on={path === p.path || path.startsWith(`${p.path}/`)} />)}
            </ul>
          </div>
        );
      })}
    </nav>
  );
}

function none() { return 0; }

function Entry({ place: { path, title, icon: Icon, useCount = none }, on }: { place: Place; on: boolean }) {
  const count = useCount();
  return (
    <li aria-current={on ? 'page' : undefined}>
      <Go to={path} className={on ? css.placeOn : css.place} title={title}>
        <Icon fontSize={20} aria-hidden /><span className={css.placeText}>{title}</span>
        {count > 0 && <span className={css.count}><span aria-hidden="true">{count}</span><span className="unseen"> ({count} open)</span></span>}
      </Go>
    </li>
  );
}

const zones = ['local', 'UTC'];

function Person() {
  const user = useUser();
  const { data: session } = useSession();
  const theme = useTheme();
  const { zone, choose, name } = useZone();
  const out = useSignOut();
  const go = useGo();
  return (
    <Menu checkedValues={{ theme: [theme.choice], zone: [zone] }} onCheckedValueChange={(_, d) => {
      if (d.name === 'theme') theme.choose(d.checkedItems[0] as Choice);
      else choose(d.checkedItems[0]);
    }}>
      <MenuTrigger disableButtonEnhancement>
        <Tooltip content={user.login} relationship="label"><Button appearance="transparent" className={css.onDark} icon={<PersonRegular />} /></Tooltip>
      </MenuTrigger>
      <MenuPopover>
        <MenuList>
          <div className={css.who}><strong>{user.name || user.login}</strong><span className="quiet">{user.mail || user.login}</span></div>
          <MenuDivider />
          <MenuGroup>
            <MenuGroupHeader>Appearance</MenuGroupHeader>
            <MenuItemRadio name="theme" value="system">As the system</MenuItemRadio>
            <MenuItemRadio name="theme" value="light">Light</MenuItemRadio>
            <MenuItemRadio name="theme" value="dark">Dark</MenuItemRadio>
          </MenuGroup>
          <MenuGroup>
            <MenuGroupHeader>Times</MenuGroupHeader>
            {zones.map((z) => <MenuItemRadio key={z} name="zone" value={z}>{z === 'local' ? `This browser (${Intl.DateTimeFormat().resolvedOptions().timeZone})` : z}</MenuItemRadio>)}
            {!zones.includes(zone) && <MenuItemRadio name="zone" value={zone}>{name}</MenuItemRadio>}
          </MenuGroup>
          <MenuDivider />
          <MenuItem onClick={() => go('/account')}>Account</MenuItem>
          <MenuItem onClick={() => window.location.assign('/status')}>State of the server</MenuItem>
          <MenuItem onClick={() => out.mutate()}>Sign out</MenuItem>
          <div className={css.version}>Version {session?.version}</div>
        </MenuList>
      </MenuPopover>
    </Menu>
  );
}
