// Another site, in the browser of somebody who is signed in: it frames nothing, sends nothing that counts, reads nothing,
// and a session that it chose is not the one that is signed in.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { run, signIn, url } from './browser.mjs';
import { ask } from './pages.mjs';

// Another site than the server's, whichever name that goes by.
const there = new URL(url).hostname === 'localhost' ? '127.0.0.1' : 'localhost';
// Each form has a frame of its own: one that still shows that its last answer was refused drops what is sent into it.
const body = `<!doctype html><meta charset="utf-8"><title>Elsewhere</title>
<iframe id="frame" name="frame" src="${url}/devices"></iframe><iframe name="one"></iframe><iframe name="two"></iframe>
<form id="form" method="post" target="one" enctype="text/plain" action="${url}/api/vedette/queries"><input name='{"name":"by a form","query":"print 1","x":"' value='"}'></form>
<form id="out" method="post" target="two" action="${url}/portal/session"><input name="login" value="x"></form>`;

await run(async ({ page, context, wrong }) => {
  const server = createServer((_, answer) => { answer.setHeader('Content-Type', 'text/html'); answer.end(body); });
  await new Promise((r) => { server.listen(0, there, r); });
  try {
    // A session from before, planted by whoever had the browser: it is not the one that is signed in.
    const planted = 'A'.repeat(43);
    await context.addCookies([{ name: '__Host-vedette-session', value: planted, url, httpOnly: true, secure: true, sameSite: 'Strict' }]);
    await signIn(page);
    const cookie = async () => (await context.cookies(url)).find((c) => c.name === '__Host-vedette-session');
    const first = await cookie();
    assert.notEqual(first.value, planted, 'a session that somebody planted was signed in');
    assert.ok(first.httpOnly && first.secure && first.sameSite === 'Strict', 'the cookie is for others too');
    assert.equal(await page.evaluate(() => document.cookie), '', 'scripts see the session');

    // Every kind of answer refuses to be framed, guessed at, or kept.
    for (const path of ['/', '/devices', `/devices/${'0'.repeat(40)}`, '/status', '/api/machines', '/portal/session', '/there-is-none']) {
      const headers = await page.evaluate(async (p) => { const r = await fetch(p); return Object.fromEntries(r.headers); }, path);
      assert.equal(headers['x-content-type-options'], 'nosniff', `${path}: ${JSON.stringify(headers)}`);
      assert.ok(headers['x-frame-options'] === 'DENY' || /frame-ancestors 'none'/.test(headers['content-security-policy'] ?? ''), `${path} can be framed: ${JSON.stringify(headers)}`);
    }

    const saved = async () => (await ask(page, '/api/vedette/queries')).value.length;
    const before = await saved();
    const other = await context.newPage();
    await other.goto(`http://${there}:${server.address().port}/`);
    await other.waitForLoadState('networkidle').catch(() => undefined);
    const framed = other.frame({ name: 'frame' });
    assert.ok(!framed.url().startsWith(url), `the portal is framed at ${framed.url()}`);
    for (const form of ['form', 'out']) {
      const sent = other.waitForResponse((r) => r.request().method() === 'POST' && r.url().startsWith(url));
      await other.evaluate((id) => document.getElementById(id).submit(), form);
      assert.ok((await sent).status() >= 400, `${form}: ${(await sent).status()}`);
    }
    const read = await other.evaluate(async (to) => {
      const tried = [];
      for (const how of [{ credentials: 'include' }, { credentials: 'include', mode: 'no-cors', method: 'POST', body: '{}' }, { credentials: 'include', method: 'POST', headers: { 'Content-Type': 'application/json', 'Vedette-Proof': 'x' }, body: '{"name":"x","query":"print 1"}' }]) {
        try { const r = await fetch(`${to}/api/vedette/queries`, how); tried.push(r.type === 'opaque' ? 'opaque' : await r.text()); } catch (e) { tried.push(e.name); }
      }
      return tried;
    }, url);
    assert.deepEqual(read, ['TypeError', 'opaque', 'TypeError'], 'another site reads or writes');
    assert.equal(await saved(), before, 'another site has written');

    // The person is still who they were, with the same session; signed out, the cookie opens nothing.
    assert.equal((await cookie()).value, first.value);
    await other.close();
    await page.getByRole('button', { name: process.env.VEDETTE_USER ?? 'admin' }).click();
    await page.getByRole('menuitem', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await context.addCookies([first]);
    assert.equal(await page.evaluate(async () => (await fetch('/api/machines')).status), 401, 'a session goes on after signing out');
    assert.deepEqual(wrong, []);
  } finally {
    server.close();
  }
}, { allow: [/status of 40[0-9]/] });
