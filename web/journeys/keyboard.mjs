// Whole journeys by keyboard alone: nothing is clicked, nothing is focused but by Tab, arrows and what the page does of
// keys; what has the focus can be seen. ALERT is the title of an alert, DEVICE the name of its device.
import assert from 'node:assert/strict';
import { run, url } from './browser.mjs';

const { ALERT, DEVICE } = process.env;
const slow = { timeout: 60_000 };

await run(async ({ page, shot }) => {
  const key = (k) => page.keyboard.press(k);
  const unseen = new Set();

  /** What has the focus: its role and name as assistive technology has them, and whether it can be seen. */
  const focused = () => page.evaluate(() => {
    const e = document.activeElement;
    if (!e || e === document.body) return { name: '', tag: 'body', row: false, seen: false };
    const label = e.getAttribute('aria-label') ?? (e.getAttribute('aria-labelledby') ?? '').split(' ').map((id) => document.getElementById(id)?.textContent ?? '').join(' ').trim();
    const name = label || (e.labels?.[0]?.textContent ?? '') || e.textContent || '';
    const r = e.getBoundingClientRect();
    const inView = r.width > 0 && r.height > 0 && r.bottom > 0 && r.right > 0 && r.top < innerHeight && r.left < innerWidth;
    // A ring is the browser's outline or one that a style draws, on the element, within or around it.
    const rings = [e, e.parentElement, ...e.children].filter(Boolean).some((x) => [null, '::after', '::before'].some((p) => {
      const s = getComputedStyle(x, p);
      return (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== 'none' || (p && s.content !== 'none' && parseFloat(s.borderTopWidth) > 1) || (p === '::after' && s.borderBottomWidth !== '0px');
    }));
    return { name: name.trim(), tag: e.tagName.toLowerCase(), role: e.getAttribute('role') ?? '', row: e.matches('[role=row]'), seen: inView, ring: rings, editor: Boolean(e.closest('.monaco-editor')) };
  });

  /** Presses Tab until something fits, and expects to see where the focus goes on the way. */
  async function tabTo(what, fits, { most = 140, back = false } = {}) {
    const way = [];
    for (let i = 0; i < most; i++) {
      const f = await focused();
      if (fits(f)) return f;
      way.push(f.name.slice(0, 30) || f.tag);
      if (i > 0 && f.tag !== 'body' && f.tag !== 'main' && !f.editor) if (!(f.seen && f.ring)) unseen.add(`${f.tag} ${f.role} “${f.name.slice(0, 60)}”`);
      await key(back ? 'Shift+Tab' : 'Tab');
    }
    throw new Error(`Tab does not lead to ${what}, but to: ${way.slice(0, 60).join(' · ')}`);
  }
  const named = (name) => (f) => (name instanceof RegExp ? name.test(f.name) : f.name === name);
  async function follow(name, options) {
    await tabTo(String(name), named(name), options);
    await key('Enter');
  }
  /** Expects the focus to come to something within the frames that it takes: `not` says what is wrong otherwise. */
  async function expectFocus(not, fits) {
    const end = Date.now() + 5000;
    for (;;) {
      const f = await focused();
      if (fits(f)) return;
      assert.ok(Date.now() < end, `${not}; it is at ${f.tag} ${f.role ?? ''} “${f.name.slice(0, 60)}”`);
      await page.evaluate(() => new Promise((r) => { requestAnimationFrame(r); }));
    }
  }
  const backAtRow = () => expectFocus('the focus is not where it was before the panel', (f) => f.row);
  const heading = (name) => page.getByRole('heading', { level: 1, name }).waitFor(slow);

  // In.
  await page.goto(`${url}/`);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await tabTo('the user name', named(/^User name/));
  await page.keyboard.type(process.env.VEDETTE_USER ?? 'admin');
  await tabTo('the password', named(/^Password/));
  await page.keyboard.type(process.env.VEDETTE_PASSWORD ?? '');
  await key('Enter');
  await page.getByRole('navigation', { name: 'Main' }).waitFor();

  // The queue, a row, its panel, and back to the row.
  await follow('Alerts');
  await heading('Alerts');
  await page.getByRole('grid', { name: 'Alerts' }).getByRole('row').nth(1).waitFor(slow);
  await expectFocus('a new page does not take the focus', (f) => f.tag === 'main');
  await tabTo('a row', (f) => f.row);
  await key('Home');
  await page.waitForFunction(() => document.activeElement?.getAttribute('data-index') === '0');
  await key('Enter');
  await page.getByRole('link', { name: 'Open the alert page' }).waitFor();
  await tabTo('the panel', named('Close'), { most: 3 });
  await shot('panel');
  await key('Escape');
  await page.getByRole('link', { name: 'Open the alert page' }).waitFor({ state: 'detached' });
  await backAtRow();

  // The alert, by its link within the row.
  const row = page.getByRole('grid', { name: 'Alerts' }).getByRole('row').filter({ hasText: ALERT }).first();
  const index = Number(await row.getAttribute('data-index'));
  for (let i = 0; i < index; i++) await key('ArrowDown');
  await page.waitForFunction((n) => document.activeElement?.getAttribute('data-index') === String(n), index);
  await follow(ALERT, { most: 4 });
  await heading(ALERT);

  // The process tree by arrows; the device.
  await tabTo('the process tree', (f) => f.role === 'treeitem');
  await key('ArrowDown');
  await key('ArrowUp');
  await expectFocus('the arrow leads out of the tree', (f) => f.role === 'treeitem');
  await follow(DEVICE, { back: true });
  await heading(DEVICE);

  // Isolated and released; the dialog takes the focus and gives it back.
  async function act(name, comment) {
    await tabTo(name, named(name));
    await key('Enter');
    await page.getByRole('dialog').waitFor();
    await expectFocus('the dialog does not take the focus', named(/^Comment/));
    await page.keyboard.type(comment);
    await tabTo(`${name} in the dialog`, (f) => f.tag === 'button' && f.name === name, { most: 4 });
    await key('Enter');
    await page.getByRole('dialog').waitFor({ state: 'detached', ...slow });
  }
  await act('Isolate device', 'By keyboard');
  await page.getByText('Isolated', { exact: true }).first().waitFor(slow);
  await shot('isolated');
  await page.getByRole('button', { name: 'Release from isolation' }).waitFor(slow);
  await act('Release from isolation', 'By keyboard, too');
  await page.getByRole('button', { name: 'Isolate device' }).waitFor(slow);

  // Tabs by arrows; an event of the timeline.
  await tabTo('the tabs', (f) => f.role === 'tab');
  // A tab holds its text twice, once of them for its width.
  for (let i = 0; i < 12 && !(await focused()).name.startsWith('Timeline'); i++) await key('ArrowRight');
  assert.match((await focused()).name, /^Timeline/);
  await key('Enter');
  await page.getByRole('grid', { name: 'Events of the device' }).getByRole('row').nth(3).waitFor(slow);
  await tabTo('an event', (f) => f.row);
  await key('ArrowDown');
  await key('Enter');
  await tabTo('the panel', named('Close'), { most: 3 });
  await key('Escape');
  await backAtRow();

  // The command of everything: search.
  await key('/');
  await page.keyboard.type(DEVICE);
  await page.getByRole('option').filter({ hasText: DEVICE }).first().waitFor();
  await key('Escape');

  // A hunt: the editor says how Tab leaves it.
  await page.goto(`${url}/hunting`);
  await heading('Advanced hunting');
  await page.locator('.monaco-editor textarea, .monaco-editor .native-edit-context').first().waitFor({ state: 'attached', ...slow });
  await follow('Add a query');
  const editor = await tabTo('the editor', (f) => f.editor);
  assert.match(editor.name, /Control M/, 'the editor does not say how to leave it');
  await page.keyboard.type('DeviceProcessEvents | take 20', { delay: 5 });
  await key('Escape');
  await key('Shift+Enter');
  await page.getByRole('grid', { name: 'Results' }).getByRole('row').nth(2).waitFor(slow);
  await key('Control+m');
  await tabTo('a result', (f) => f.row);
  await key('ArrowDown');
  await key('Enter');
  await page.getByText('Inspect record').first().waitFor();
  await tabTo('the record', named('Close'), { most: 3 });
  await shot('record');
  await key('Escape');
  await backAtRow();

  // Out.
  await follow(process.env.VEDETTE_USER ?? 'admin', { back: true });
  await page.getByRole('menu').waitFor();
  await key('End');
  await tabTo('sign out', named('Sign out'), { most: 1 });
  await key('Enter');
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.equal([...unseen].join('\n'), '', 'the focus cannot be seen everywhere');
});
