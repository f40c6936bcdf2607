// Every page and its states, looked at by axe in light and dark. Names of pages choose: node journeys/axe.mjs alert device
import { accessible, dress, launch, open, signIn, url } from './browser.mjs';
import { settled, walk } from './pages.mjs';

const only = process.argv.slice(2);
const browser = await launch();
const view = await open(browser, { allow: [/status of 40[0-9]/] });
const { page } = view;
const found = [];
let looked = 0;
async function look(name) {
  for (const scheme of ['light', 'dark']) {
    await dress(page, scheme);
    looked++;
    // The dark page differs from the light one by its colours alone.
    await accessible(page, `${name} (${scheme})`, scheme === 'dark' ? ['color-contrast'] : undefined).catch((e) => { found.push(name); console.error(e.message); });
  }
  await dress(page, 'light');
}
try {
  await page.goto(url);
  await settled(page);
  await look('sign-in');
  await signIn(page);
  await walk(page, look, only);
  view.verdict();
} catch (e) {
  await view.shot('failed').catch(() => undefined);
  found.push('the walk');
  console.error(e);
}
if (found.length > 0) process.exitCode = 1;
console.log(`${looked} looks, ${found.length} with findings`);
await browser.close();
