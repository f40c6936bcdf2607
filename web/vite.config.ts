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

// What the first script needs stays out of what it fetches, and what pages fetch when they need it out of what all have.
const first = /\/src\/app\/pages\.ts$|\/src\/pages\/\w+\/pages\.ts$|vite\/preload-helper|rolldown/;
const later = /\/src\/ui\/EChart|\/echarts\/|\/zrender\/|\/monaco-editor\/|\/@kusto\/|\/@xterm\/|\/@xyflow\/|\/dagre\//;

// The page names what draws all pages, so that it is fetched beside the first script and not after it.
function startAhead(): Plugin {
  return {
    name: 'start-ahead',
    apply: 'build',
    transformIndexHtml: {
      order: 'post',
      handler(_, { bundle }) {
        const chunks = Object.values(bundle ?? {}).filter((c) => c.type === 'chunk');
        const start = chunks.find((c) => c.facadeModuleId?.endsWith('/src/start.tsx'));
        if (!start) throw new Error('there is no chunk of src/start.tsx');
        const files = new Set<string>();
        const styles = new Set<string>();
        const add = (name: string) => {
          if (files.has(name)) return;
          files.add(name);
          const chunk = chunks.find((c) => c.fileName === name);
          for (const css of chunk?.viteMetadata?.importedCss ?? []) styles.add(css);
          chunk?.imports.forEach(add);
        };
        add(start.fileName);
        return [
          ...[...files].map((f) => ({ tag: 'link', attrs: { rel: 'modulepreload', crossorigin: true, href: `/${f}` }, injectTo: 'head' as const })),
          ...[...styles].map((f) => ({ tag: 'link', attrs: { rel: 'stylesheet', crossorigin: true, href: `/${f}` }, injectTo: 'head' as const })),
        ];
      },
    },
  };
}

// `npm run dev` shows sources as they are saved, on the server that VEDETTE_URL names.
const server = process.env.VEDETTE_URL ?? 'https://localhost:8443';
const proxied = { target: server, secure: false, ws: true };

export default defineConfig({
  plugins: [react(), kustoGlobals(), startAhead()],
  build: {
    outDir: 'build', target: 'es2022', sourcemap: false, chunkSizeWarningLimit: 10000, manifest: true,
    modulePreload: { polyfill: false }, assetsInlineLimit: 0,
    // A JSON reader within the language service holds an eval for browsers without JSON.parse; the content
    // security policy forbids it, and nothing here reaches it.
    rolldownOptions: {
      checks: { eval: false },
      // What most pages use is one file: many small ones take longer than their bytes.
      output: {
        codeSplitting: {
          groups: [
            { name: 'first', priority: 2, test: first },
            { name: 'shared', priority: 1, minShareCount: 2, test: (id: string) => !later.test(id) && /\/src\/(app|api|ui)\/|\/react-icons\/|\/@fluentui\/tokens\//.test(id) },
            { name: 'frame', minShareCount: 8, test: (id: string) => !later.test(id) },
          ],
        },
      },
    },
  },
  worker: { format: 'es', plugins: () => [kustoGlobals()] },
  optimizeDeps: {
    exclude: ['@kusto/monaco-kusto', '@kusto/language-service', '@kusto/language-service-next'],
    include: ['@kusto/monaco-kusto > xregexp'],
  },
  server: { proxy: { '/api': proxied, '/v1.0': proxied, '/V1.0': proxied, '/beta': proxied, '/portal': proxied } },
});
