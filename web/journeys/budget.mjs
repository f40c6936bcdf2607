// What the first page costs: bytes over the wire, and the time until it can be used.
import assert from 'node:assert/strict';
import { launch, open, signIn, url } from './browser.mjs';

const browser = await launch();
const view = await open(browser);
await signIn(view.page);
const session = await view.context.storageState();
await view.context.close();

// A new browser with the session alone: nothing is in its cache.
const fresh = await open(browser);
await fresh.context.addCookies(session.cookies);
fresh.resetWire();
await fresh.page.goto(`${url}/incidents`);
await fresh.page.getByRole('grid', { name: 'Incidents' }).or(fresh.page.getByText('There are no open incidents')).first().waitFor();
const ready = await fresh.page.evaluate(() => Math.round(performance.now()));
await fresh.page.waitForLoadState('networkidle').catch(() => undefined);
console.log(JSON.stringify({ wireKB: Math.round(fresh.wire() / 1000), readyMs: ready }));
assert.ok(fresh.wire() <= 300_000, `the first route is ${fresh.wire()} bytes over the wire, more than 300 KB`);
fresh.verdict();
await browser.close();
