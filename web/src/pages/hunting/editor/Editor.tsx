import { useEffect, useImperativeHandle, useRef, type Ref } from 'react';
import { useTheme } from '../../../app/theme';
import { check, fromBytes, paragraphAt, paragraphs, type Paragraph, type Vocabulary } from '../api';
import { monaco, teach, themeNames } from './setup';

export interface EditorHandle {
  /** The selected text, else the query that the cursor is in. */
  current: () => Paragraph | undefined;
  insert: (text: string) => void;
  append: (text: string) => void;
  focus: () => void;
}

const pause = 350;
const afterlife = 60_000;

/** The editor of queries. Its marks are those of the server's own compiler, which decides; the language service marks
 *  what it sees at once, until the server has spoken. */
export default function Editor({ value, onChange, onRun, vocabulary, ref }: {
  value: string; onChange: (text: string) => void; onRun: () => void; vocabulary: Vocabulary; ref?: Ref<EditorHandle>;
}) {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<monaco.editor.IStandaloneCodeEditor>(undefined);
  const handlers = useRef({ onChange, onRun });
  handlers.current = { onChange, onRun };
  const { shown } = useTheme();

  useEffect(() => { monaco.editor.setTheme(shown === 'dark' ? themeNames.dark : themeNames.light); }, [shown]);

  useEffect(() => {
    const model = monaco.editor.createModel(value, 'kusto');
    const e = monaco.editor.create(host.current!, {
      model, theme: shown === 'dark' ? themeNames.dark : themeNames.light, automaticLayout: true, minimap: { enabled: false }, fontSize: 13, scrollBeyondLastLine: false,
      fixedOverflowWidgets: true, ariaLabel: 'Query editor. Shift Enter runs the query, Control M lets Tab leave the editor.', suggest: { showWords: false },
      padding: { top: 8 }, renderLineHighlight: 'line', wordWrap: 'on', lineNumbersMinChars: 3, 'semanticHighlighting.enabled': true, unicodeHighlight: { ambiguousCharacters: true, invisibleCharacters: true },
    } as monaco.editor.IStandaloneEditorConstructionOptions);
    editor.current = e;
    e.addAction({ id: 'run', label: 'Run query', keybindings: [monaco.KeyMod.Shift | monaco.KeyCode.Enter, monaco.KeyMod.CtrlCmd | monaco.KeyCode.Enter], contextMenuGroupId: 'navigation', run: () => handlers.current.onRun() });
    let over = false;
    void teach(vocabulary, model.uri).then(() => {
      // What stands there is looked at again, now that the tables are known.
      if (!over) model.applyEdits([]);
    });
    let timer = 0;
    let asked: AbortController | undefined;
    const look = () => {
      asked?.abort();
      asked = new AbortController();
      void marks(model, asked.signal).catch(() => undefined);
    };
    const changed = model.onDidChangeContent(() => {
      handlers.current.onChange(model.getValue());
      window.clearTimeout(timer);
      timer = window.setTimeout(look, pause);
    });
    look();
    return () => {
      over = true;
      window.clearTimeout(timer);
      asked?.abort();
      changed.dispose();
      e.dispose();
      // The language service may still be at work on it, and looks for it when it is done.
      window.setTimeout(() => model.dispose(), afterlife);
      editor.current = undefined;
    };
    // The editor lives as long as its tab; what it is given at first is where it begins.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [vocabulary]);

  useEffect(() => {
    const model = editor.current?.getModel();
    if (model && model.getValue() !== value) model.setValue(value);
  }, [value]);

  useImperativeHandle(ref, () => ({
    current: () => {
      const e = editor.current;
      const model = e?.getModel();
      if (!e || !model) return undefined;
      const s = e.getSelection();
      if (s && !s.isEmpty()) return { text: model.getValueInRange(s), from: model.getOffsetAt(s.getStartPosition()) };
      return paragraphAt(model.getValue(), model.getOffsetAt(e.getPosition() ?? model.getPositionAt(0)));
    },
    insert: (text) => {
      const e = editor.current;
      if (!e) return;
      e.executeEdits('insert', [{ range: e.getSelection()!, text, forceMoveMarkers: true }]);
      e.focus();
    },
    append: (text) => {
      const e = editor.current;
      const model = e?.getModel();
      if (!e || !model) return;
      const before = model.getValue().trimEnd();
      model.setValue(before === '' ? text : `${before}\n\n${text}`);
      const end = model.getPositionAt(model.getValueLength());
      e.setPosition(end);
      e.revealPosition(end);
      e.focus();
    },
    focus: () => editor.current?.focus(),
  }), []);

  return <div ref={host} style={{ height: '100%', width: '100%' }} />;
}

/** Asks the server what it makes of each query and marks what is wrong. */
async function marks(model: monaco.editor.ITextModel, signal: AbortSignal): Promise<void> {
  const text = model.getValue();
  const version = model.getVersionId();
  const out: monaco.editor.IMarkerData[] = [];
  for (const p of paragraphs(text).slice(0, 20)) {
    // A text of comments alone is no query.
    if (p.text.split('\n').every((l) => /^\s*(\/\/.*)?$/.test(l))) continue;
    const { problems } = await check(p.text, signal);
    const place = fromBytes(p.text);
    for (const x of problems) {
      const from = model.getPositionAt(p.from + place(x.offset));
      const to = model.getPositionAt(p.from + place(x.offset + Math.max(1, x.length)));
      out.push({
        severity: monaco.MarkerSeverity.Error, code: x.code, source: 'Vedette', message: x.suggestion ? `${x.message} Did you mean ${x.suggestion}?` : x.message,
        startLineNumber: from.lineNumber, startColumn: from.column, endLineNumber: to.lineNumber, endColumn: to.column,
      });
    }
  }
  if (signal.aborted || model.isDisposed() || model.getVersionId() !== version) return;
  monaco.editor.setModelMarkers(model, 'vedette', out);
  // The server has spoken: where it sees nothing wrong, nothing is.
  monaco.editor.setModelMarkers(model, 'kusto', []);
}
