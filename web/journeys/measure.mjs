// How long a page takes, by the page's own clock.

/** Notes when something is first in sight: `script` is run before the page's own. Read by `seen`. */
export async function watch(page, selector) {
  await page.addInitScript((wanted) => {
    const look = () => {
      if (document.querySelector(wanted)) {
        // What is in the document now is painted with this frame, so it is there at the next one.
        requestAnimationFrame(() => requestAnimationFrame(() => { window.__seen = performance.now(); }));
        watcher.disconnect();
      }
    };
    const watcher = new MutationObserver(look);
    watcher.observe(document, { childList: true, subtree: true });
  }, selector);
}

/** Milliseconds from the beginning of the navigation until what is watched was painted. */
export async function seen(page, timeout = 60_000) {
  const at = await page.waitForFunction(() => window.__seen, undefined, { timeout, polling: 20 });
  return Math.round(await at.jsonValue());
}

/** The value below which a share of the numbers lies. */
export function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

/** What the main thread of a page does while `act` runs: milliseconds of script, style, layout and paint in each frame,
 *  and of each task. They are processor time of the thread, so that what else the machine does is no part of it; `wall` is
 *  with it. */
export async function frames(view, act) {
  const { cdp } = view;
  const events = [];
  const collect = (e) => events.push(...e.value);
  cdp.on('Tracing.dataCollected', collect);
  await cdp.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline', 'cc', '__metadata'] } });
  await act();
  const done = new Promise((r) => { cdp.once('Tracing.tracingComplete', r); });
  await cdp.send('Tracing.end');
  await done;
  cdp.off('Tracing.dataCollected', collect);
  const mains = new Set(events.filter((e) => e.name === 'thread_name' && e.args?.name === 'CrRendererMain').map((e) => `${e.pid}/${e.tid}`));
  const of = (e) => `${e.pid}/${e.tid}`;
  const tasks = events.filter((e) => e.ph === 'X' && /RunTask$/.test(e.name) && mains.has(of(e)));
  // The page is the one whose main thread did most.
  const work = new Map();
  for (const e of tasks) work.set(of(e), (work.get(of(e)) ?? 0) + e.dur);
  const main = [...work].sort((a, b) => b[1] - a[1])[0]?.[0];
  const own = outermost(tasks.filter((e) => of(e) === main).sort((a, b) => a.ts - b.ts || b.dur - a.dur));
  const begins = events.filter((e) => e.name === 'ProxyMain::BeginMainFrame' && e.ph === 'X' && of(e) === main).map((e) => e.ts).sort((a, b) => a - b);
  const each = begins.map(() => ({ cpu: 0, wall: 0 }));
  let at = 0;
  for (const t of own) {
    while (at + 1 < begins.length && begins[at + 1] <= t.ts) at++;
    if (begins.length === 0 || t.ts + t.dur < begins[0]) continue;
    each[at].cpu += (t.tdur ?? t.dur) / 1000;
    each[at].wall += t.dur / 1000;
  }
  const round = (n) => Math.round(n * 10) / 10;
  return {
    frames: each.length, p95: round(quantile(each.map((f) => f.cpu), 0.95)), max: round(quantile(each.map((f) => f.cpu), 1)), wallP95: round(quantile(each.map((f) => f.wall), 0.95)),
    longestTask: round(Math.max(0, ...own.map((t) => (t.tdur ?? t.dur) / 1000))), longestWall: round(Math.max(0, ...own.map((t) => t.dur / 1000))), long: own.filter((t) => (t.tdur ?? t.dur) > 50_000).length,
  };
}

function outermost(tasks) {
  const out = [];
  let end = -1;
  for (const t of tasks) {
    if (t.ts < end) continue;
    out.push(t);
    end = t.ts + t.dur;
  }
  return out;
}

/** The rows of a grid that are in sight, as soon as all of them are there and stand still. */
export async function inSight(page, name, timeout = 60_000) {
  const handle = await page.waitForFunction((wanted) => {
    const grid = document.querySelector(`[role=grid][aria-label="${wanted}"]`);
    if (!grid) return undefined;
    const { top, bottom } = grid.getBoundingClientRect();
    const rows = [...grid.querySelectorAll('[data-index]')].filter((r) => { const b = r.getBoundingClientRect(); return b.top >= top + 36 && b.bottom <= bottom; });
    if (rows.length === 0 || rows.some((r) => r.hasAttribute('aria-busy'))) { window.__rows = undefined; return undefined; }
    const now = JSON.stringify(rows.map((r) => ({ index: Number(r.dataset.index), text: r.textContent })).sort((a, b) => a.index - b.index));
    const before = window.__rows;
    window.__rows = now;
    return before === now ? now : undefined;
  }, name, { timeout, polling: 'raf' });
  return JSON.parse(await handle.jsonValue());
}
