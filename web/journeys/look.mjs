// Pictures of every page and its states, for people: light and dark, 1440 and 1024 wide. Names of pages choose
// (node journeys/look.mjs alert device), --quick takes the first of the four ways alone. Fails on what a page should
// never do, and where something is wider than the window.
import { dress, launch, open, signIn, url } from './browser.mjs';
import { settled, walk } from './pages.mjs';

const only = process.argv.slice(2).filter((a) => !a.startsWith('--'));
const ways = [[1440, 'light'], [1440, 'dark'], [1024, 'light'], [1024, 'dark']].slice(0, process.argv.includes('--quick') ? 1 : 4);
const browser = await launch();
const view = await open(browser, { allow: [/status of 40[0-9]/] });
const { page } = view;
const wide = [];
async function look(name) {
  for (const [width, scheme] of ways) {
    // A page that is longer than the window is looked at as a whole, within reason.
    await page.setViewportSize({ width, height: 900 });
    const long = await page.evaluate(() => { const m = document.querySelector('main'); return m && !document.querySelector('[role=dialog]') ? m.scrollHeight - m.clientHeight : 0; });
    if (long > 0) await page.setViewportSize({ width, height: Math.min(2400, 900 + long) });
    await dress(page, scheme);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (over > 0) wide.push(`${name} at ${width}: ${over} pixels too wide`);
    await view.shot(`${name}-${width}-${scheme}`);
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await dress(page, 'light');
}
if (only.length === 0) {
  await page.goto(url);
  await settled(page);
  await look('sign-in');
}
await signIn(page);
try {
  await walk(page, look, only);
  view.verdict();
  if (wide.length > 0) throw new Error(wide.join('\n'));
} catch (e) {
  await view.shot('failed').catch(() => undefined);
  console.error(e);
  process.exitCode = 1;
}
await browser.close();
