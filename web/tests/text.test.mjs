import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join } from 'node:path';

const { parse, stringify, shown, spelt, shownJSON, meant, meantJSON } = await import(join(process.env.MODULES, 'text.mjs'));

const names = ['plain', 'ab\u202egnp.exe', 'sv\u200bchost', '\u001b]0;x\u0007', 'a\\u202eb', '\\', '\\\\u001b', '⟪RLO⟫', '⟪U+001B⟫', 'a\tb\nc\r', '\u2028', 'e\u0301 日本 😀', '\u0085\u009b', '\b\f', '"\u202d"', '\ufeff\u3164'];

test('what hides or turns is spelled out', () => {
  for (const [said, want] of [['ab\u202egnp.exe', 'ab⟪RLO⟫gnp.exe'], ['sv\u200bchost', 'sv⟪U+200B⟫chost'], ['\u001b[31m', '⟪U+001B⟫[31m'], ['⟪RLO⟫', '⟪U+27EA⟫RLO⟫'], ['a\tb\nc', 'a\tb\nc'], ['日本 😀', '日本 😀']]) {
    assert.equal(shown(said), want);
  }
  assert.equal(spelt('⟪RLO⟫\u202e'), '⟪RLO⟫⟪RLO⟫');
});

test('it is the same in the text of JSON, however that writes it', () => {
  const escaped = (s) => `"${[...s].map((c) => [...Array(c.length).keys()].map((i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')).join('')}"`;
  for (const name of names) {
    assert.equal(JSON.parse(shownJSON(JSON.stringify(name))), shown(name), JSON.stringify(name));
    assert.equal(JSON.parse(shownJSON(escaped(name))), shown(name), `escaped ${JSON.stringify(name)}`);
    assert.equal(JSON.parse(shownJSON(JSON.stringify({ [name]: [name] })))[shown(name)][0], shown(name));
  }
});

test('it goes back as it was', () => {
  for (const name of names) {
    assert.equal(meant(shown(name)), name);
    assert.equal(JSON.parse(meantJSON(JSON.stringify(shown(name)))), name);
  }
});

test('a name from anywhere in Unicode comes and goes', () => {
  for (let c = 0; c <= 0xffff; c++) {
    if (c >= 0xd800 && c <= 0xdfff) continue;
    const name = `a${String.fromCharCode(c)}b`;
    const there = JSON.parse(shownJSON(JSON.stringify(name)));
    assert.equal(there, shown(name));
    assert.equal(JSON.parse(meantJSON(JSON.stringify(there))), name);
  }
});

// Older runtimes do not say how a number was written; the browsers that the portal is for do.
const says = JSON.parse('1', (_, v, context) => context !== undefined) === true;

test('whole numbers of 64 bits are exact', { skip: !says && 'this Node does not know the text of numbers; e2e asks a browser' }, () => {
  const text = '{"a":9223372036854775807,"b":[-9007199254740993,5,1.5,9007199254740991],"c":"9007199254740993","d":1e300,"e":12345678901234567.5}';
  const v = parse(text);
  assert.equal(v.a, 9223372036854775807n);
  assert.deepEqual(v.b, [-9007199254740993n, 5, 1.5, 9007199254740991]);
  assert.equal(v.c, '9007199254740993');
  assert.equal(v.d, 1e300);
  assert.equal(stringify(v).replace(/,"d".*/, ''), text.replace(/,"d".*/, ''));
});

test('writing exact numbers writes numbers', () => {
  assert.equal(stringify({ a: 9223372036854775807n, b: '9007199254740993', c: [-1n] }), '{"a":9223372036854775807,"b":"9007199254740993","c":[-1]}');
  assert.equal(stringify([1, 'x', null]), '[1,"x",null]');
});
