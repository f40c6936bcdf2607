import { defineConfig, type Plugin } from 'vite';
import react from '@vitejs/plugin-react';

// The Kusto language service is C# compiled to plain browser scripts that look for `module`, `exports` and
// `global`. Taken for CommonJS, they believe to run in Node. Each is wrapped in a function that shadows those
// names and whose `this` is the global object, so that it installs its globals as in a <script>.
function kustoGlobals(): Plugin {
  const script = /[\\/]@kusto[\\/]language-service(-next)?[\\/].*\.min\.js$/;
  return {
    name: 'kusto-globals',
    enforce: 'pre',
    transform(code, id) {
      if (!script.test(id.split('?')[0])) return null;
      return { code: `(function (module, exports, require, define, process) {${code}\n}).call(globalThis);\nexport {};`, map: null };
    },
  };
}

// `npm run dev` shows sources as they are saved, on the server that VEDETTE_URL names.
const server = process.env.VEDETTE_URL ?? 'https://localhost:8443';
const proxied = { target: server, secure: false, ws: true };

export default defineConfig({
  plugins: [react(), kustoGlobals()],
  build: {
    outDir: 'build', target: 'es2022', sourcemap: false, chunkSizeWarningLimit: 10000, manifest: true,
    modulePreload: { polyfill: false }, assetsInlineLimit: 0,
    // A JSON reader within the language service holds an eval for browsers without JSON.parse; the content
    // security policy forbids it, and nothing here reaches it.
    rolldownOptions: { checks: { eval: false } },
  },
  worker: { format: 'es', plugins: () => [kustoGlobals()] },
  optimizeDeps: {
    exclude: ['@kusto/monaco-kusto', '@kusto/language-service', '@kusto/language-service-next'],
    include: ['@kusto/monaco-kusto > xregexp'],
  },
  server: { proxy: { '/api': proxied, '/v1.0': proxied, '/V1.0': proxied, '/beta': proxied, '/portal': proxied } },
});
