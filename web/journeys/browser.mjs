// What every journey shares: a browser that fails on whatever a page should never do.
//
// The environment says where the server is and who signs in: VEDETTE_URL, VEDETTE_USER, VEDETTE_PASSWORD; CHROMIUM
// where the browser is, SHOTS where pictures go.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const url = (process.env.VEDETTE_URL ?? 'https://localhost:8443').replace(/\/$/, '');
const shots = process.env.SHOTS ?? 'journeys/out';

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: flags });
}

/** A page that remembers what went wrong: errors on the console or in scripts, breaches of the policy, requests to
 *  outside. `allow` are patterns of console errors that a journey provokes, `also` other addresses that it goes to. `verdict` throws when there is any. */
export async function open(browser, { width = 1440, height = 900, scheme = 'light', allow = [], also = [], zone = 'UTC' } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, ignoreHTTPSErrors: true, timezoneId: zone, locale: 'en-GB' });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const wrong = [];
  page.on('console', (m) => { if (m.type() === 'error' && !allow.some((a) => a.test(m.text()))) wrong.push(`console: ${m.text()} (${m.location().url})`); });
  page.on('pageerror', (e) => wrong.push(`script: ${e.stack ?? e.message}`));
  page.on('request', (r) => { if (![url, ...also].some((u) => r.url().startsWith(u)) && !/^(data|blob):/.test(r.url()) && !r.url().startsWith(url.replace('http', 'ws'))) wrong.push(`outside: ${r.url()}`); });
  await page.exposeFunction('__breach', (text) => wrong.push(`policy: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (e) => window.__breach(`${e.effectiveDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
  });
  let wire = 0;
  const cdp = await context.newCDPSession(page);
  await cdp.send('Network.enable');
  cdp.on('Network.loadingFinished', (e) => { wire += e.encodedDataLength; });
  return {
    page, context, cdp, wrong,
    wire: () => wire,
    resetWire: () => { wire = 0; },
    shot: async (name) => {
      mkdirSync(shots, { recursive: true });
      await page.screenshot({ path: join(shots, `${name}.png`) });
    },
    verdict: () => {
      if (wrong.length > 0) throw new Error(`the page misbehaved:\n  ${wrong.join('\n  ')}`);
    },
  };
}

/** Signs in as the environment, or the arguments, say. */
export async function signIn(page, user = process.env.VEDETTE_USER ?? 'admin', password = process.env.VEDETTE_PASSWORD ?? '') {
  await page.goto(`${url}/`);
  await page.getByLabel('User name').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('navigation', { name: 'Main' }).waitFor();
}

/** Waits until nothing of a page moves any more: what fades, slides and changes its colour is done (what turns for ever is
 *  not waited for), and what that left to draw is drawn. */
export async function still(page) {
  await page.evaluate(async () => {
    const frame = () => new Promise((r) => { requestAnimationFrame(() => requestAnimationFrame(r)); });
    await frame();
    await Promise.all(document.getAnimations().filter((a) => a.effect?.getComputedTiming().endTime !== Infinity).map((a) => a.finished.catch(() => undefined)));
    await frame();
  });
}

/** Shows a page as in a scheme of colours. The portal's own pages say when they are; others follow the browser at once. */
export async function dress(page, scheme) {
  await page.emulateMedia({ colorScheme: scheme });
  await page.waitForFunction((s) => !document.getElementById('root') || (document.documentElement.dataset.theme ?? 'light') === s, scheme);
  await still(page);
}

/** Fails on findings of axe that are serious or critical, of all rules or some. The style library's focus guards are no
 *  content. */
export async function accessible(page, what, rules) {
  const { AxeBuilder } = await import('@axe-core/playwright');
  await still(page); // a button that is becoming enabled has a colour between the two
  const axe = new AxeBuilder({ page }).exclude('[data-tabster-dummy]');
  const { violations } = await (rules ? axe.withRules(rules) : axe.withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'])).analyze();
  const bad = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
  if (bad.length > 0) {
    throw new Error(`${what} is not accessible:\n${bad.map((v) => `  ${v.id} (${v.impact}): ${v.help}\n${v.nodes.slice(0, 4).map((n) => `    ${n.target.join(' ')}: ${n.failureSummary?.split('\n').slice(1).join(' ').trim()}`).join('\n')}`).join('\n')}`);
  }
}

/** Pictures of a page in light and dark, wide and narrow; the wide ones are looked at by axe as well. */
export async function lookAround(view, name) {
  const { page } = view;
  for (const [width, scheme] of [[1440, 'light'], [1440, 'dark'], [1024, 'light'], [1024, 'dark']]) {
    await page.setViewportSize({ width, height: 900 });
    await dress(page, scheme);
    await view.shot(`${name}-${scheme}-${width}`);
    if (width === 1440) await accessible(page, `${name} (${scheme})`, scheme === 'dark' ? ['color-contrast'] : undefined);
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await dress(page, 'light');
}

/** Runs a journey of several people, to each of whom `visitor` gives a browser of their own, and says what became of
 *  it; the process fails with it. */
export async function company(journey, options) {
  const browser = await launch();
  const views = [];
  const visitor = async (own) => {
    const v = await open(browser, { ...options, ...own });
    views.push(v);
    return v;
  };
  try {
    await journey(visitor);
    for (const v of views) v.verdict();
    console.log('the journey is done');
  } catch (e) {
    for (const [i, v] of views.entries()) await v.shot(i > 0 ? `failed-${i}` : 'failed').catch(() => undefined);
    console.error(e);
    for (const w of views.flatMap((v) => v.wrong)) console.error(w);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

/** The same of one person. */
export const run = (journey, options) => company(async (visitor) => journey(await visitor()), options);
