// An administrator says whom experts are, and an analyst asks one about a device and follows what becomes of it.
// DEVICE is the device's id.
import assert from 'node:assert/strict';
import { accessible, run, signIn, url } from './browser.mjs';

const { DEVICE } = process.env;
const question = 'Is <img src=x onerror=window.__pwned=1> normal?';

await run(async (view) => {
  const { page } = view;
  await signIn(page);

  await page.goto(`${url}/settings/experts`);
  await page.getByRole('heading', { level: 2, name: 'Experts' }).waitFor();
  await page.getByRole('button', { name: 'Add receiver' }).click();
  const form = page.getByRole('complementary').or(page.getByRole('dialog')).filter({ hasText: 'Add receiver' }).last();
  await form.getByLabel('Name').fill('Retainer of the portal');
  await form.getByLabel('Mail to').fill('ir@expert.example');
  await form.getByLabel('Keys').fill('age1nonsense');
  await accessible(page, 'the form of a receiver');
  await view.shot('receiver');
  await form.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('alert').getByText(/keys\[0\]/i).waitFor();
  await form.getByLabel('Keys').fill('');
  await form.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByText('Retainer of the portal').first().waitFor();
  await accessible(page, 'the receivers');
  await view.shot('receivers');

  await page.goto(`${url}/devices/${DEVICE}`);
  await page.getByRole('button', { name: 'Ask an expert' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('combobox', { name: 'Whom' }).click();
  await page.getByRole('option', { name: 'Retainer of the portal' }).click();
  await dialog.getByLabel('Question').fill(question);
  await dialog.getByRole('radio', { name: 'None' }).click();
  await accessible(page, 'the dialog');
  await view.shot('ask');
  await dialog.getByRole('button', { name: 'Hand over' }).click();
  await dialog.waitFor({ state: 'detached' });

  await page.goto(`${url}/actions?tab=all`);
  await page.getByRole('grid', { name: 'Actions' }).getByText('Ask expert').first().waitFor();
  await page.getByRole('row').filter({ hasText: question }).first().click({ position: { x: 300, y: 10 } });
  await page.getByRole('heading', { name: 'Case' }).waitFor();
  await page.getByText('Retainer of the portal').first().waitFor();
  await page.getByText('What is in it').waitFor({ timeout: 60_000 });
  await page.getByText('What is in it').click();
  await page.getByText('case.json').first().waitFor();
  await accessible(page, 'the case');
  await view.shot('case');
  const end = page.getByRole('button', { name: 'End the link' });
  await end.click();
  await page.locator('form').getByRole('button', { name: 'End the link' }).click();
  await page.getByText(/ended by/).waitFor();
  assert.equal(await page.evaluate(() => window.__pwned), undefined, 'a question ran as a script');
  await view.shot('ended');
}, { allow: [/400 \(/] });
