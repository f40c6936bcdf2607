// Signing in by an identity provider, which is somebody else's program: setting it up and testing it in the settings, the
// first sign-in, groups that change, who is not let in, and signing out on both sides. ISSUER is the provider, SECRET
// of the client vedette there; PERSON and PERSON_PASSWORD are of somebody in the group soc-team, STRANGER of somebody
// of another domain. PROGRAM is the path of the page on which people sign in for a program, which they leave for BACK. CHANGED is a command after which PERSON is in the group soc-leads.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { company, lookAround, signIn, url } from './browser.mjs';

const { ISSUER, SECRET, PERSON, PERSON_PASSWORD, STRANGER, CHANGED, PROGRAM, BACK } = process.env;
/** Signs in at the provider, whose page is of its example. */
async function atProvider(page, name, password) {
  await page.waitForURL((u) => u.href.startsWith(ISSUER));
  await page.locator('input[name=username]').fill(name);
  await page.locator('input[name=password]').fill(password);
  await page.locator('button[type=submit]').click();
}

await company(async (visitor) => {
  const admin = await visitor();
  const { page } = admin;
  await signIn(page);
  await page.goto(`${url}/settings/signin`);
  await page.getByRole('button', { name: 'Add identity provider' }).click();
  await page.getByRole('textbox', { name: /^Name/ }).fill('Company Login');
  await page.getByLabel('Issuer').fill(ISSUER);
  await page.getByLabel('Client ID').fill('vedette');
  await page.getByLabel('Client secret').fill('not the secret');
  await page.getByLabel('Roles by groups').fill('soc-team = Security Reader\nsoc-leads = Security Administrator');
  await page.getByLabel('Allowed domains').fill('example.org');
  assert.equal(await page.getByText(`${url}/portal/sso/callback`).count(), 1);
  await lookAround(admin, 'provider');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  const checks = page.getByRole('list', { name: 'Checks' });
  await page.getByRole('button', { name: 'Test what is saved' }).click();
  await checks.getByText('it does not take the client id and secret', { exact: false }).waitFor();
  await page.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('grid', { name: 'Sign-in' }).getByText('Company Login').click();
  await page.getByLabel('Client secret').fill(SECRET);
  await page.getByRole('button', { name: 'Save', exact: true }).last().click();
  await page.getByText('Saved').first().waitFor();
  await page.getByRole('grid', { name: 'Sign-in' }).getByText('Company Login').click();
  await page.getByRole('button', { name: 'Test what is saved' }).click();
  await checks.getByText('it knows the client id and takes its secret').waitFor();
  assert.equal(await checks.getByText('Failed').count(), 0);
  await lookAround(admin, 'provider-tested');

  // The first time: the page that was wanted is the one where they are then.
  const person = await visitor();
  await person.page.goto(`${url}/devices?q=x`);
  await person.page.getByRole('link', { name: 'Sign in with Company Login' }).waitFor();
  await lookAround(person, 'sign-in');
  const before = await person.context.cookies();
  await person.page.getByRole('link', { name: 'Sign in with Company Login' }).click();
  await atProvider(person.page, PERSON, PERSON_PASSWORD);
  await person.page.getByRole('heading', { level: 1, name: 'Devices' }).waitFor();
  assert.equal(new URL(person.page.url()).search, '?q=x');
  const session = (await person.context.cookies()).find((c) => /vedette-session$/.test(c.name));
  assert.ok(session && session.httpOnly && session.secure && session.sameSite === 'Strict' && !before.some((c) => c.value === session.value));
  await person.page.goto(`${url}/account`);
  await person.page.getByText('by Company Login', { exact: true }).waitFor();
  await person.page.getByText('Security Reader').waitFor();
  assert.equal(await person.page.getByRole('heading', { name: 'Password', exact: true }).count(), 0, 'a password of who has none');
  await lookAround(person, 'account');

  // What a link of another site, or another browser, cannot do: come back to where nobody left.
  const other = await visitor();
  await other.page.goto(`${url}/portal/sso/callback?state=x&code=y`);
  await other.page.getByText('This sign-in was not begun in this browser').waitFor();
  assert.equal(new URL(other.page.url()).search, '');
  await lookAround(other, 'refused');
  await other.page.getByRole('link', { name: 'Sign in with Company Login' }).click();
  await atProvider(other.page, STRANGER, PERSON_PASSWORD);
  await other.page.getByText('People of your domain are not let in here.').waitFor();

  // For a program: by the provider, back to the page, and on as who they are now; once more without the provider.
  const worker = await visitor();
  await worker.page.goto(url + PROGRAM);
  await worker.page.getByLabel('User name').waitFor();
  await lookAround(worker, 'program');
  await worker.page.getByRole('link', { name: 'Sign in with Company Login' }).click();
  await atProvider(worker.page, PERSON, PERSON_PASSWORD);
  for (const when of ['at once', 'again']) {
    const on = worker.page.getByRole('button', { name: `Continue as ${PERSON}` });
    await on.waitFor();
    if (when === 'at once') await lookAround(worker, 'program-on');
    await on.click();
    await worker.page.getByText('The program has what it needs').waitFor();
    assert.ok(worker.page.url().startsWith(BACK), worker.page.url());
    await worker.page.goto(url + PROGRAM);
  }
  assert.equal(await worker.page.evaluate(() => document.body.innerText.includes('Continue as')), true);

  // Out here and there; groups count at the next sign-in.
  execFileSync('sh', ['-c', CHANGED]);
  await person.page.getByRole('button', { name: PERSON }).click();
  await person.page.getByRole('menuitem', { name: 'Sign out' }).click();
  await person.page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await person.page.goto(`${url}/account`);
  await person.page.getByRole('link', { name: 'Sign in with Company Login' }).click();
  await atProvider(person.page, PERSON, PERSON_PASSWORD);
  await person.page.getByText('Security Administrator').waitFor();

  // An account that is disabled is out at once, and stays out.
  await page.goto(`${url}/settings/users`);
  await page.getByRole('grid', { name: 'Users' }).getByText(PERSON, { exact: true }).first().click();
  await page.getByText('An identity provider vouches for them').waitFor();
  await page.getByRole('switch', { name: 'Active' }).click();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('Saved').first().waitFor();
  await person.page.reload();
  await person.page.getByRole('link', { name: 'Sign in with Company Login' }).click();
  await atProvider(person.page, PERSON, PERSON_PASSWORD);
  await person.page.getByText('Your account is disabled.').waitFor();
}, { allow: [/status of 40[0-9]/], also: [ISSUER, BACK] });
