// From what runs on a device to what raises an alert: an indicator made on the page of a file, with its statistics, and a
// detection rule made of a hunt. PROGRAM is a program that ran on the device, SHA256 its hash.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { basename } from 'node:path';
import { accessible, run, signIn, url } from './browser.mjs';

const { PROGRAM, SHA256 } = process.env;

await run(async (view) => {
  const { page } = view;
  const slow = { timeout: 60_000 };
  await signIn(page);

  // The alert of a title, which may take as long as the kernel takes to tell.
  async function alertOf(title) {
    const fired = page.getByRole('grid', { name: 'Alerts' }).getByText(title).first();
    for (let i = 0; ; i += 1) {
      execFileSync(PROGRAM);
      await page.goto(`${url}/alerts?status=*&range=*&q=${encodeURIComponent(title)}`);
      await page.getByRole('heading', { level: 1, name: 'Alerts' }).waitFor(slow);
      if (await fired.waitFor({ timeout: 4000 }).then(() => true, () => false)) return fired;
      assert.ok(i < 20, `nothing raised “${title}”`);
    }
  }

  // The file, found by its hash.
  await page.locator('body').press('/');
  await page.keyboard.insertText(SHA256);
  await page.getByRole('option').filter({ hasText: SHA256 }).first().waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'In the organisation' }).waitFor(slow);
  await page.getByRole('heading', { level: 1, name: basename(PROGRAM) }).waitFor(slow);
  const title = `Seen file ${Date.now()}`;
  await page.getByRole('button', { name: 'Add indicator' }).click();
  await page.getByLabel('Title').fill(title);
  await accessible(page, 'the form of an indicator');
  await page.getByRole('button', { name: 'Add indicator' }).last().click();
  await page.getByText('The indicator is in force').first().waitFor(slow);
  await page.getByRole('link', { name: title }).first().waitFor(slow);
  const file = page.url();
  await alertOf(title);
  // Its statistics, on the file's page and on its own.
  await page.goto(file);
  const card = page.locator('section').filter({ has: page.getByRole('heading', { name: 'Indicators' }) });
  await card.filter({ hasText: /[1-9]\d*\s*matches/i }).waitFor(slow); // what is counted is written a moment after the alert
  await accessible(page, 'the page of a file');
  await view.shot('file');
  await page.getByRole('link', { name: title }).click();
  await page.getByText(SHA256).first().waitFor(slow);
  await view.shot('indicator');

  // A hunt for it becomes a rule, which fires as the next event arrives.
  await page.goto(`${url}/hunting`);
  await page.locator('.monaco-editor textarea, .monaco-editor .native-edit-context').first().waitFor({ state: 'attached', ...slow });
  await page.locator('.monaco-editor').first().click();
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText(`DeviceProcessEvents | where FileName == "${basename(PROGRAM)}" | project Timestamp, DeviceId, ReportId, DeviceName, FileName`);
  await page.keyboard.press('Shift+Enter');
  await page.getByRole('grid', { name: 'Results' }).getByText(basename(PROGRAM)).first().waitFor(slow);
  const rule = `Hunted ${Date.now()}`;
  await page.getByRole('button', { name: 'Create detection rule' }).click();
  await page.getByLabel('Detection name').fill(rule);
  await page.getByLabel('Frequency').click();
  await page.getByRole('option', { name: /^Continuous/ }).click();
  await accessible(page, 'the form of a detection rule');
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await page.getByText('The rule was made').first().waitFor(slow);
  await (await alertOf(rule)).click();
  await page.getByRole('heading', { name: rule }).first().waitFor(slow);
  await view.shot('fired');

  // Alerts go to an incident of their own, and come back when it is merged.
  await page.goto(`${url}/alerts?status=*&range=*&q=${encodeURIComponent(rule)}`);
  await page.getByRole('checkbox', { name: 'Select row 1', exact: true }).check();
  await page.getByRole('button', { name: 'Link to an incident' }).click();
  await page.getByRole('radio', { name: 'To a new incident' }).check();
  await accessible(page, 'the form that moves alerts');
  await page.getByRole('button', { name: 'Move', exact: true }).click();
  await page.getByText(/is in incident \d+/).first().waitFor(slow);
  await page.goto(`${url}/incidents`);
  await page.getByRole('checkbox', { name: 'Select row 1', exact: true }).check();
  await page.getByRole('checkbox', { name: 'Select row 2', exact: true }).check();
  await page.getByRole('button', { name: 'Merge' }).click();
  await accessible(page, 'the form that merges incidents');
  await page.getByRole('button', { name: 'Merge', exact: true }).last().click();
  await page.getByText('The incidents were merged').first().waitFor(slow);
  await page.getByRole('tab', { name: /^Alerts \((?!1\))/ }).click();
  await page.getByRole('grid', { name: 'Alerts of the incident' }).getByText(rule).first().waitFor(slow);
  await view.shot('merged');
});
