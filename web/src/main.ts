// The first thing that runs: it has the page of the address fetched beside what draws all pages. What cannot be fetched is told
// by the page when it is to be shown.
import { pageAt } from './app/pages';

void import('./start');
pageAt(window.location.pathname)?.load().catch(() => undefined);
