// Every page of the portal, by its address. Nothing here draws anything: it is what is run first.
import { pages as account } from '../pages/account/pages';
import { pages as actions } from '../pages/actions/pages';
import { pages as alerts } from '../pages/alerts/pages';
import { pages as dashboard } from '../pages/dashboard/pages';
import { pages as devices } from '../pages/devices/pages';
import { pages as entities } from '../pages/entities/pages';
import { pages as hunting } from '../pages/hunting/pages';
import { pages as incidents } from '../pages/incidents/pages';
import { pages as indicators } from '../pages/indicators/pages';
import { pages as live } from '../pages/live/pages';
import { pages as rules } from '../pages/rules/pages';
import { pages as settings } from '../pages/settings/pages';
import { pages as vulnerabilities } from '../pages/vulnerabilities/pages';
import type { Page } from './place';

export const pages: Page[] = [...account, ...actions, ...alerts, ...dashboard, ...devices, ...entities, ...hunting, ...incidents, ...indicators, ...live, ...rules, ...settings, ...vulnerabilities];

const patterns = pages.map((p) => [new RegExp(`^${p.path.replace(/\$\w+/g, '[^/]+')}/?$`), p] as const);

/** Where the portal opens. */
export const startPath = '/dashboard';

/** The page at an address of the portal; undefined where none is. */
export const pageAt = (path: string): Page | undefined => patterns.find(([r]) => r.test(path === '/' ? startPath : path))?.[1];
