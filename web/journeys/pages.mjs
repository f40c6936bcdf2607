// Every page of the portal with something in it: which addresses there are is asked of the server, which tabs of the
// page itself. What looks at all pages (pictures, axe, hostile names) walks them by `walk`.
import { still, url } from './browser.mjs';

/** What an address of the API answers, in the page's session. */
export async function ask(page, path, body) {
  return page.evaluate(async ([at, sent]) => {
    const session = await (await fetch('/portal/session')).json();
    const r = await fetch(at, sent === undefined ? undefined : { method: 'POST', headers: { 'Content-Type': 'application/json', 'Vedette-Proof': session.proof }, body: JSON.stringify(sent) });
    return r.ok ? r.json() : { value: [], Results: [], status: r.status };
  }, [path, body]);
}

const asking = new WeakMap();

/** How many answers a page waits for: an object whose `now` is kept. */
function asked(page) {
  if (!asking.has(page)) {
    const open = new Set();
    page.on('request', (r) => open.add(r));
    for (const end of ['requestfinished', 'requestfailed']) page.on(end, (r) => open.delete(r));
    // What a page that is left has asked for is answered to nobody.
    page.on('framenavigated', (f) => { if (f === page.mainFrame()) for (const r of [...open]) if (!r.isNavigationRequest()) open.delete(r); });
    asking.set(page, open);
  }
  return asking.get(page);
}

/** Waits until a page has what it shows: it asks for nothing more, nothing turns, nothing moves. */
export async function settled(page) {
  const open = asked(page);
  await page.locator('h1, [role=alert]').first().waitFor({ state: 'attached' }); // a dialog hides it from assistive technology
  const end = Date.now() + 20_000;
  do {
    await page.waitForFunction(() => !document.querySelector('main [role=progressbar]'), undefined, { timeout: 15_000 });
    await still(page); // charts and drawers move in, and what came asks for more
  } while (open.size > 0 && Date.now() < end);
}

/** Opens a row of a list by the keyboard: a click may meet a link in it. The panel is what comes. */
const row = (n = 1, grid = {}) => async (page) => {
  const r = page.getByRole('grid', grid).first().getByRole('row').nth(n);
  await r.focus();
  await r.press('Enter');
  await page.getByRole('button', { name: 'Close', exact: true }).first().waitFor();
  await settled(page);
};
const press = (name) => async (page) => {
  await page.getByRole('button', { name }).first().click();
  await settled(page);
};
const ran = (then) => async (page) => {
  await page.getByRole('button', { name: 'Run query' }).click();
  await then(page);
  await settled(page);
};

// What the sections of the settings make, and those whose lists open a panel that is no form.
const forms = {
  users: 'Add user', roles: 'Create role', groups: 'Create group', devicegroups: 'Create group', enrolment: 'Create token', applications: 'Register application', approvals: 'Create policy', notifications: 'Create rule',
  experts: 'Add receiver', feeds: 'Import feed',
};
const panels = new Set(['audit', 'feeds', 'users', 'roles', 'applications', 'devicegroups']);

/** Every page: `open` are further states, reached by a person's hands and left by loading the page again. `about` is
 *  what the pages of one thing should be about, where there is a choice. */
