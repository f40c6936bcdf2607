// Two people and one action: the first demands that a second agrees, and asks; the second agrees. DEVICE is the device's
// name, SECOND and SECOND_PASSWORD the other person's.
import assert from 'node:assert/strict';
import { accessible, open, run, signIn, url } from './browser.mjs';

const { DEVICE, SECOND, SECOND_PASSWORD } = process.env;

await run(async (view) => {
  const { page } = view;
  const slow = { timeout: 60_000 };
  await signIn(page);

  // The rule of two.
  await page.goto(`${url}/settings/approvals`);
  await page.getByRole('button', { name: 'Create policy' }).click();
  await page.getByLabel('Name').fill('Packages need a second person');
  await page.getByRole('combobox', { name: 'Actions' }).click();
  await page.getByRole('menuitemcheckbox', { name: 'Collect investigation package' }).click();
  await page.keyboard.press('Escape');
  await accessible(page, 'the form of an approval policy');
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await page.getByRole('grid', { name: 'Approval policies' }).getByText('Packages need a second person').waitFor();
  await accessible(page, 'the approval policies');
  await view.shot('policies');

  // The first asks, and may not agree with themselves.
  await page.goto(`${url}/devices?q=${encodeURIComponent(DEVICE)}`);
  await page.getByRole('grid', { name: 'Devices' }).getByRole('link', { name: DEVICE }).click();
  await page.getByRole('button', { name: 'Collect investigation package' }).click();
  await page.getByRole('dialog').getByLabel('Comment').fill('For the case file');
  await page.getByRole('dialog').getByRole('button', { name: 'Collect investigation package' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.goto(`${url}/actions`);
  await page.getByRole('grid', { name: 'Actions' }).getByText('For the case file').click();
  const vote = page.getByRole('button', { name: 'Approve' }).last();
  await vote.click();
  await page.getByRole('dialog').last().getByLabel('Comment').fill('I agree with myself');
  await page.getByRole('dialog').last().getByRole('button', { name: 'Approve' }).click();
  await page.getByRole('alert').first().waitFor();
  await view.shot('own');
  await page.getByRole('dialog').last().getByRole('button', { name: 'Cancel' }).click();

  // The second agrees, in a browser of their own.
  const second = await open(page.context().browser());
  await signIn(second.page, SECOND, SECOND_PASSWORD);
  await second.page.goto(`${url}/actions`);
  await second.page.getByRole('grid', { name: 'Actions' }).getByRole('checkbox', { name: 'Select row 1', exact: true }).check();
  await second.page.getByRole('button', { name: 'Approve 1' }).click();
  await second.page.getByRole('dialog').getByLabel('Comment').fill('Seen and agreed');
  await accessible(second.page, 'the approval');
  await second.page.getByRole('dialog').getByRole('button', { name: 'Approve' }).click();
  await second.page.getByRole('dialog').waitFor({ state: 'detached' });
  await second.page.goto(`${url}/actions?tab=all`);
  await second.page.getByRole('grid', { name: 'Actions' }).getByText('For the case file').click();
  await second.page.getByText(`${SECOND} agreed`).first().waitFor();
  await second.page.getByText('Seen and agreed').first().waitFor();
  await second.shot('agreed');
  second.verdict();
  await second.context.close();

  // Only then the device was asked, and what it did is proven.
  await page.goto(`${url}/actions?tab=history`);
  await page.getByRole('grid', { name: 'Actions' }).getByText('Verified').first().waitFor({ timeout: 270_000 });
  await page.getByRole('grid', { name: 'Actions' }).getByText('For the case file').click();
  await page.getByText(`${SECOND} agreed`).first().waitFor(slow);
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download package' }).click();
  assert.match((await download).suggestedFilename(), /\.zip$/);
}, { allow: [/status of 40[039]/] });
