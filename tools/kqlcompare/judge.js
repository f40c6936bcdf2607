// Says what Kusto's own parser makes of queries: the judge that package kqlcompare asks.
//
// The first line of standard input is {"tables": [{name, columns: [[name, type]…]}…],
// "functions": [{name, text}…]}; every further line is {"text": …}. Each of these is
// answered by one line: {"valid": true, "columns": [[name, type]…], "open": whether
// there may be more that depend on rows}, or {"valid": false,
// "errors": [{"message", "start"}…]}, or {"broken": …} where the parser itself fails.
//
// With the argument "signatures" it prints instead, one a line, the scalar functions and
// aggregates that the parser knows, with the types that their parameters take.
'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const dir = path.join(__dirname, 'node_modules/@kusto/language-service-next');
for (const f of ['bridge.min.js', 'Kusto.Language.Bridge.min.js']) {
  vm.runInThisContext(fs.readFileSync(path.join(dir, f), 'utf8'), { filename: f });
}
const { Aggregates, Functions, GlobalState, KustoCode, Symbols } = Kusto.Language;

function list(l) {
  const out = [];
  for (let i = 0; l && i < (l.Count ?? l.length); i++) out.push(l.getItem ? l.getItem(i) : l[i]);
  return out;
}

function signatures(kind, all) {
  return list(all).map(f => JSON.stringify({
    kind, name: f.Name,
    signatures: list(f.Signatures).map(s => ({
      min: s.MinArgumentCount, max: s.MaxArgumentCount,
      params: list(s.Parameters).map(p => list(p.DeclaredTypes).map(t => t.Name)),
    })),
  }));
}

function judge(text, state) {
  try {
    const code = KustoCode.ParseAndAnalyze(text, state);
    const errors = list(code.GetDiagnostics()).filter(d => d.Severity === 'Error').map(d => ({ message: d.Message, start: d.Start }));
    if (errors.length > 0) return { valid: false, errors };
    const result = code.ResultType;
    return { valid: true, open: !!(result && result.IsOpen), columns: list(result && result.Columns).map(c => [c.Name, c.Type.Name]) };
  } catch (e) {
    return { broken: String(e && (e.message || e.Message) || e).slice(0, 200) };
  }
}

let out = [];
if (process.argv[2] === 'signatures') {
  out = [...signatures('function', Functions.All), ...signatures('aggregate', Aggregates.All)];
} else {
  const [head, ...lines] = fs.readFileSync(0, 'utf8').split('\n').filter(Boolean).map(l => JSON.parse(l));
  const tables = (head.tables || []).map(t =>
    Symbols.TableSymbol.From('(' + t.columns.map(c => c.join(':')).join(', ') + ')').WithName(t.name));
  const functions = (head.functions || []).map(f => {
    const at = f.text.indexOf('{');
    return new Symbols.FunctionSymbol.$ctor16(f.name, f.text.slice(0, at), f.text.slice(at), null);
  });
  const state = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor1('db', [...tables, ...functions]));
  out = lines.map(l => JSON.stringify(judge(l.text, state)));
}
process.stdout.write(out.map(l => l + '\n').join(''));
