// Names that attack whoever shows them, on every page: no script of theirs runs, the policy is not broken, no link is
// theirs, nothing is wider than the window, and characters that hide or turn text are spelled out. The server is a
// demonstration with hostile names. Names of pages choose among those that are walked.
import assert from 'node:assert/strict';
import { run, signIn, still, url } from './browser.mjs';
import { ask, settled, walk } from './pages.mjs';

const hidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200e\u200f\u202a-\u202e\u2060-\u2069]/;

await run(async (view) => {
  const { page } = view;
  const wrong = [];
  const met = new Map();
  await signIn(page);

  async function look(name) {
    for (const width of [1440, 1024]) {
      await page.setViewportSize({ width, height: 900 });
      await still(page);
      const seen = await page.evaluate(() => {
        // What the editor draws is its own; it marks such characters itself.
        const texts = [...document.querySelectorAll('body *')].filter((e) => !e.closest('.monaco-editor, script, style')).flatMap((e) => [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).concat(e.title ?? '', e.getAttribute('aria-label') ?? '', e.value ?? ''));
        const main = document.querySelector('main');
        return {
          pwned: window.__pwned, title: document.title, texts: [...new Set(texts)].join('\n'),
          wide: Math.max(document.documentElement.scrollWidth - innerWidth, main ? main.scrollWidth - main.clientWidth : 0),
          links: [...document.querySelectorAll('a[href], area[href], form[action]')].map((a) => a.getAttribute('href') ?? a.getAttribute('action')).filter((h) => !/^(\/(?!\/)|#)/.test(h)),
          foreign: document.querySelectorAll('iframe, object, embed, svg[onload], img[onerror], main script').length,
          outOfDialog: [...document.querySelectorAll('[role=dialog]')].some((d) => d.scrollWidth > d.clientWidth + 1),
        };
      });
      const complain = (what) => { wrong.push(`${name} at ${width}: ${what}`); console.error(wrong.at(-1)); };
      if (seen.pwned !== undefined) complain('a hostile name ran');
      if (seen.wide > 0) complain(`${seen.wide} pixels too wide`);
      if (seen.outOfDialog) complain('a dialog scrolls sideways');
      if (seen.links.length > 0) complain(`links of data: ${seen.links}`);
      if (seen.foreign > 0) complain('markup of data');
      const bare = hidden.exec(seen.texts + seen.title);
      if (bare) complain(`U+${bare[0].charCodeAt(0).toString(16)} is not spelled out`);
      for (const mark of ['onerror=', '<script>', 'onload=', 'verylongname', '⟪RLO⟫', '⟪U+001B⟫', '⟪U+27EA⟫']) if (seen.texts.includes(mark)) met.set(mark, (met.get(mark) ?? 0) + 1);
    }
    await page.setViewportSize({ width: 1440, height: 900 });
    await view.shot(name);
  }

  await walk(page, look, process.argv.slice(2), /__pwned/);

  // The pages of every name in turn: its device, user and alert.
  const machines = (await ask(page, '/api/machines?$top=200')).value.filter((m) => / \d+$/.test(m.computerDnsName ?? ''));
  assert.ok(machines.length >= 10, `there are ${machines.length} hostile devices`);
  for (const m of machines) {
    const alert = (await ask(page, `/api/machines/${m.id}/alerts`)).value?.[0];
    const name = m.computerDnsName.replace(/ \d+$/, '');
    const slug = name.replace(/\W+/g, '-').slice(0, 24);
    for (const [what, path] of [['device', `/devices/${m.id}`], ['timeline', `/devices/${m.id}?tab=timeline`], ['alert', alert && `/alerts/${encodeURIComponent(alert.id)}`],
      ['incident', alert?.incidentId && `/incidents/${alert.incidentId}`], ['user', `/users/${encodeURIComponent(name)}`]]) {
      if (!path) { wrong.push(`${name} has no ${what}`); continue; }
      await page.goto(url + path);
      await settled(page);
      await look(`${slug}-${what}`);
    }
  }

  // What is spelled out is what it was again where it goes back to the server: a user by a link of a hunt.
  const query = 'DeviceLogonEvents | where AccountName startswith "sv" and AccountName contains "owned" | project Timestamp, DeviceId, ReportId, AccountName | take 1';
  await page.goto(`${url}/hunting?query=${encodeURIComponent(query)}`);
  await page.locator('.monaco-editor .view-line').first().waitFor({ timeout: 60_000 });
  await page.getByRole('button', { name: 'Run query' }).click();
  await page.getByRole('grid', { name: 'Results' }).getByRole('link').filter({ hasText: 'owned' }).first().click();
  await page.getByRole('heading', { level: 1 }).filter({ hasText: 'sv⟪U+200B⟫chost⟪U+001B⟫]0;owned⟪U+0007⟫' }).waitFor();
  await page.getByRole('tab', { name: 'Logons' }).click();
  await page.getByRole('grid').getByRole('row').nth(1).waitFor({ timeout: 60_000 });

  for (const mark of ['onerror=', '<script>', 'onload=', 'verylongname', '⟪RLO⟫', '⟪U+001B⟫', '⟪U+27EA⟫']) if (!((met.get(mark) ?? 0) > 4)) wrong.push(`the walk met “${mark}” ${met.get(mark) ?? 0} times`);
  console.log(JSON.stringify(Object.fromEntries(met)));
  assert.equal(wrong.join('\n'), '');
}, { allow: [/status of 40[0-9]/] });
