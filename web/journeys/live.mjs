// A live response session typed by keyboard alone, and replayed. DEVICE is the device's name, EVIDENCE a file on it with
// the text CONTENT, HOSTILE a file whose text attacks terminals, SCRIPT a file of this computer for the library.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { accessible, run, signIn, url } from './browser.mjs';

const { DEVICE, EVIDENCE, CONTENT, HOSTILE, SCRIPT } = process.env;

await run(async (view) => {
  const { page } = view;
  const slow = { timeout: 60_000 };
  const key = (k) => page.keyboard.press(k);
  const screen = page.locator('.xterm-rows');
  const says = (text) => screen.filter({ hasText: text }).waitFor(slow);
  const type = async (line) => { await page.keyboard.type(line); await key('Enter'); };
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await signIn(page);

  // A script comes into the library.
  await page.goto(`${url}/live?tab=library`);
  await page.getByRole('button', { name: 'Upload' }).click();
  await page.locator('input[type=file]').setInputFiles(SCRIPT);
  await page.getByLabel('Description').fill('Greets');
  await accessible(page, 'the upload to the library');
  await page.getByRole('button', { name: 'Upload', exact: true }).last().click();
  await page.getByRole('grid', { name: 'Library' }).getByText(basename(SCRIPT)).waitFor();
  await accessible(page, 'the library');
  await view.shot('library');

  // By keyboard alone: the device by search, its action bar, the dialog with the reason.
  await page.locator('body').press('/');
  await page.keyboard.type(DEVICE);
  await page.getByRole('option').filter({ hasText: DEVICE }).first().waitFor();
  await key('ArrowDown');
  await key('Enter');
  await page.getByRole('heading', { level: 1, name: DEVICE }).waitFor();
  await page.getByRole('button', { name: 'Initiate live response session' }).focus();
  await key('Enter');
  await page.getByRole('dialog').waitFor();
  await page.getByRole('dialog').getByLabel('Comment').focus();
  await page.keyboard.type('Evidence of case 4711');
  await accessible(page, 'the dialog');
  await view.shot('dialog');
  await key('Tab');
  await key('Tab');
  await key('Enter');
  await page.getByText('Connected', { exact: true }).waitFor(slow);
  await says('help lists the commands');
  await accessible(page, 'the console');

  // Tab completes, and stays in the console; the line is edited before it is sent.
  await page.keyboard.type('fileinf');
  await key('Tab');
  await type(`${EVIDENCE}X`.slice(0, -1) + 'Y');
  await says('no such file');
  await key('ArrowUp');
  await key('Backspace');
  await key('Enter');
  await says('sha256');
  await type(`getfile ${EVIDENCE}`);
  await says('it waits under Files');

  // What a file says to terminals is shown, and nothing of it is done.
  const title = await page.title();
  await page.evaluate(() => navigator.clipboard.writeText('before'));
  await type(`cat ${HOSTILE}`);
  await says('^[]0;');
  await type(`run ${basename(SCRIPT)} -parameters "two words"`);
  await says('hello two words');
  await says('<U+202E>');
  assert.equal(await page.title(), title, 'the device renamed the window');

  // A shell: a real terminal, which still cannot reach beyond itself.
  await type('shell');
  await says('A shell on the device');
  await type('tty; stty size');
  await says('/dev/pts/');
  const size = /^(\d+) (\d+)\s*$/m;
  await page.waitForFunction(([e, re]) => re.test(e.innerText), [await screen.elementHandle(), size], slow);
  const [rows, columns] = (await screen.innerText()).match(size).slice(1).map(Number);
  assert.ok(rows > 10 && columns > 60, `the terminal of the device has ${columns} columns and ${rows} rows`);
  await type(`cat ${HOSTILE}; echo all' 'shown`);
  await says('all shown');
  await says('overwritten \ufffdgnp.exe');
  await type(`echo no' 'answer`); // whatever the terminal had answered would stand before it
  await says('no answer');
  assert.equal(await page.title(), title, 'the device renamed the window');
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'before', 'the device wrote into the clipboard');
  assert.equal(await page.locator('.xterm a').count(), 0, 'the device made a link');
  await type('exit');
  await page.getByText('completes a command').waitFor(slow);
  await view.shot('console');

  // A command that takes long is cancelled by Ctrl+C, and one goes to the background by Ctrl+Z.
  await type('findfile no-such-name-anywhere -path /usr');
  await page.getByText('lets it run in the background').waitFor(slow);
  await key('Control+c');
  await page.getByText('completes a command').waitFor(slow);

  // The console goes on while other pages are looked at, and says so in the navigation.
  await key('Shift+Tab');
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Devices' }).press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Devices' }).waitFor();
  await page.getByRole('link', { name: /Live response.*1 open/ }).press('Enter');
  await page.getByRole('navigation', { name: 'Open consoles' }).getByRole('link', { name: DEVICE }).press('Enter');
  await says('all shown');

  // The file is what it is on the device.
  await page.getByRole('tab', { name: 'Files (1)' }).click();
  const download = page.waitForEvent('download');
  await page.getByRole('grid', { name: 'Files of the session' }).getByRole('link', { name: basename(EVIDENCE) }).click();
  assert.equal(readFileSync(await (await download).path(), 'utf8'), CONTENT);
  await page.getByRole('tab', { name: /Command log/ }).click();
  await page.getByRole('grid', { name: 'Commands of the session' }).getByText('getfile').first().waitFor();
  await page.getByRole('grid', { name: 'Commands of the session' }).getByText('Cancelled').or(page.getByText('Completed')).first().waitFor();
  await accessible(page, 'the log of commands');
  await view.shot('log');

  // The end, by typing, and what the device says of it.
  await page.getByRole('tab', { name: 'Console' }).press('Enter');
  await page.getByRole('textbox', { name: `Console of ${DEVICE}` }).focus();
  await type('exit');
  await page.getByText('The session is over.').waitFor(slow);
  await page.getByText(/The device says: Verified/).waitFor(slow);
  await accessible(page, 'a console whose session is over');

  // The recording, as whoever comes later sees it.
  const id = new URL(page.url()).pathname.split('/').at(-1);
  await page.goto(`${url}/live`);
  await page.getByRole('grid', { name: 'Live response sessions' }).getByText('Evidence of case 4711').waitFor();
  await accessible(page, 'the list of sessions');
  await page.goto(`${url}/live/${id}`);
  const play = page.getByRole('button', { name: 'Play', exact: true });
  await play.waitFor(slow);
  await page.getByLabel('Speed').click();
  await page.getByRole('option', { name: '16×' }).click();
  await play.press('Enter');
  await page.getByRole('button', { name: 'Play again' }).waitFor(slow);
  await says('hello two words');
  await says('^Moverwritten <U+202E>gnp.exe'); // as it was shown: nothing of a script writes over what stands there
  await says('all shown');
  await accessible(page, 'the recording');
  await view.shot('replay');
  // Any place in it: before the script ran nothing of it is there; from its command on it is.
  await page.getByRole('complementary', { name: 'Commands of the recording' }).getByRole('button', { name: /^getfile/ }).press('Enter');
  await screen.filter({ hasNotText: 'hello two words' }).waitFor(slow);
  await says('getfile');
  await page.getByRole('slider', { name: 'Position' }).focus();
  await key('End');
  await says('all shown');
  assert.notEqual(await page.title(), 'pwned', 'a recording renamed the window');
});
