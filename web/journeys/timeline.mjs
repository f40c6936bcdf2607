// The timeline of a device with many events: who jumps by scroll bar, graph or keyboard sees what is there; who scrolls over the
// borders of what is read at once, both ways, sees every event once, in the order of the server's own list. DEVICE is its
// id; EVENTS how many it has.
import assert from 'node:assert/strict';
import { run, signIn, url } from './browser.mjs';
import { inSight } from './measure.mjs';

const { DEVICE } = process.env;
const EVENTS = Number(process.env.EVENTS);
const slow = { timeout: 60_000 };
const title = 'Events of the device';

await run(async (view) => {
  const { page } = view;
  await signIn(page);

  // What the server says in one list, by hunting and not by what the timeline asks.
  await page.goto(`${url}/devices/${DEVICE}?tab=timeline&span=30d`);
  const grid = page.getByRole('grid', { name: title });
  await grid.locator('[data-index="0"]').waitFor(slow);
  const list = await page.evaluate(async ([device, n]) => {
    const { session } = JSON.parse(document.getElementById('session').textContent);
    const rows = [];
    for (let from = 0; from < n; from += 80_000) {
      const query = `DeviceProcessEvents | where DeviceId == "${device}" | project Timestamp, ReportId, ProcessCommandLine | sort by Timestamp desc, ReportId desc | extend N = row_number(0) | where N >= ${from} and N < ${from + 80_000} | sort by N asc`;
      const answer = await fetch('/api/vedette/hunting/run', { method: 'POST', headers: { 'Content-Type': 'application/json', 'Vedette-Proof': session.proof }, body: JSON.stringify({ query }) });
      if (!answer.ok) throw new Error(await answer.text());
      rows.push(...(await answer.json()).rows);
    }
    return rows;
  }, [DEVICE, EVENTS]);
  assert.equal(list.length, EVENTS);
  const counted = page.getByRole('status').filter({ hasText: `${EVENTS.toLocaleString('en')} events` }).first();
  await counted.waitFor(slow);
  assert.equal(await grid.getAttribute('aria-rowcount'), String(EVENTS + 1));

  /** Waits until all rows in sight are there, and expects them to be the list's. */
  async function expectRows(what, at) {
    if (at !== undefined) {
      const there = ([g, n]) => [...g.querySelectorAll('[data-index]')].some((r) => Math.abs(Number(r.dataset.index) - n) < 40);
      await page.waitForFunction(there, [await grid.elementHandle(), at], slow);
    }
    const rows = await inSight(page, title, slow.timeout);
    for (const r of rows) {
      const number = /#(\d+)#/.exec(r.text)?.[1];
      const want = /#(\d+)#/.exec(list[r.index][2])?.[1];
      assert.equal(number, want, `${what}: row ${r.index} is “${r.text}”, and ${list[r.index][2]} in the list`);
    }
    if (at !== undefined) assert.ok(rows.some((r) => Math.abs(r.index - at) < 40), `${what}: rows ${rows[0].index} to ${rows.at(-1).index}, want ${at}`);
    return rows;
  }
  await expectRows('the newest', 0);

  // Anywhere, by the scroll bar.
  for (const share of [0.5, 0.93, 0.07, 1, 0.31]) {
    await grid.evaluate((g, s) => { g.scrollTop = (g.scrollHeight - g.clientHeight) * s; }, share);
    await expectRows(`at ${share}`, Math.round(share * (EVENTS - 10)));
  }

  // Both ways by the wheel, over several borders.
  await grid.hover();
  for (const by of [300, -300]) {
    const seen = new Map();
    let last = (await expectRows('before the wheel'))[0].index;
    for (let i = 0; i < 140; i++) {
      const before = await grid.evaluate((g) => g.scrollTop);
      await page.mouse.wheel(0, by);
      // The wheel turns the page when the browser comes to it, and over some frames.
      await grid.evaluate((g, was) => new Promise((done) => {
        let last = was;
        const look = () => { const now = g.scrollTop; if (now !== was && now === last) done(); else { last = now; requestAnimationFrame(look); } };
        requestAnimationFrame(look);
      }), before);
      const rows = await expectRows(`wheel ${by}, turn ${i}`);
      for (const r of rows) {
        assert.equal(seen.get(r.index) ?? r.text, r.text, `row ${r.index} changed`);
        seen.set(r.index, r.text);
      }
      assert.ok(Math.abs(rows[0].index - last) < 40, `the wheel went from row ${last} to ${rows[0].index}`);
      last = rows[0].index;
    }
    const indices = [...seen.keys()].sort((a, b) => a - b);
    assert.equal(indices.length, indices.at(-1) - indices[0] + 1, 'the wheel passed over rows');
    assert.ok(indices.length > 1000, `the wheel showed ${indices.length} rows`);
    const numbers = [...seen.values()].map((t) => /#(\d+)#/.exec(t)[1]);
    assert.equal(new Set(numbers).size, numbers.length, 'an event was shown twice');
  }

  // By keyboard: to both ends.
  await grid.getByRole('row').nth(3).focus();
  await page.keyboard.press('End');
  await page.waitForFunction((n) => document.activeElement?.getAttribute('data-index') === String(n), EVENTS - 1, slow);
  await expectRows('the end', EVENTS - 1);
  await page.keyboard.press('Home');
  await page.waitForFunction(() => document.activeElement?.getAttribute('data-index') === '0', undefined, slow);
  await expectRows('the beginning', 0);

  // By the graph: a click goes to the time that is there.
  const graph = page.getByRole('img', { name: /^Events over time/ });
  const box = await graph.boundingBox();
  const first = Date.parse(list.at(-1)[0]);
  const whole = { to: Date.now(), from: Date.now() - 30 * 86_400_000 };
  const aim = (first + Date.parse(list[0][0])) / 2;
  const left = await grid.evaluate((g) => g.scrollTop);
  await page.mouse.click(box.x + ((aim - whole.from) / (whole.to - whole.from)) * box.width, box.y + box.height / 2);
  await page.waitForFunction(([g, from]) => g.scrollTop !== from, [await grid.elementHandle(), left], slow);
  const rows = await expectRows('by the graph');
  const pixel = (whole.to - whole.from) / box.width;
  assert.ok(Math.abs(Date.parse(list[rows[0].index][0]) - aim) < 3 * pixel, `a click at ${new Date(aim).toISOString()} went to ${list[rows[0].index][0]}`);
  await view.shot('timeline');
});
