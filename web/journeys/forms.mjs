// Forms that are filled by hand, right and wrong: a feed of vulnerabilities, a remediation, an exception. What is wrong is
// said with its place, and the form stays. FEED is a file of a feed, BROKEN one that breaks off, PACKAGE the package that FEED
// is about, CVE its vulnerability.
import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { accessible, run, signIn, url } from './browser.mjs';

const { FEED, BROKEN, PACKAGE, CVE } = process.env;

await run(async (view) => {
  const { page } = view;
  const slow = { timeout: 60_000 };
  const panel = (title) => page.getByRole('complementary').or(page.getByRole('dialog')).filter({ hasText: title }).last();
  await signIn(page);

  // A feed: nothing is sent without a file, a file that is none says where, and the whole one is counted.
  const feeds = page.getByRole('grid', { name: 'Vulnerability feeds' });
  async function imported(file, name) {
    await page.goto(`${url}/settings/feeds`);
    await page.getByRole('button', { name: 'Import feed' }).click();
    const form = panel('Import feed');
    const send = form.getByRole('button', { name: 'Import', exact: true });
    await form.getByLabel('Name').waitFor();
    assert.ok(await send.isDisabled(), 'an import without a file can be sent');
    await form.locator('input[type=file]').setInputFiles(file);
    await form.getByText(basename(file)).waitFor();
    await form.getByLabel('Name').fill(name);
    await accessible(page, 'the form of a feed');
    await view.shot(`feed-${name}`);
    await send.click();
    await form.waitFor({ state: 'detached' });
    return feeds.getByRole('row').filter({ hasText: name });
  }
  const broken = await imported(BROKEN, 'broken-feed');
  await broken.getByText('Failed').waitFor(slow);
  await page.getByText('The feed broken-feed was not imported').first().waitFor(slow);
  await broken.focus();
  await broken.press('Enter');
  const why = await panel('broken-feed').getByText(/record \d+|offset \d+|byte \d+|line \d+/i).first().innerText();
  assert.match(why, /: /, `what is wrong with a feed is “${why}”`);
  await accessible(page, 'the panel of a feed that failed');
  await view.shot('feed-failed');
  const whole = await imported(FEED, 'whole-feed');
  await whole.getByText('Ready').waitFor(slow);
  await page.getByText('The feed whole-feed was imported').first().waitFor(slow);

  // What the feed told of is there, with what to do about it.
  await page.goto(`${url}/vulnerabilities/${CVE}`);
  await page.getByRole('heading', { level: 1, name: CVE }).waitFor(slow);
  await page.goto(`${url}/vulnerabilities?q=${encodeURIComponent(PACKAGE)}`);
  await page.getByRole('grid', { name: 'Recommendations' }).getByRole('link', { name: `Update ${PACKAGE}`, exact: true }).click();
  await page.getByRole('heading', { level: 1, name: `Update ${PACKAGE}` }).waitFor();

  // A remediation: a date that is none is said at its field.
  await page.getByRole('button', { name: 'Request remediation' }).click();
  const form = panel('Request remediation');
  const days = form.getByLabel('Due in days');
  const send = form.getByRole('button', { name: 'Request', exact: true });
  for (const wrong of ['-1', '0', '1.5', 'soon', '99999999999']) {
    await days.fill(wrong);
    await form.getByText('Whole days from 1 to 3,650').waitFor();
    assert.ok(await send.isDisabled(), `${wrong} days can be sent`);
  }
  await accessible(page, 'the form of a remediation with an error');
  await view.shot('remediation-wrong');
  await days.fill('7');
  await form.getByLabel('Notes').fill('=1+1 <img src=x onerror=window.__pwned=1>');
  await send.click();
  await form.waitFor({ state: 'detached' });
  await page.goto(`${url}/vulnerabilities?tab=remediation`);
  const tasks = page.getByRole('grid', { name: 'Remediation activities' });
  await tasks.getByText(`Update ${PACKAGE}`).first().waitFor(slow);
  await tasks.getByRole('checkbox', { name: 'Select row 1', exact: true }).check();
  await page.getByRole('button', { name: 'Complete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Complete' }).click();
  await tasks.getByText('Completed').first().waitFor(slow);

  // An exception: it says why and until when, and can be ended.
  await page.goto(`${url}/vulnerabilities?q=${encodeURIComponent(PACKAGE)}`);
  await page.getByRole('grid', { name: 'Recommendations' }).getByRole('link', { name: `Update ${PACKAGE}`, exact: true }).click();
  await page.getByRole('button', { name: 'Make an exception' }).click();
  const dialog = page.getByRole('dialog');
  const make = dialog.getByRole('button', { name: 'Make the exception' });
  assert.ok(await make.isDisabled(), 'an exception without a reason can be made');
  await dialog.getByLabel('Justification').fill('   ');
  assert.ok(await make.isDisabled(), 'an exception with an empty reason can be made');
  await dialog.getByRole('radio', { name: 'For 60 days' }).click();
  await dialog.getByLabel('Justification').fill('Nobody reaches it');
  await accessible(page, 'the dialog of an exception');
  await view.shot('exception');
  await make.click();
  await dialog.waitFor({ state: 'detached' });
  await page.getByText('Nobody reaches it').waitFor(slow);
  await page.getByRole('button', { name: 'End the exception' }).waitFor();
  await accessible(page, 'a recommendation with an exception');
  await view.shot('excepted');
  await page.getByRole('button', { name: 'End the exception' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'End the exception' }).click();
  await page.getByRole('button', { name: 'Make an exception' }).waitFor();
  assert.equal(await page.evaluate(() => window.__pwned), undefined, 'a note ran as a script');
});
