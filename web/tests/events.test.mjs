import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join } from 'node:path';

const { Events, fixed, merge } = await import(join(process.env.MODULES, 'events.mjs'));

/** A server with events at these seconds, of which several may be at one. */
class Server {
  constructor(seconds) { this.list = []; this.asked = 0; for (const s of seconds) this.add(s); }

  add(second) {
    const timestamp = new Date(Date.UTC(2026, 0, 1) + second * 1000).toISOString();
    const n = this.list.length;
    this.list.push({ key: `e${n}`, at: timestamp, place: { timestamp, reportId: n, ingestionTime: timestamp } });
  }

  sorted() { return this.list.toSorted((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : b.place.reportId - a.place.reportId)); }

  source = {
    section: async (after, until, top) => {
      this.asked++;
      await new Promise((r) => { setTimeout(r, 1); });
      if (this.broken) throw new Error('broken');
      const older = (e, p) => (e.at === p.timestamp ? e.place.reportId < p.reportId : e.at < p.timestamp);
      const all = this.sorted().filter((e) => (!after || older(e, after)) && (!until || !older(e, until)));
      const events = all.slice(0, top);
      return { events, cut: all.length > top, last: events.at(-1)?.place };
    },
    outline: async (every) => {
      await new Promise((r) => { setTimeout(r, 3); });
      if (this.lost) throw new Error('lost');
      const all = this.sorted();
      return { total: all.length, every, landmarks: all.filter((_, i) => (i + 1) % every === 0).map((e) => e.place) };
    },
  };
}

const idle = async (events) => {
  for (let quiet = 0; quiet < 3;) {
    await new Promise((r) => { setTimeout(r, 50); });
    quiet = events.busy ? 0 : quiet + 1;
  }
};
const keys = (events, from, to) => { const known = events.read(); return Array.from({ length: to - from }, (_, i) => known.at(from + i)?.key); };
const many = (n, seed = 1) => { let x = seed; return Array.from({ length: n }, () => { x = (x * 48271) % 2147483647; return x % 60; }); };

test('times of any length are in order as texts', () => {
  assert.ok(fixed('2026-01-01T00:00:00Z') < fixed('2026-01-01T00:00:00.0000001Z'));
  assert.ok(fixed('2026-01-01T00:00:00.5Z') > fixed('2026-01-01T00:00:00.4999999Z'));
  assert.equal(fixed('2026-01-01T00:00:00.1Z'), fixed('2026-01-01T00:00:00.1000000Z'));
});

test('any place of a long list is there after a look, and no more than a few parts are kept', async () => {
  const server = new Server(many(5000));
  const all = server.sorted().map((e) => e.key);
  const events = new Events(server.source, 50, 6);
  events.start();
  events.look(0, 20);
  await idle(events);
  assert.equal(events.read().count, 5000);
  assert.ok(events.read().whole);
  for (const at of [4000, 0, 2475, 4980, 49, 51]) {
    events.look(at, at + 20);
    await idle(events);
    assert.deepEqual(keys(events, at, at + 20), all.slice(at, at + 20), `rows at ${at}`);
  }
  assert.ok(keys(events, 0, 5000).filter(Boolean).length <= 6 * 50);
});

test('who scrolls through all of it sees every event once, both ways, while others come in', async () => {
  const server = new Server(many(600));
  const events = new Events(server.source, 40, 5);
  events.start();
  events.look(0, 30);
  await idle(events);
  const border = server.sorted()[79].key;
  for (const s of many(100, 7)) server.add(s);
  const all = server.sorted().map((e) => e.key);
  // The two newest parts were read before the others came in, and are read again on the way back.
  const late = new Set(all.slice(0, all.indexOf(border)).filter((k) => Number(k.slice(1)) >= 600));
  for (const up of [false, true]) {
    const seen = [];
    // What is in sight stays there when rows come in above it: the pointer moves with it.
    let above = events.read().above;
    let at = up ? events.read().count - 1 : 0;
    for (;;) {
      events.look(Math.max(0, at - 5), Math.min(events.read().count, at + 5));
      while (events.busy || !events.read().at(at)) await new Promise((r) => { setTimeout(r, 2); });
      at += events.read().above - above;
      above = events.read().above;
      const e = events.read().at(at);
      if (!e) break;
      seen.push(e.key);
      at += up ? -1 : 1;
      if (at < 0 || at >= events.read().count) break;
    }
    assert.equal(new Set(seen).size, seen.length, 'an event was shown twice');
    assert.deepEqual(up ? seen.toReversed() : seen, up ? all : all.filter((k) => !late.has(k)));
  }
});

test('without an outline the list grows as it is looked at', async () => {
  const server = new Server(many(130));
  server.lost = true;
  const events = new Events(server.source, 50, 24);
  events.start();
  await idle(events);
  assert.match(String(events.read().error), /lost/);
  for (let at = 0; at < events.read().count; at += 10) {
    events.look(at, at + 10);
    await idle(events);
  }
  assert.deepEqual(keys(events, 0, 130), server.sorted().map((e) => e.key));
  assert.equal(events.read().count, 130);
});

test('what could not be read is read when it is asked for again', async () => {
  const server = new Server(many(100));
  const events = new Events(server.source, 40, 24);
  events.start();
  await idle(events);
  server.broken = true;
  events.look(90, 100);
  await idle(events);
  assert.match(String(events.read().error), /broken/);
  assert.equal(events.read().at(95), undefined);
  server.broken = false;
  events.retry();
  await idle(events);
  assert.equal(events.read().error, undefined);
  assert.equal(events.read().at(95).key, server.sorted()[95].key);
});

test('alerts are among the events of their time', async () => {
  const server = new Server(many(200));
  const events = new Events(server.source, 50, 24);
  const alerts = [59.5, 30, 29.5, 3, -10].map((s, i) => ({ key: `alert/${i}`, at: new Date(Date.UTC(2026, 0, 1) + s * 1000).toISOString() }));
  events.start();
  events.raise(alerts);
  for (let at = 0; at < 205; at += 40) { events.look(at, Math.min(205, at + 40)); await idle(events); }
  assert.equal(events.read().count, 205);
  assert.deepEqual(keys(events, 0, 205), merge(server.sorted(), alerts).map((e) => e.key));
  const { index, exact } = events.indexOf(alerts[2].at);
  assert.ok(exact);
  assert.equal(events.read().at(index).key, 'alert/2');
  assert.equal(events.timeAt(index), Date.parse(alerts[2].at));
});
