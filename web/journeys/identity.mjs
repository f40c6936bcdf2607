// A person's own account: the name, the password, the sessions, the second factor; signing in with it, and being led to
// set one up. Codes are worked out by oathtool. OTHER and OTHER_PASSWORD are of a second person without a factor.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { company, lookAround, signIn, url } from './browser.mjs';

const user = process.env.VEDETTE_USER ?? 'admin';
let password = process.env.VEDETTE_PASSWORD ?? '';
const { OTHER, OTHER_PASSWORD } = process.env;

/** A code of a secret that was not used before: each step's is taken once. */
let last = 0;
async function code(secret) {
  const step = () => Math.floor(Date.now() / 30_000);
  // One step ahead is taken too, so that hardly anybody has to wait.
  let at = Math.max(step(), last + 1);
  while (at > step() + 1) await new Promise((done) => { setTimeout(done, 500); });
  last = at;
  return execFileSync('oathtool', ['--totp', '-b', '-N', `@${at * 30}`, secret.replaceAll(' ', '')], { encoding: 'utf8' }).trim();
}

const secretOf = async (page) => {
  await page.getByText('Enter it by hand').click();
  return page.getByTestId('secret').innerText();
};
const card = (page, name) => page.locator('section').filter({ has: page.getByRole('heading', { level: 2, name, exact: true }) });

