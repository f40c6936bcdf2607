// Every area of the portal. A new one is a line here.
import { area as actions } from '../pages/actions/area';
import { area as alerts } from '../pages/alerts/area';
import { area as dashboard } from '../pages/dashboard/area';
import { area as devices } from '../pages/devices/area';
import { area as entities } from '../pages/entities/area';
import { area as hunting } from '../pages/hunting/area';
import { area as incidents } from '../pages/incidents/area';
import { area as indicators } from '../pages/indicators/area';
import { area as live } from '../pages/live/area';
import { area as rules } from '../pages/rules/area';
import { area as settings } from '../pages/settings/area';
import { area as vulnerabilities } from '../pages/vulnerabilities/area';
import type { Area } from './place';

export const areas: Area[] = [dashboard, incidents, alerts, devices, vulnerabilities, actions, live, hunting, rules, indicators, entities, settings];
