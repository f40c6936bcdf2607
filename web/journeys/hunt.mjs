// An analyst hunts: editor, marks, chart, record, exact numbers, rule, indicator of a file; names that attack a page do
// nothing. The server is a demonstration with hostile names.
import assert from 'node:assert/strict';
import { run as journey, signIn, url } from './browser.mjs';

await journey(async (view) => {
  const { page } = view;
  const slow = { timeout: 60_000 };
  await signIn(page);

  async function ask(query) {
    await page.getByRole('button', { name: 'Add a query' }).click();
    await page.locator('.monaco-editor textarea, .monaco-editor .native-edit-context').first().waitFor({ state: 'attached', ...slow });
    await page.locator('.monaco-editor').first().click();
    await page.keyboard.insertText(query);
  }
  async function run(query) {
    await ask(query);
    await page.keyboard.press('Shift+Enter');
    await page.getByRole('status').filter({ hasText: /rows?\b.* s$|rows? ·/ }).first().waitFor(slow);
  }

  // Marks are the server's, with what it thinks was meant.
  await page.goto(`${url}/hunting`);
  await page.getByRole('heading', { level: 1, name: 'Advanced hunting' }).waitFor();
  await ask('DeviceProcessEvents | where FileNam == "x"');
  await page.locator('.squiggly-error').first().waitFor({ state: 'attached', ...slow });
  await view.shot('marks');

  // A chart of what render asks for.
  await run('DeviceProcessEvents | summarize Runs = count() by bin(Timestamp, 12h) | render timechart');
  await page.locator('canvas').first().waitFor(slow);
  await view.shot('chart');

  // Hostile names are text, in the table and in the record.
  await run('DeviceProcessEvents | where ProcessCommandLine has "donate" and FolderPath has "tmp" | project Timestamp, DeviceId, ReportId, DeviceName, FileName, AccountName, ProcessCommandLine');
  await page.getByRole('grid', { name: 'Results' }).getByText('onerror').first().waitFor(slow);
  await page.getByRole('grid', { name: 'Results' }).getByRole('row').nth(1).press('Enter');
  await page.getByText('Inspect record').first().waitFor();
  await view.shot('record');
  await page.getByRole('button', { name: 'Close', exact: true }).click();

  // Numbers of 64 bits are what they are: in cells, in the order, in the record, in what is copied.
  const results = page.getByRole('grid', { name: 'Results' });
  await run('datatable(V: long, D: dynamic) [9007199254740993, dynamic({"x": 9007199254740995}), 9007199254740992, dynamic(null), -9007199254740993, dynamic(null), 9223372036854775807, dynamic(null), -9223372036854775808, dynamic(null), 5, dynamic(null)]');
  const numbers = () => results.getByRole('row').evaluateAll((rows) => rows.slice(1).map((r) => r.querySelectorAll('[role=gridcell]')[1].textContent));
  assert.deepEqual(await numbers(), ['9007199254740993', '9007199254740992', '-9007199254740993', '9223372036854775807', '-9223372036854775808', '5']);
  await results.getByText('{"x":9007199254740995}').first().waitFor();
  await results.getByRole('button', { name: 'V', exact: true }).click();
  assert.deepEqual(await numbers(), ['-9223372036854775808', '-9007199254740993', '5', '9007199254740992', '9007199254740993', '9223372036854775807']);
  await results.getByRole('row').nth(5).press('Enter');
  await page.getByRole('definition').filter({ hasText: /^9007199254740993$/ }).waitFor();
  await page.getByRole('definition').filter({ hasText: '9007199254740995' }).waitFor();
  await page.getByRole('button', { name: 'Close', exact: true }).click();

  // How long rows take to be there.
  const paints = {};
  for (const n of [10_000, 100_000]) {
    await ask(`range i from 1 to ${n} step 1 | extend A = tostring(i), B = strcat("file-", i), C = i * 2, D = i % 7, E = "c:/a/b/c", F = "user", G = i * 3.5, H = "10.0.0.1", I = true, J = "name", K = i + 1`);
    const answered = page.waitForResponse((r) => r.url().endsWith('/hunting/run'), slow);
    await page.keyboard.press('Shift+Enter');
    await (await answered).finished();
    const begin = Date.now();
    await page.getByRole('grid', { name: 'Results' }).getByText('file-1', { exact: true }).waitFor(slow);
    paints[n] = Date.now() - begin;
  }

  // A rule made of a hunt fires.
  const title = `Hunted ${Date.now()}`;
  await run('DeviceProcessEvents | where FileName == "xdg-open" | project Timestamp, DeviceId, ReportId, DeviceName');
  await page.getByRole('button', { name: 'Create detection rule' }).click();
  await page.getByLabel('Detection name').fill(title);
  await page.getByLabel('Frequency').click();
  await page.getByRole('option', { name: 'Every hour' }).click();
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await page.getByText('The rule was made').first().waitFor(slow);
  const fired = page.getByRole('grid', { name: 'Alerts' }).getByText(title).first();
  for (let i = 0; ; i++) {
    await page.goto(`${url}/alerts?status=*&range=*&q=${encodeURIComponent(title)}`);
    await page.getByRole('heading', { level: 1, name: 'Alerts' }).waitFor(slow);
    if (await fired.waitFor({ timeout: 4000 }).then(() => true, () => false)) break;
    assert.ok(i < 20, 'the rule did not fire');
  }
  await view.shot('fired');

  // An indicator of a file, from its page, with its statistics.
  await page.goto(`${url}/hunting`);
  await run('DeviceProcessEvents | where FileName == ".lkr" | project Timestamp, DeviceId, SHA256 | take 5');
  await page.getByRole('grid', { name: 'Results' }).getByRole('link').filter({ hasText: /^[0-9a-f]{64}$/ }).first().click();
  await page.getByRole('heading', { name: 'In the organisation' }).waitFor(slow);
  await page.getByText('matches').first().waitFor(slow);
  await view.shot('file');
  await page.goto(`${url}/ips/203.0.113.140`);
  await page.getByRole('button', { name: 'Add indicator' }).click();
  await page.getByLabel('Title').fill('The pool');
  await page.getByRole('button', { name: 'Add indicator' }).last().click();
  await page.getByText('The indicator is in force').first().waitFor(slow);
  await page.getByRole('link', { name: 'The pool' }).first().waitFor(slow);

  assert.equal(await page.evaluate(() => window.__pwned), undefined, 'a hostile name ran');
  console.log(JSON.stringify({ paintedMs: paints }));
});
