// An analyst at work: from the alert that an indicator raised to its device, which is isolated, seen to be, and
// released. ALERT is the title of the alert, DEVICE the device's name, HOSTILE the name of the program that raised it.
import assert from 'node:assert/strict';
import { accessible, run, signIn, url } from './browser.mjs';

const { ALERT, DEVICE, HOSTILE } = process.env;

await run(async (view) => {
  const { page } = view;

  // The way in: small, quick, and of few words to whoever guesses.
  await page.goto(`${url}/alerts`);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await accessible(page, 'the sign-in page');
  await page.getByLabel('User name').fill('admin');
  await page.getByLabel('Password').fill('not the password');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText(/user name or password is wrong/i).waitFor();
  view.resetWire();
  await signIn(page);

  // The queue, and from there the alert.
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Alerts' }).click();
  await page.getByRole('grid', { name: 'Alerts' }).waitFor();
  await accessible(page, 'the queue of alerts');
  await view.shot('alerts');
  await page.getByRole('link', { name: ALERT }).first().click();
  await page.getByRole('heading', { level: 1, name: ALERT }).waitFor();
  const node = page.getByRole('tree', { name: 'Processes' }).getByRole('treeitem').filter({ hasText: HOSTILE });
  await node.first().waitFor();
  assert.equal(await page.evaluate(() => window.__pwned), undefined, 'a name on a device ran as a script');
  await accessible(page, 'the alert page');
  await view.shot('alert');

  // By keyboard alone: the device by search, the action bar, the dialog.
  await page.keyboard.press('Escape');
  await page.locator('body').press('/');
  await page.keyboard.type(DEVICE);
  await page.getByRole('option').filter({ hasText: DEVICE }).first().waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: DEVICE }).waitFor();
  await page.getByText('Sensor health').waitFor();
  await accessible(page, 'the device page');
  const isolate = page.getByRole('button', { name: 'Isolate device' });
  await isolate.focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Comment').fill('Seen with a known bad address');
  await accessible(page, 'the dialog');
  await view.shot('isolate');
  await dialog.getByRole('button', { name: 'Isolate device' }).press('Enter');
  await dialog.waitFor({ state: 'detached' });
  await page.getByText('Isolated', { exact: true }).waitFor({ timeout: 60_000 });
  await view.shot('isolated');

  // What the action center says of it is what was proven.
  await page.goto(`${url}/actions?tab=history`);
  await page.getByRole('grid', { name: 'Actions' }).getByText('Verified').first().waitFor();
  await page.getByRole('grid', { name: 'Actions' }).getByText('Seen with a known bad address').first().waitFor();
  await page.getByRole('row').nth(1).click({ position: { x: 300, y: 10 } });
  await page.getByRole('list', { name: 'How far the action got' }).waitFor();
  await accessible(page, 'the action center');
  await view.shot('action');
  await page.keyboard.press('Escape');

  await page.goBack();
  await page.goto(`${url}/devices`);
  await page.getByRole('link', { name: DEVICE }).click();
  await page.getByRole('button', { name: 'Release from isolation' }).click();
  await page.getByRole('dialog').getByLabel('Comment').fill('It was cleaned');
  await page.getByRole('dialog').getByRole('button', { name: 'Release from isolation' }).click();
  await page.getByRole('button', { name: 'Isolate device' }).waitFor({ timeout: 60_000 });
  await page.getByText('Isolated', { exact: true }).waitFor({ state: 'detached', timeout: 60_000 });

  // What happened, as the device told it.
  await page.getByRole('tab', { name: 'Timeline' }).click();
  await page.getByRole('grid', { name: 'Events of the device' }).getByRole('row').nth(5).waitFor();
  await accessible(page, 'the timeline');
  await view.shot('timeline');

  // The incident that the alert is in.
  await page.goto(`${url}/incidents`);
  await page.getByRole('grid', { name: 'Incidents' }).getByRole('link').first().click();
  await page.locator('.react-flow__node').first().waitFor();
  await accessible(page, 'the incident page');
  await view.shot('incident');
  assert.equal(await page.evaluate(() => window.__pwned), undefined, 'a name on a device ran as a script');

  // Out: what is left in the browser opens nothing.
  await page.getByRole('button', { name: 'admin' }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  const status = await page.evaluate(async () => (await fetch('/api/alerts')).status);
  assert.equal(status, 401);
}, { allow: [/status of 401/] });