await company(async (visitor) => {
  // Two browsers of one person.
  const one = await visitor();
  const { page } = one;
  await signIn(page, user, password);
  const two = await visitor();
  await signIn(two.page, user, password);

  await page.getByRole('button', { name: user }).click();
  await page.getByRole('menuitem', { name: 'Account' }).click();
  await page.getByRole('heading', { level: 1, name: 'Account' }).waitFor();
  await page.getByRole('list', { name: 'Sessions' }).getByRole('listitem').nth(1).waitFor();
  await lookAround(one, 'account');

  // The name.
  await card(page, 'About you').getByLabel('Name').fill('Ada <img src=x onerror=window.__pwned=1>');
  await page.getByRole('button', { name: 'Save name' }).click();
  await page.getByText('Saved').first().waitFor();
  await card(page, 'About you').getByLabel('Name').fill('Ada Lovelace');
  await page.getByRole('button', { name: 'Save name' }).click();
  await page.waitForFunction(() => !document.querySelector('button[type=submit]:not([disabled])'));

  // The other session ends.
  await page.getByRole('button', { name: /^End the session from/ }).first().click();
  await page.getByRole('dialog').getByRole('button', { name: 'End session' }).click();
  await page.getByRole('list', { name: 'Sessions' }).getByRole('listitem').nth(1).waitFor({ state: 'detached' });
  await two.page.goto(`${url}/account`);
  await two.page.getByRole('heading', { name: 'Sign in' }).waitFor();

  // The password: the present one is asked for; this browser goes on, others do not.
  await signIn(two.page, user, password);
  const next = `${password}-and-more`;
  const pass = card(page, 'Password');
  await pass.getByLabel('Present password').fill('not this one');
  await pass.getByLabel(/^New password(?! again)/).fill(next);
  await pass.getByLabel('New password again').fill(`${next}x`);
  await pass.getByText('The two differ').waitFor();
  await pass.getByLabel('New password again').fill(next);
  await pass.getByRole('button', { name: 'Change password' }).click();
  await pass.getByText('The present password is wrong').waitFor();
  await pass.getByLabel('Present password').fill(password);
  await pass.getByRole('button', { name: 'Change password' }).click();
  await page.getByText('The password is changed').first().waitFor();
  await two.page.goto(`${url}/account`);
  await two.page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await two.page.getByLabel('User name').fill(user);
  await two.page.getByLabel('Password').fill(password);
  await two.page.getByRole('button', { name: 'Sign in' }).click();
  await two.page.getByText('The user name or password is wrong').waitFor();
  password = next;

  // A second factor.
  const factor = card(page, 'Second factor');
  await factor.getByRole('button', { name: 'Set up' }).click();
  await factor.getByLabel('Your password').fill(password);
  await factor.getByRole('button', { name: 'Go on' }).click();
  await factor.getByRole('img', { name: 'QR code of the secret' }).waitFor();
  await lookAround(one, 'factor');
  const secret = await secretOf(page);
  await factor.getByRole('textbox', { name: 'Code' }).fill('000000');
  await factor.getByRole('button', { name: 'Turn on' }).click();
  await factor.getByText('The code is wrong or was used before').waitFor();
  await factor.getByRole('textbox', { name: 'Code' }).fill(await code(secret));
  await factor.getByRole('button', { name: 'Turn on' }).click();
  const list = factor.getByRole('list', { name: 'Recovery codes' }).getByRole('listitem');
  await list.first().waitFor();
  const recovery = await list.allInnerTexts();
  assert.equal(recovery.length, 10);
  await lookAround(one, 'recovery');
  await factor.getByRole('button', { name: 'I have kept them' }).click();
  await factor.getByText('On', { exact: true }).waitFor();

  // Out, and in with it; nothing is to be had in between.
  await page.getByRole('button', { name: user }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.goto(`${url}/devices`);
  await page.getByLabel('User name').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Second factor' }).waitFor();
  assert.equal(await page.evaluate(async () => (await fetch('/api/alerts')).status), 401);
  await page.reload();
  await page.getByRole('heading', { name: 'Second factor' }).waitFor();
  await lookAround(one, 'second-step');
  await page.getByRole('textbox', { name: 'Code' }).fill('000000');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('The code is wrong or was used before').waitFor();
  await page.getByRole('textbox', { name: 'Code' }).fill(await code(secret));
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Devices' }).waitFor();

  // With a recovery code, once, by keyboard.
  for (const [n, expected] of [[0, 'in'], [0, 'out']]) {
    const v = await visitor();
    await v.page.goto(`${url}/account`);
    await v.page.getByLabel('User name').fill(user);
    await v.page.getByLabel('Password').fill(password);
    await v.page.keyboard.press('Enter');
    await v.page.getByRole('button', { name: 'Use a recovery code' }).click();
    await v.page.getByLabel('Recovery code').fill(recovery[n].toUpperCase());
    await v.page.keyboard.press('Enter');
    if (expected === 'in') {
      await v.page.getByRole('heading', { level: 1, name: 'Account' }).waitFor();
      await card(v.page, 'Second factor').getByText('Recovery codes left').waitFor();
      assert.match(await card(v.page, 'Second factor').innerText(), /\n9\b/);
    } else await v.page.getByText('The code is wrong or was used before').waitFor();
  }

  // Required of everybody: the other person sets one up before anything else.
  if (OTHER) {
    await page.goto(`${url}/settings/signin`);
    await page.getByLabel('Required of everybody').click();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved').first().waitFor();
    await lookAround(one, 'settings-signin');
    const v = await visitor();
    await v.page.goto(`${url}/account`);
    await v.page.getByLabel('User name').fill(OTHER);
    await v.page.getByLabel('Password').fill(OTHER_PASSWORD);
    await v.page.getByRole('button', { name: 'Sign in' }).click();
    await v.page.getByRole('heading', { name: 'Set up a second factor' }).waitFor();
    await v.page.getByRole('img', { name: 'QR code of the secret' }).waitFor();
    assert.equal(await v.page.evaluate(async () => (await fetch('/api/alerts')).status), 401);
    await lookAround(v, 'enrol');
    const theirs = await secretOf(v.page);
    last = 0;
    await v.page.getByRole('textbox', { name: 'Code' }).fill(await code(theirs));
    await v.page.getByRole('button', { name: 'Turn on and sign in' }).click();
    await v.page.getByRole('list', { name: 'Recovery codes' }).waitFor();
    await lookAround(v, 'enrolled');
    await v.page.getByRole('button', { name: 'Go on to the portal' }).click();
    await v.page.getByRole('heading', { level: 1, name: 'Account' }).waitFor();
    await card(v.page, 'Second factor').getByText('It is required of you').waitFor();

    // The administrator takes it away; the session is over.
    await page.goto(`${url}/settings/users`);
    await page.getByRole('grid', { name: 'Users' }).getByText(OTHER, { exact: true }).first().click();
    await page.getByText('Has a second factor').waitFor();
    await lookAround(one, 'settings-user');
    await page.getByRole('button', { name: 'Reset', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Reset second factor' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await v.page.reload();
    await v.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await page.goto(`${url}/settings/signin`);
    await page.getByLabel(/^Required of nobody/).click();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved').first().waitFor();
  }

  // Off again, for whoever comes next.
  await page.goto(`${url}/account`);
  await card(page, 'Second factor').getByRole('button', { name: 'Turn off' }).click();
  await page.getByLabel('Your password').fill(password);
  await page.getByRole('textbox', { name: 'Code' }).fill(recovery[1]);
  await page.getByRole('button', { name: 'Turn it off' }).click();
  await card(page, 'Second factor').getByText('Off', { exact: true }).waitFor();
  assert.equal(await page.evaluate(() => window.__pwned), undefined);
}, { allow: [/status of 40[0-9]/, /status of 429/] });
