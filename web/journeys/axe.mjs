// Every page that is named, looked at by axe in light and dark: node journeys/axe.mjs /incidents /alerts …
import { accessible, launch, open, signIn, url } from './browser.mjs';

const browser = await launch();
for (const scheme of ['light', 'dark']) {
  const view = await open(browser, { scheme });
  await signIn(view.page);
  for (const path of process.argv.slice(2)) {
    await view.page.goto(url + path);
    await view.page.getByRole('heading', { level: 1 }).waitFor();
    await view.page.waitForLoadState('networkidle', { timeout: 6000 }).catch(() => undefined);
    try {
      await accessible(view.page, `${path} (${scheme})`);
    } catch (e) {
      console.error(e.message);
      process.exitCode = 1;
    }
  }
  try { view.verdict(); } catch (e) { console.error(e.message); process.exitCode = 1; }
  await view.context.close();
}
await browser.close();
