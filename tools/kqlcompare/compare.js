// Compares vedette with Kusto's own parser on a corpus of {"text": …} lines: which queries
// are accepted, and the names and types of their results.
//
//   npm install --prefix tools/kqlcompare
//   node tools/kqlcompare/compare.js CORPUS.jsonl [bin/vedette]
//
// TimeGenerated is read as Timestamp, its other name. A query that invokes a function of
// the hunting schema is left out: Kusto's parser does not know those. Exits with 1 below
// 99 % of the valid queries accepted or 98 % of their schemas equal.
'use strict';
const fs = require('fs');
const os = require('os');
const path = require('path');
const vm = require('vm');
const { spawnSync } = require('child_process');

const [corpus, vedette = 'bin/vedette'] = process.argv.slice(2);
if (!corpus) {
  console.error('usage: compare.js CORPUS.jsonl [bin/vedette]');
  process.exit(2);
}
const dir = path.join(__dirname, 'node_modules/@kusto/language-service-next');
for (const f of ['bridge.min.js', 'Kusto.Language.Bridge.min.js']) {
  vm.runInThisContext(fs.readFileSync(path.join(dir, f), 'utf8'), { filename: f });
}
const { KustoCode, GlobalState, Symbols } = Kusto.Language;

function run(...args) {
  const r = spawnSync(vedette, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (r.error) throw r.error;
  return r.stdout;
}

const types = ['', 'bool', 'int', 'long', 'real', 'decimal', 'string', 'datetime', 'timespan', 'guid', 'dynamic'];
const tables = JSON.parse(run('schema', '-o', 'json')).map(t => {
  const cols = t.Columns.filter(c => !c.Hidden).map(c => c.Name + ':' + (c.JSON ? 'dynamic' : types[c.Type]));
  return Symbols.TableSymbol.From('(' + cols.join(', ') + ')').WithName(t.Name);
});
const state = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor1('db', tables));

const own = /\b(FileProfile|DeviceFromIP|AssignedIPAddresses|SeenBy)\b/;
const texts = fs.readFileSync(corpus, 'utf8').split('\n').filter(l => l.trim())
  .map(l => JSON.parse(l).text.replace(/\bTimeGenerated\b/g, 'Timestamp')).filter(t => !own.test(t));
const tmp = fs.mkdtempSync(path.join(os.tmpdir(), 'kqlcompare-'));
fs.writeFileSync(path.join(tmp, 'in.jsonl'), texts.map(text => JSON.stringify({ text }) + '\n').join(''));
run('kql', 'corpus', path.join(tmp, 'in.jsonl'), '--report', path.join(tmp, 'out.jsonl'));
const ours = fs.readFileSync(path.join(tmp, 'out.jsonl'), 'utf8').split('\n').filter(Boolean).map(l => JSON.parse(l));
fs.rmSync(tmp, { recursive: true });

let valid = 0, accepted = 0, same = 0, invalid = 0, refused = 0;
texts.forEach((text, i) => {
  const code = KustoCode.ParseAndAnalyze(text, state);
  const errors = [];
  const all = code.GetDiagnostics();
  for (let k = 0; k < all.Count; k++) {
    if (all.getItem(k).Severity === 'Error') errors.push(all.getItem(k).Message);
  }
  if (errors.length > 0) {
    invalid++;
    if (!ours[i].bound) refused++;
    return;
  }
  valid++;
  if (!ours[i].bound) {
    console.log(`query ${i + 1}: refused: ${ours[i].error}`);
    return;
  }
  accepted++;
  const theirs = [];
  const result = code.ResultType;
  for (let k = 0; result && result.Columns && k < result.Columns.Count; k++) {
    const c = result.Columns.getItem(k);
    theirs.push(c.Name + ':' + c.Type.Name);
  }
  const mine = (ours[i].columns || []).map(c => c.join(':'));
  if (theirs.join() === mine.join()) {
    same++;
    return;
  }
  const k = theirs.findIndex((c, n) => c !== mine[n]);
  console.log(`query ${i + 1}: column ${k + 1} is ${mine[k]}, Kusto's is ${theirs[k]} (${mine.length} and ${theirs.length} columns)`);
});
console.log(`${accepted} of ${valid} valid queries accepted, ${same} with the same schema; ${refused} of ${invalid} invalid ones refused`);
process.exit(accepted >= 0.99 * valid && same >= 0.98 * accepted ? 0 : 1);
