// Runs tests/: what the portal's modules do that need no browser. They are bundled first, because they are TypeScript.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'vite';

const out = mkdtempSync(join(tmpdir(), 'portal-tests-'));
try {
  await build({
    configFile: false, logLevel: 'error', publicDir: false,
    build: { ssr: true, outDir: out, emptyOutDir: false, minify: false, rolldownOptions: { input: Object.fromEntries(readdirSync('tests').filter((f) => f.endsWith('.modules.ts')).map((f) => [f.replace('.modules.ts', ''), resolve('tests', f)])), output: { entryFileNames: '[name].mjs' } } },
  });
  const files = readdirSync('tests').filter((f) => f.endsWith('.test.mjs')).map((f) => join('tests', f));
  process.exitCode = spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit', env: { ...process.env, MODULES: out } }).status ?? 1;
} finally {
  rmSync(out, { recursive: true });
}