export async function pages(page, about = /./) {
  const first = async (path, f = (v) => v) => f((await ask(page, path)).value?.[0] ?? {});
  const all = encodeURIComponent;
  const fits = (v) => about.test(JSON.stringify(v));
  const incidents = (await ask(page, '/api/incidents?$top=50')).value.filter(fits);
  const incident = incidents.sort((a, b) => b.alerts.length - a.alerts.length)[0];
  const alerts = (await ask(page, '/api/alerts?$top=200&$orderby=alertCreationTime desc')).value.filter(fits);
  const alert = alerts.sort((a, b) => (b.evidence?.length ?? 0) - (a.evidence?.length ?? 0))[0];
  const device = alert?.machineId ?? await first('/api/machines?$top=1', (m) => m.id);
  const rows = (await ask(page, '/api/advancedqueries/run', { Query: 'DeviceProcessEvents | where isnotempty(SHA256) | project SHA256, AccountName | take 1' })).Results;
  const ip = (await ask(page, '/api/advancedqueries/run', { Query: 'DeviceNetworkEvents | where isnotempty(RemoteIP) and isnotempty(RemoteUrl) | project RemoteIP, RemoteUrl | take 1' })).Results;
  const file = alerts.flatMap((a) => a.evidence ?? []).find((e) => e.sha256)?.sha256 ?? rows[0]?.SHA256;
  const logon = about.source === '.' ? (await ask(page, '/api/advancedqueries/run', { Query: 'DeviceLogonEvents | where ActionType == "LogonSuccess" | project AccountDomain, AccountName | take 1' })).Results[0] : undefined;
  const user = logon ? `${logon.AccountDomain}\\${logon.AccountName}` : alerts.find((a) => a.relatedUser?.userName)?.relatedUser.userName ?? rows[0]?.AccountName ?? 'root';
  const out = [
    { name: 'dashboard', path: '/dashboard', open: { notices: press(/^Notifications/), person: press('admin') } },
    { name: 'incidents', path: '/incidents', open: { panel: row(), filter: press(/^Severity/), sets: press('Saved filters'), ticked: async (p) => { await p.getByRole('checkbox', { name: 'Select row 1', exact: true }).check(); await p.getByRole('checkbox', { name: 'Select row 2', exact: true }).check(); },
      merge: async (p) => { for (const n of [1, 2]) await p.getByRole('checkbox', { name: `Select row ${n}`, exact: true }).check(); await press('Merge')(p); } } },
    { name: 'incidents-empty', path: '/incidents?q=there-is-no-such-incident' },
    { name: 'incident', path: `/incidents/${incident?.incidentId}`, tabs: true, open: { manage: press(/^Manage/), merge: press('Merge'), ask: press('Ask an expert') } },
    { name: 'incident-none', path: '/incidents/999999' },
    { name: 'alerts', path: '/alerts?status=*&range=*', open: { panel: row(), columns: press('Columns') } },
    { name: 'alert', path: `/alerts/${all(alert?.id)}`, tabs: true },
    { name: 'alert-none', path: '/alerts/none' },
    { name: 'devices', path: '/devices', open: { panel: row() } },
    { name: 'device', path: `/devices/${device}`, tabs: true, open: { isolate: press(/Isolate device|Release from isolation/), live: press('Initiate live response session'), more: press('More actions') } },
    { name: 'device-none', path: `/devices/${'0'.repeat(40)}` },
    { name: 'event', path: `/devices/${device}?tab=timeline`, open: { panel: row(3) } },
    { name: 'file', path: `/files/${file}`, tabs: true, open: { indicator: press('Add indicator') } },
    { name: 'ip', path: `/ips/${all(ip[0]?.RemoteIP ?? '203.0.113.66')}`, tabs: true },
    { name: 'domain', path: `/domains/${all(ip[0]?.RemoteUrl || 'example.com')}`, tabs: true },
    { name: 'user', path: `/users/${all(user)}`, tabs: true },
    { name: 'hunting', path: '/hunting' },
    { name: 'hunt', path: `/hunting?query=${all('DeviceProcessEvents\n| summarize Runs = count() by bin(Timestamp, 6h)\n| render timechart')}`, open: { chart: ran((p) => p.locator('main [role=group] > div canvas').first().waitFor()) } },
    { name: 'hunt-table', path: `/hunting?query=${all('DeviceProcessEvents\n| project Timestamp, DeviceId, DeviceName, FileName, ProcessCommandLine, AccountName, SHA256\n| sort by Timestamp desc\n| take 500')}`,
      open: { rows: ran((p) => p.getByRole('grid', { name: 'Results' }).getByRole('row').nth(3).waitFor()),
        record: ran(async (p) => { await p.getByRole('grid', { name: 'Results' }).getByRole('row').nth(3).waitFor(); await row(3, { name: 'Results' })(p); }) } },
    { name: 'hunt-wrong', path: `/hunting?query=${all('DeviceProcessEvents | where FileNam == "x"')}`, open: { error: ran((p) => p.getByRole('alert').first().waitFor()) } },
    { name: 'rules', path: '/rules', tabs: true, open: { panel: row(), new: press(/^(New|Create|Add)/) } },
    { name: 'indicators', path: '/indicators', tabs: true, open: { panel: row(), new: press(/^Add/) } },
    { name: 'actions', path: '/actions', tabs: true },
    { name: 'action', path: '/actions?tab=all', open: { panel: row() } },
    { name: 'live', path: '/live', tabs: true },
    { name: 'library', path: '/live?tab=library', open: { upload: press('Upload') } },
    { name: 'vulnerabilities', path: '/vulnerabilities', tabs: true },
    { name: 'vulnerability', path: `/vulnerabilities/${all(await first('/api/vulnerabilities?$top=1', (v) => v.id ?? 'CVE-2024-6387'))}`, tabs: true },
    { name: 'software', path: `/software/${all(await first('/api/software?$top=1', (v) => v.id ?? 'none'))}`, tabs: true },
    { name: 'recommendation', path: `/recommendations/${all(await first('/api/recommendations?$top=1', (v) => v.id ?? 'none'))}`, tabs: true, open: { request: press('Request remediation'), except: press('Make an exception') } },
    { name: 'account', path: '/account', open: { factor: press('Set up') } },
    { name: 'not-here', path: '/there-is-no-such-page' },
  ];
  await page.goto(`${url}/settings`);
  await settled(page);
  for (const href of await page.getByRole('navigation', { name: 'Settings' }).getByRole('link').evaluateAll((as) => as.map((a) => a.getAttribute('href')))) {
    const section = href.split('/').at(-1);
    out.push({ name: href.slice(1).replaceAll('/', '-'), path: href, open: { ...(forms[section] ? { new: press(forms[section]) } : {}), ...(panels.has(section) ? { panel: row() } : {}) } });
  }
  return out;
}

/** Goes to every page, each of its tabs and further states, and calls `look` with a name at each. `only` chooses by
 *  the beginning of names. */
export async function walk(page, look, only = [], about) {
  for (const p of await pages(page, about)) {
    if (only.length > 0 && !only.some((o) => p.name.startsWith(o))) continue;
    const load = async () => { await page.goto(url + p.path); await settled(page); };
    await load();
    await look(p.name);
    if (p.tabs) {
      const tabs = page.locator('main').getByRole('tablist').first().getByRole('tab');
      for (let i = 1; i < await tabs.count(); i++) {
        await tabs.nth(i).click();
        await settled(page);
        await look(`${p.name}-${(await tabs.nth(i).innerText()).toLowerCase().replace(/[\W\d]+/g, '-').replace(/^-|-$/g, '')}`);
      }
    }
    for (const [what, go] of Object.entries(p.open ?? {})) {
      await load();
      try {
        await go(page);
      } catch (e) {
        throw new Error(`${p.name}, ${what}: ${e.message}`);
      }
      await look(`${p.name}-${what}`);
    }
  }
}
