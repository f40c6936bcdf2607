import { Button, Combobox, Field, Input, Option, Textarea } from '@fluentui/react-components';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { ApiError, call, get } from '../../api/client';
import { stringify } from '../../api/json';
import { Failure, Waiting } from '../../ui/states';
import css from './settings.module.css';

interface Document { paths: Record<string, Record<string, { summary?: string; parameters?: { name: string; in: string; description?: string; required?: boolean }[]; requestBody?: { content?: Record<string, { schema?: { $ref?: string } }> } }>>; components: { schemas: Record<string, { properties?: Record<string, { type?: unknown }>; required?: string[] }> } }

const methods = ['get', 'post', 'put', 'patch', 'delete'];

/** Every route of the API, to be tried as whoever is signed in. */
export function Explorer() {
  const doc = useQuery({ queryKey: ['/api/openapi.json'], staleTime: Infinity, queryFn: () => get<Document>('/api/openapi.json') });
  const routes = useMemo(() => Object.entries(doc.data?.paths ?? {}).flatMap(([p, of]) => methods.filter((m) => of[m]).map((m) => ({ id: `${m.toUpperCase()} ${p}`, method: m.toUpperCase(), path: p, of: of[m] }))).filter((r) => !/oauth2|discovery|well-known/.test(r.path)), [doc.data]);
  const [id, setID] = useState('GET /api/alerts');
  const [typed, setTyped] = useState(id);
  const [values, setValues] = useState<Record<string, string>>({ $top: '5' });
  const [body, setBody] = useState('');
  const [answer, setAnswer] = useState<{ text: string; status: string; ms: number }>();
  const [busy, setBusy] = useState(false);
  if (doc.isPending) return <Waiting />;
  if (doc.error) return <Failure error={doc.error} retry={() => void doc.refetch()} />;
  const route = routes.find((r) => r.id === id);
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = typed === id ? routes : routes.filter((r) => words.every((w) => `${r.id} ${r.of.summary ?? ''}`.toLowerCase().includes(w)));
  const inPath = [...(route?.path ?? '').matchAll(/\{(\w+)\}/g)].map((m) => m[1]);
  const inQuery = (route?.of.parameters ?? []).filter((p) => p.in === 'query');
  const choose = (next: string) => {
    setID(next);
    setTyped(next);
    setAnswer(undefined);
    const r = routes.find((x) => x.id === next);
    const name = r?.of.requestBody?.content?.['application/json']?.schema?.$ref?.split('/').at(-1);
    const properties = name ? doc.data.components.schemas[name]?.properties : undefined;
    setBody(properties ? JSON.stringify(Object.fromEntries((doc.data.components.schemas[name!].required ?? Object.keys(properties).slice(0, 4)).map((k) => [k, properties[k]?.type === 'array' ? [] : properties[k]?.type === 'boolean' ? false : properties[k]?.type === 'integer' ? 0 : ''])), null, 2) : '');
  };
  const send = async () => {
    if (!route) return;
    setBusy(true);
    const begin = performance.now();
    const path = route.path.replace(/\{(\w+)\}/g, (_, n: string) => encodeURIComponent(values[n] ?? ''));
    const params = Object.fromEntries(inQuery.map((p) => [p.name, values[p.name]]));
    try {
      const parsed: unknown = body.trim() && route.method !== 'GET' ? JSON.parse(body) : undefined;
      const r = await call<unknown>(route.method, path, { params, body: parsed });
      setAnswer({ text: r === undefined ? '(no body)' : stringify(r, 2).slice(0, 200_000), status: 'OK', ms: performance.now() - begin });
    } catch (e) {
      setAnswer({ text: e instanceof Error ? e.message : String(e), status: e instanceof ApiError ? `${e.status} ${e.code}` : 'The body is no JSON', ms: performance.now() - begin });
    }
    setBusy(false);
  };
  return (
    <>
      <div className={css.head}><h2>API explorer</h2></div>
      <p className={css.text}>Calls go out as you, with your permissions, and change what they change. {routes.length} operations.</p>
      <form className={css.form} onSubmit={(e) => { e.preventDefault(); void send(); }}>
        <Field label="Operation"><Combobox value={typed} selectedOptions={[id]} freeform={false} onChange={(e) => setTyped(e.target.value)} onBlur={() => setTyped(id)} onOptionSelect={(_, d) => d.optionValue && choose(d.optionValue)}>{shown.slice(0, 60).map((r) => <Option key={r.id} value={r.id} text={r.id}><span><strong>{r.id}</strong> <span className="quiet">{r.of.summary}</span></span></Option>)}</Combobox></Field>
        {inPath.map((n) => <Field key={n} label={n} required><Input value={values[n] ?? ''} onChange={(_, v) => setValues({ ...values, [n]: v.value })} /></Field>)}
        {inQuery.map((p) => <Field key={p.name} label={p.name} hint={p.description}><Input value={values[p.name] ?? ''} onChange={(_, v) => setValues({ ...values, [p.name]: v.value })} /></Field>)}
        {route && route.method !== 'GET' && <Field label="Body"><Textarea className="mono" rows={8} value={body} onChange={(_, v) => setBody(v.value)} /></Field>}
        <div><Button type="submit" appearance="primary" disabled={!route || busy}>{busy ? 'Sending…' : 'Send'}</Button></div>
      </form>
      {answer && <section aria-label="Answer" style={{ marginTop: 16 }}><p role="status"><strong>{answer.status}</strong> <span className="quiet">{answer.ms.toFixed(0)} ms</span></p><pre className={css.answer} tabIndex={0}>{answer.text}</pre></section>}
    </>
  );
}
