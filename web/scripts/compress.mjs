// Moves Vite's output from build/ to dist/, which the server embeds: text compressed in both forms, the rest as it is.
// What an earlier build left in dist/ goes; its README stays, because it is what the repository holds.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';

const brotli = promisify(zlib.brotliCompress);
const gzip = promisify(zlib.gzip);
const quality = Number(process.env.BR_QUALITY ?? 9);
const walk = (dir) => readdirSync(dir).flatMap((name) => {
  const path = join(dir, name);
  return statSync(path).isDirectory() ? walk(path) : [path];
});

if (!existsSync('build/index.html')) throw new Error('build/ holds no index.html: run vite build first');
mkdirSync('dist', { recursive: true });
for (const name of readdirSync('dist')) if (name !== 'README.txt') rmSync(join('dist', name), { recursive: true });

let raw = 0;
let wire = 0;
await Promise.all(walk('build').map(async (file) => {
  const name = relative('build', file);
  if (name.startsWith('.vite')) return;
  const out = join('dist', name);
  mkdirSync(dirname(out), { recursive: true });
  const bytes = readFileSync(file);
  raw += bytes.length;
  if (!/\.(js|css|html|svg|json|ttf)$/.test(name) || bytes.length < 512) {
    writeFileSync(out, bytes);
    wire += bytes.length;
    return;
  }
  const [br, gz] = await Promise.all([
    brotli(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: quality, [zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
    gzip(bytes, { level: 9 }),
  ]);
  writeFileSync(`${out}.br`, br);
  writeFileSync(`${out}.gz`, gz);
  wire += br.length;
}));
console.log(`portal: ${(raw / 1e6).toFixed(1)} MB, ${(wire / 1e6).toFixed(2)} MB over the wire`);
