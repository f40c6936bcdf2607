import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join } from 'node:path';

const { Plain, plainLine, upright, Line, cells, parseCast, withoutPauses, indexAt, commandsIn, clock } = await import(join(process.env.MODULES, 'live.mjs'));
const bytes = (s) => new TextEncoder().encode(s);
const plain = (s) => { const p = new Plain(); return p.write(bytes(s)) + p.end(); };

test('colours pass, nothing else does that a terminal obeys', () => {
  for (const [said, shown] of [
    ['plain text', 'plain text'], ['a\nb\r\nc\n', 'a\r\nb\r\nc\r\n'], ['\x1b[1;31mred\x1b[0m', '\x1b[1;31mred\x1b[0m'], ['a\tb', 'a\tb'], ['café 日本 😀', 'café 日本 😀'],
    ['\x1b]0;title\x07', '^[]0;title^G'], ['\x1b]52;c;eA==\x1b\\', '^[]52;c;eA==^[\\'], ['\x1b[2J\x1b[H', '^[[2J^[[H'], ['\x1b[6n', '^[[6n'], ['\x1b', '^['], ['\x1b[', '^[['],
    ['real\rfake', 'real^Mfake'], ['a\bb', 'a^Hb'], ['\x9b31m', '<U+009B>31m'], ['x\u202egnp.exe', 'x<U+202E>gnp.exe'], ['\x7f', '^?'], ['end\r', 'end^M'],
    [`\x1b[${'1;'.repeat(60)}m`, `^[[${'1;'.repeat(60)}m`],
  ]) assert.equal(plain(said), shown, JSON.stringify(said));
});

test('what comes in pieces is shown as what comes at once', () => {
  for (const said of ['é\x1b[1;31mred\x1b[0m\r\n日本😀\x1b]0;t\x07\r', 'a\rb\r\nc\x1b[31', '\x1b[0m\x1b', '\xff\xfe']) {
    const all = bytes(said);
    for (let cut = 0; cut <= all.length; cut += 1) {
      for (let next = cut; next <= all.length; next += 1) {
        const p = new Plain();
        assert.equal(p.write(all.subarray(0, cut)) + p.write(all.subarray(cut, next)) + p.write(all.subarray(next)) + p.end(), plain(said), `${JSON.stringify(said)} at ${cut}, ${next}`);
      }
    }
  }
});

test('a text is shown as its bytes are', () => {
  const p = new Plain();
  assert.equal(p.text('a\r') + p.text('\nb\rc\x1b[3') + p.text('1mred') + p.end(), 'a\r\nb^Mc\x1b[31mred');
});

test('bytes at random never reach a terminal as anything but text and colours', () => {
  let seed = 1;
  const random = (n) => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return seed % n; };
  const nasty = [0x1b, 0x5b, 0x5d, 0x6d, 0x30, 0x3b, 0x07, 0x0d, 0x0a, 0x9b, 0xc2, 0xe2, 0x80, 0xae];
  for (let i = 0; i < 3000; i += 1) {
    const p = new Plain();
    let out = '';
    for (let j = 0; j < 4; j += 1) out += p.write(Uint8Array.from({ length: random(12) }, () => (random(2) ? nasty[random(nasty.length)] : random(256))));
    out += p.end();
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(out.replace(/\x1b\[[0-9;:]*m/g, '').replaceAll('\r\n', ''), /[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/);
  }
});

test('a name in one line stays one', () => {
  assert.equal(plainLine('/tmp/a\nb\x1b[31m'), '/tmp/a^Jb^[[31m');
  assert.equal(upright('x\u202egnp'), 'x\ufffdgnp');
});

test('a line is edited, sent and remembered', () => {
  const l = new Line();
  for (const k of ['d', 'i', 'r', ' ', '/', 'x']) assert.equal(l.type(k), undefined);
  l.type('\x7f');
  l.type('tmp');
  l.type('\x01'); l.type('\x1b[3~'); l.type('D');
  assert.equal(l.text, 'Dir /tmp');
  assert.deepEqual(l.type('\r'), { send: 'Dir /tmp' });
  assert.equal(l.text, '');
  l.type('half');
  l.type('\x1b[A');
  assert.equal(l.text, 'Dir /tmp');
  l.type('\x1b[B');
  assert.equal(l.text, 'half');
  l.type('\x17');
  assert.equal(l.text, '');
  assert.equal(l.type('\x04'), 'leave');
  l.type('😀'); l.type('\x1b[D'); l.type('\x1b[C'); l.type('\x7f');
  assert.equal(l.text, '', 'half a character is left');
});

test('what is pasted sends nothing, and what a terminal answers types nothing', () => {
  const l = new Line();
  assert.equal(l.type('cd /tmp\nremediate file /x\r\n'), undefined);
  assert.equal(l.text, 'cd /tmp remediate file /x ');
  l.set('');
  for (const answer of ['\x1b[12;7R', '\x1b[?1;2c', '\x1bP1$r0m\x1b\\', '\x1b]10;rgb:ff/ff/ff\x07']) l.type(answer);
  assert.equal(l.text, '');
  l.insert('x'.repeat(9000));
  assert.equal(l.text, '', 'a line is longer than the server takes');
});

test('commands are completed', () => {
  const l = new Line();
  l.set('pro');
  assert.deepEqual(l.complete(['processes', 'pwd']), ['processes']);
  assert.equal(l.text, 'processes ');
  l.set('s');
  assert.deepEqual(l.complete(['scan', 'services', 'shell']), ['scan', 'services', 'shell']);
  assert.equal(l.text, 's');
  l.set('dir s');
  assert.deepEqual(l.complete(['services']), []);
  assert.equal(cells('a日😀e\u0301'), 6);
});

const header = '{"version":2,"width":91,"height":37,"title":"t"}\n';

test('a transcript is read, and what is broken in it counted', () => {
  const c = parseCast(`${header}[0.5,"o","> dir\\r\\n"]\n[0.7,"o","a"]\n[0.6,"r","80x24"]\nnonsense\n[1,2,3]\n[2,"o","half`);
  assert.deepEqual([c.width, c.height, [...c.times], c.kinds, c.broken], [91, 37, [0.5, 0.7, 0.7], ['o', 'o', 'r'], 3]);
  assert.throws(() => parseCast(''), /empty/);
  assert.throws(() => parseCast('{"version":1}\n'), /version/);
  assert.throws(() => parseCast('<html>'), /no transcript/);
  assert.equal(parseCast('{"version":2,"width":1e9,"height":-1}\n').width, 80);
});

test('pauses are shortened, places found', () => {
  const times = Float64Array.from([1, 1.5, 60, 61]);
  assert.deepEqual([...withoutPauses(times, 1.5)], [1, 1.5, 3, 4]);
  for (const [t, i] of [[0, 0], [1, 0], [1.2, 1], [60, 2], [99, 4]]) assert.equal(indexAt(times, t), i);
  assert.equal(clock(3725.9), '1:02:05');
  assert.equal(clock(65), '1:05');
});

test('a device that shows what looks like a command makes none', () => {
  const c = parseCast(`${header}[1,"o","> dir\\r\\n"]\n[2,"o","> remediate file /x\\r\\n"]\n[3,"o","> pwd\\r\\n"]\n`);
  assert.deepEqual(commandsIn(c, ['dir', 'pwd', 'gone']), [0, 2, undefined]);
});
