import assert from 'node:assert/strict';
import { DONE, type Outcome } from '../../../operator/controllers/outcome.ts';
import { WorkQueue } from '../../../operator/controllers/work-queue.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { FakeLog } from '../../fakes/fake-log.ts';

describe('WorkQueue', () => {
  let clock: FakeClock;
  let log: FakeLog;
  /** Keys in the order in which they were worked on. */
  let runs: string[];

  beforeEach(() => {
    clock = new FakeClock();
    log = new FakeLog();
    runs = [];
  });

  function aQueue(outcomeOf: (key: string) => Outcome | Promise<Outcome> = () => DONE, workers = 2): WorkQueue<string> {
    return new WorkQueue({
      name: 'test',
      workers,
      backoff: { baseMs: 100, capMs: 1_000 },
      clock,
      log,
      reconcile: async (key) => {
        runs.push(key);
        return outcomeOf(key);
      },
    });
  }

  it('does nothing before it is started, and then works in order of arrival, each key once', async () => {
    const queue = aQueue(undefined, 1);
    for (const key of ['b', 'a', 'b', 'c', 'a']) queue.add(key);
    await clock.settle();
    assert.deepEqual(runs, []);
    queue.start();
    await clock.settle();
    assert.deepEqual(runs, ['b', 'a', 'c']);
    assert.ok(queue.idle);
  });

  it('lets patient keys give way to others, but not for ever', async () => {
    const queue = aQueue(undefined, 1);
    for (const key of ['p1', 'p2', 'p3', 'p1']) queue.addPatiently(key);
    for (let index = 0; index < 10; index += 1) queue.add(`u${index}`);
    queue.add('p3');
    queue.addPatiently('u9');
    assert.equal(queue.depth, 13);
    queue.start();
    await clock.settle();
    const urgent = Array.from({ length: 8 }, (_, index) => `u${index}`);
    assert.deepEqual(runs, [...urgent, 'p1', 'u8', 'u9', 'p3', 'p2']);
    assert.ok(queue.idle);
  });

  it('runs a key again that was added while it was worked on, and never twice at once', async () => {
    const gate = Promise.withResolvers<Outcome>();
    const queue = aQueue(() => gate.promise);
    queue.start();
    queue.add('a');
    await clock.settle();
    queue.add('a');
    queue.add('a');
    await clock.settle();
    assert.deepEqual(runs, ['a']);
    gate.resolve(DONE);
    await clock.settle();
    assert.deepEqual(runs, ['a', 'a']);
  });

  it('works on no more keys at once than it has workers', async () => {
    const gates = new Map<string, PromiseWithResolvers<Outcome>>();
    const queue = aQueue((key) => {
      const gate = Promise.withResolvers<Outcome>();
      gates.set(key, gate);
      return gate.promise;
    }, 2);
    queue.start();
    for (const key of ['a', 'b', 'c']) queue.add(key);
    await clock.settle();
    assert.deepEqual(runs, ['a', 'b']);
    assert.equal(queue.depth, 1);
    gates.get('b')?.resolve(DONE);
    await clock.settle();
    assert.deepEqual(runs, ['a', 'b', 'c']);
  });

  it('retries a failing key later each time, up to a limit, and soon again after a success', async () => {
    let fails = 6;
    const at: number[] = [];
    const queue = aQueue(() => {
      at.push(clock.monotonic());
      return fails-- > 0 ? { kind: 'retry', cause: 'injected' } : DONE;
    });
    queue.start();
    queue.add('a');
    await clock.advance(10_000);
    const waits = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    assert.equal(waits.length, 6);
    for (const [index, wait] of waits.entries()) {
      const nominal = Math.min(1_000, 100 * 2 ** index);
      assert.ok(
        wait >= nominal / 2 && wait <= nominal,
        `wait ${index} of ${wait} ms is not within ${nominal / 2} … ${nominal}`,
      );
    }
    fails = 1;
    at.length = 0;
    queue.add('a');
    await clock.advance(10_000);
    assert.ok((at[1] ?? 0) - (at[0] ?? 0) <= 100, 'the back-off began afresh');
  });

  it('logs a thrown error with its cause and tries the key again', async () => {
    let broken = true;
    const queue = aQueue(() => {
      if (!broken) return DONE;
      broken = false;
      throw new Error('a bug');
    });
    queue.start();
    queue.add('a');
    await clock.advance(1_000);
    assert.deepEqual(runs, ['a', 'a']);
    const [line] = log.lines.filter(({ level }) => level === 'error');
    assert.match(String(line?.fields.error), /a bug/);
  });

  it('comes back after exactly the time a reconcile asks for, unless something happens before', async () => {
    const queue = aQueue(() => (runs.length === 1 ? { kind: 'retryAfter', milliseconds: 500 } : DONE));
    queue.start();
    queue.add('a');
    await clock.advance(499);
    assert.deepEqual(runs, ['a']);
    await clock.advance(1);
    assert.deepEqual(runs, ['a', 'a']);
    runs.length = 0;
    queue.add('a');
    await clock.settle();
    queue.add('a');
    await clock.advance(10_000);
    assert.deepEqual(runs, ['a', 'a'], 'the earlier run has replaced the later one');
  });

  it('of two delays for one key keeps the shorter', async () => {
    const queue = aQueue();
    queue.start();
    queue.addAfter('a', 300);
    queue.addAfter('a', 100);
    queue.addAfter('a', 200);
    await clock.advance(100);
    assert.deepEqual(runs, ['a']);
    await clock.advance(1_000);
    assert.deepEqual(runs, ['a']);
  });

  it('waits for the next change of an object that cannot be helped', async () => {
    const queue = aQueue(() => ({ kind: 'giveUp', cause: 'injected' }));
    queue.start();
    queue.add('a');
    await clock.advance(100_000);
    assert.deepEqual(runs, ['a']);
    queue.add('a');
    await clock.settle();
    assert.deepEqual(runs, ['a', 'a']);
  });

  it('lets others have a turn while thousands of keys find nothing to do', async () => {
    const queue = aQueue();
    queue.start();
    let turns = 0;
    const turn = () => {
      turns += 1;
      if (!queue.idle) clock.schedule(0, turn);
    };
    clock.schedule(0, turn);
    for (let key = 0; key < 1_000; key += 1) queue.add(`key-${key}`);
    await clock.advance(1);
    assert.equal(runs.length, 1_000);
    assert.ok(turns > 10, `others had ${turns} turns`);
  });

  it('after stop begins nothing more, leaves no timer, and ends when what it works on has ended', async () => {
    const gate = Promise.withResolvers<Outcome>();
    const queue = aQueue(() => gate.promise, 1);
    queue.start();
    queue.add('a');
    queue.add('b');
    queue.addAfter('c', 100);
    await clock.settle();
    let stopped = false;
    const stopping = queue.stop().then(() => {
      stopped = true;
    });
    queue.add('d');
    await clock.settle();
    assert.equal(stopped, false);
    gate.resolve({ kind: 'retry', cause: 'injected' });
    await stopping;
    await clock.advance(10_000);
    assert.deepEqual(runs, ['a']);
    assert.equal(clock.pending, 0);
  });
});
