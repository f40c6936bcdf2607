// Pictures of pages, for people: node journeys/look.mjs /incidents /alerts … In light and dark, 1440 and 1024 wide.
import { launch, open, signIn, url } from './browser.mjs';

const paths = process.argv.slice(2).filter((a) => a.startsWith('/'));
const quick = process.argv.includes('--quick');
const browser = await launch();
for (const scheme of quick ? ['light'] : ['light', 'dark']) {
  for (const width of quick ? [1440] : [1440, 1024]) {
    const view = await open(browser, { width, scheme });
    await signIn(view.page);
    for (const path of paths) {
      await view.page.goto(url + path);
      await view.page.getByRole('heading', { level: 1 }).waitFor();
      await view.page.waitForLoadState('networkidle', { timeout: 8000 }).catch(() => undefined);
      await view.page.waitForTimeout(400);
      await view.shot(`${path.replace(/\W+/g, '-').replace(/^-|-$/g, '') || 'start'}-${scheme}-${width}`);
    }
    for (const w of view.wrong) console.log(scheme, width, w);
    await view.context.close();
  }
}
await browser.close();
