// The editor and its language, in one place and loaded with the first editor: they are larger than all the rest.
import 'monaco-editor/esm/vs/editor/edcore.main';
import * as monaco from 'monaco-editor/esm/vs/editor/editor.api';
import { getKustoWorker, kustoDefaults, themeNames, type EngineSchema } from '@kusto/monaco-kusto';
import EditorWorker from 'monaco-editor/esm/vs/editor/editor.worker?worker';
import KustoWorker from './kusto.worker?worker';
import type { Vocabulary } from '../api';

self.MonacoEnvironment = { getWorker: (_id: string, label: string) => (label === 'kusto' ? new KustoWorker() : new EditorWorker()) };
kustoDefaults.setLanguageSettings({
  ...kustoDefaults.languageSettings, includeControlCommands: false, useSemanticColorization: true, enableHover: true, enableQueryWarnings: false,
  enableQuerySuggestions: false, enableQuickFixes: false, disabledCompletionItems: ['cluster', 'database'],
});
kustoDefaults.setMaximumWorkerIdleTime(0);

/** The vocabulary as the language service wants it. */
function engine(v: Vocabulary): EngineSchema {
  const db = {
    name: 'hunting', majorVersion: 1, minorVersion: 0, entityGroups: [],
    tables: v.tables.map((t) => ({ name: t.name, docstring: t.description, entityType: 'Table' as const, columns: t.columns.map((c) => ({ name: c.name, type: c.type })) })),
    functions: v.functions.filter((f) => f.kind === 'table').map((f) => {
      // (parameters) { body }: the parameters are those before the body.
      const inside = /^\s*\(([\s\S]*?)\)\s*\{/.exec(f.signature)?.[1] ?? '';
      const inputParameters = inside.split(/,(?![^(]*\))/).map((s) => s.trim()).filter(Boolean).map((s) => {
        const [, name, type, otherwise] = /^(\w+)\s*:\s*([^=]+?)\s*(?:=\s*(.+))?$/.exec(s) ?? [];
        return type?.startsWith('(') ? { name, columns: [] } : { name: name ?? s, type: 'System.String', cslType: type ?? 'string', ...(otherwise ? { cslDefaultValue: otherwise } : {}) };
      });
      return { name: f.name, body: f.signature.slice(f.signature.indexOf('{')), docstring: f.description, inputParameters };
    }),
  };
  return { clusterType: 'Engine', cluster: { connectionString: 'hunting', databases: [db] }, database: db };
}

/** Tells the language what there is. */
export async function teach(v: Vocabulary, uri: monaco.Uri): Promise<void> {
  const worker = await (await getKustoWorker())(uri);
  await worker.setSchema(engine(v));
}

export { monaco, themeNames };
