// What a hostile device brought is saved and never shown; what it says to a terminal is not answered. SESSION is a live
// response session that is over, with files whose names and contents attack whoever opens them; DEVICE the device's name, ASKS a
// file on it that asks a terminal everything that a terminal can be asked.
import assert from 'node:assert/strict';
import { accessible, run, signIn, still, url } from './browser.mjs';

const { SESSION, DEVICE, ASKS } = process.env;
// eslint-disable-next-line no-control-regex
const bad = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069"<>:|*?%/\\]/;

await run(async (view) => {
  const { page } = view;
  const slow = { timeout: 60_000 };
  await signIn(page);
  const title = () => page.title();
  const untouched = async (what) => {
    assert.equal(await page.evaluate(() => window.__pwned), undefined, `${what} ran as a script`);
    assert.doesNotMatch(await title(), /pwned/, `${what} renamed the window`);
  };

  // Each file by its link, and by its address alone.
  await page.goto(`${url}/live/${SESSION}?tab=files`);
  const list = page.getByRole('grid', { name: 'Files of the session' });
  await list.getByRole('row').nth(1).waitFor(slow);
  await accessible(page, 'the files of a session');
  await view.shot('files');
  const links = await list.getByRole('link').filter({ hasNotText: /^[0-9a-f]{64}$/ }).all();
  assert.ok(links.length >= 9, `there are ${links.length} files`);
  const addresses = [];
  for (const l of links) {
    addresses.push(await l.getAttribute('href'));
    const download = page.waitForEvent('download');
    await l.click();
    const name = (await download).suggestedFilename();
    assert.ok(name.length > 0 && !bad.test(name), `a file is saved as ${JSON.stringify(name)}`);
  }
  await untouched('the list of files');
  for (const a of [...addresses, `/api/vedette/livesessions/${SESSION}/transcript`]) {
    const download = page.waitForEvent('download');
    await page.goto(url + a).catch((e) => assert.match(e.message, /Download is starting|ERR_ABORTED/, `${a}: ${e.message}`));
    assert.ok(!bad.test((await download).suggestedFilename()));
    // A page of the portal's own can read it, and gets nothing that a browser would take for a page.
    const head = await page.evaluate(async (at) => { const r = await fetch(at); return { status: r.status, ...Object.fromEntries(r.headers) }; }, a);
    assert.equal(head.status, 200);
    assert.match(head['content-disposition'], /^attachment/);
    assert.match(head['content-security-policy'], /sandbox/);
    assert.equal(head['x-content-type-options'], 'nosniff');
  }
  await untouched('a file');

  // The log and the recording show what was said, and do nothing of it.
  await page.goto(`${url}/live/${SESSION}?tab=log`);
  await page.getByRole('grid', { name: 'Commands of the session' }).getByRole('row').nth(1).waitFor(slow);
  await untouched('the log');
  await view.shot('log');
  await page.goto(`${url}/live/${SESSION}`);
  const play = page.getByRole('button', { name: 'Play', exact: true });
  await play.waitFor(slow);
  await page.getByRole('slider', { name: 'Position' }).focus();
  await page.keyboard.press('End');
  await page.locator('.xterm-rows').waitFor(slow);
  await still(page);
  await untouched('the recording');
  assert.equal(await page.locator('.xterm a').count(), 0, 'the recording has a link of the device');
  await view.shot('replay');

  // A console: every question that a terminal answers is asked, in a shell that would run the answers.
  await page.goto(`${url}/devices?q=${encodeURIComponent(DEVICE)}`);
  await page.getByRole('grid', { name: 'Devices' }).getByRole('link', { name: DEVICE }).click();
  await page.getByRole('button', { name: 'Initiate live response session' }).click();
  await page.getByRole('dialog').getByLabel('Comment').fill('Questions');
  await page.getByRole('dialog').getByRole('button', { name: 'Start session' }).click();
  const screen = page.locator('.xterm-rows');
  const says = (text) => screen.filter({ hasText: text }).waitFor(slow);
  await page.getByText('Connected', { exact: true }).waitFor(slow);
  await says('help lists the commands');
  const line = async (text) => { await page.keyboard.type(text); await page.keyboard.press('Enter'); };
  await page.getByRole('textbox', { name: `Console of ${DEVICE}` }).focus();
  await line('shell');
  await says('A shell on the device');
  await line(`cat '${ASKS}'; echo all' 'asked`);
  await says('all asked');
  await line(`echo no' 'answer`);
  await says('no answer');
  await untouched('a shell');
  await view.shot('asked');
  await line('exit');
  await page.getByText('completes a command').waitFor(slow);
  await line('exit');
  await page.getByText('The session is over.').waitFor(slow);
});
