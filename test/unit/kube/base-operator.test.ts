import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import dotI, { type OperatorLogger } from '@dot-i/k8s-operator';
import { SafeOperator } from '../../../operator/kube/base-operator.ts';
import { OpKubeConfig } from '../../../operator/kube/kube-config.ts';

const LOGGER: OperatorLogger = { debug() {}, info() {}, warn() {}, error() {} };

class Probe extends SafeOperator {
  readonly calls: string[] = [];

  protected override async init(): Promise<void> {
    this.calls.push('init');
  }

  protected override async shutDown(): Promise<void> {
    this.calls.push('shutDown');
  }

  get config(): unknown {
    return this.kubeConfig;
  }
}

/** Life cycle: what may be reached of the base class. */
const ALLOWED = ['constructor', 'start', 'init'];
/** Called by the base class's own overridden members only. */
const PRIVATE = ['resourceStatusRequest', 'errorToJson'];

describe('SafeOperator', () => {
  const base = dotI.default.prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
  const originals = new Map<string, (...args: unknown[]) => unknown>();
  const reached: string[] = [];
  const exit = Reflect.get(process, 'exit') as typeof process.exit;

  beforeEach(() => {
    reached.length = 0;
    for (const name of Object.getOwnPropertyNames(base)) {
      const original = base[name];
      if (ALLOWED.includes(name) || original === undefined) continue;
      originals.set(name, original);
      base[name] = () => reached.push(name);
    }
    process.exit = (() => reached.push('process.exit')) as unknown as typeof process.exit;
  });

  afterEach(() => {
    for (const [name, original] of originals) base[name] = original;
    process.exit = exit;
  });

  it('overrides every member of the base class that does more than the life cycle', () => {
    const members = Object.getOwnPropertyNames(base).filter((name) => ![...ALLOWED, ...PRIVATE].includes(name));
    assert.deepEqual(
      members.filter((name) => !Object.hasOwn(SafeOperator.prototype, name)),
      [],
    );
    assert.ok(
      members.includes('watchResource') && members.includes('stop') && members.includes('setResourceFinalizers'),
    );
  });

  it('refuses each of them without reaching the base class or ending the process', () => {
    const operator = new Probe(new OpKubeConfig('test'), LOGGER) as unknown as Record<string, () => unknown>;
    for (const name of Object.getOwnPropertyNames(SafeOperator.prototype)) {
      if (!Object.hasOwn(base, name) || name === 'stop' || ALLOWED.includes(name)) continue;
      assert.throws(() => operator[name]?.(), new RegExp(`^Error: ${name} of @dot-i/k8s-operator must not be used`));
    }
    assert.deepEqual(reached, []);
  });

  it('starts by init and stops once by shutDown', async () => {
    const operator = new Probe(new OpKubeConfig('test'), LOGGER);
    await operator.start();
    operator.stop();
    operator.stop();
    await operator.stopped;
    assert.deepEqual(operator.calls, ['init', 'shutDown']);
    assert.deepEqual(reached, []);
  });

  it('uses the configuration it is given and reads no other', () => {
    const before = process.env.KUBECONFIG;
    const directory = mkdtempSync(join(tmpdir(), 'no-kubeconfig-'));
    process.env.KUBECONFIG = join(directory, 'missing');
    try {
      const config = new OpKubeConfig('test');
      assert.equal(new Probe(config, LOGGER).config, config);
      assert.throws(() => new OpKubeConfig('test').loadFromDefault(), /ENOENT/);
    } finally {
      if (before === undefined) delete process.env.KUBECONFIG;
      else process.env.KUBECONFIG = before;
      rmSync(directory, { recursive: true });
    }
  });

  it('survives a shutdown that fails, and tells who waits', async () => {
    class Failing extends Probe {
      protected override async shutDown(): Promise<void> {
        throw new Error('stuck');
      }
    }
    const operator = new Failing(new OpKubeConfig('test'), LOGGER);
    operator.stop();
    await assert.rejects(operator.stopped, /stuck/);
    assert.deepEqual(reached, []);
  });
});
