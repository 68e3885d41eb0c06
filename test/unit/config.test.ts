import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { readConfig } from '../../operator/config.ts';

describe('Configuration', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'config-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function withFile(text: string): ReturnType<typeof readConfig> {
    const path = join(folder, 'config.yaml');
    writeFileSync(path, text);
    return readConfig(['--namespace', 'ipvs-system', '--config', path]);
  }

  function refusal(result: ReturnType<typeof readConfig>): string {
    assert.equal(result.ok, false);
    return result.ok ? '' : result.message;
  }

  it('has a default for everything but the namespace', () => {
    const result = readConfig(['--kubeconfig', 'admin.conf', '--namespace', 'ipvs-system']);
    assert.deepEqual(result, {
      ok: true,
      config: {
        kubeconfig: 'admin.conf',
        namespace: 'ipvs-system',
        logLevel: 'info',
        claimUnclassed: false,
        neverAssign: [],
        aliases: [],
        adoptIngress: false,
        kubeProxy: { newNodeSeconds: 10, newEndpointSeconds: 3 },
        health: { host: '0.0.0.0', port: 8081 },
        lease: { enabled: true, name: 'ipvs-operator' },
        limits: { serviceWorkers: 16, parallelDials: 8 },
      },
    });
  });

  it('is shown with every field and its default in config/configured', () => {
    const path = new URL('../../config/configured/config.yaml', import.meta.url).pathname;
    const shown: unknown = parse(readFileSync(path, 'utf8'));
    const read = readConfig(['--namespace', 'ipvs-system']);
    assert.ok(read.ok);
    const { kubeconfig, namespace, ...defaults } = read.config;
    assert.deepEqual([shown, kubeconfig, namespace], [defaults, undefined, 'ipvs-system']);
    assert.deepEqual(readConfig(['--namespace', 'ipvs-system', '--config', path]), read);
  });

  it('reads addresses that are never given, and says what is wrong with one', () => {
    const read = withFile('neverAssign: [192.0.2.1, "2001:db8:f::/112"]\n');
    assert.deepEqual(read.ok && read.config.neverAssign, [
      { family: 'IPv4', first: 0xc0000201n, last: 0xc0000201n },
      { family: 'IPv6', first: 0x20010db8000f00000000000000000000n, last: 0x20010db8000f0000000000000000ffffn },
    ]);
    assert.match(
      refusal(withFile('neverAssign: [192.0.2.1, gateway]\n')),
      /config\.yaml: neverAssign\.1: 'gateway' is not an address, a CIDR or a range a-b: write for example/,
    );
  });

  it('takes what the file says, YAML or JSON, and defaults for the rest', () => {
    const yaml = withFile('claimUnclassed: true\nhealth:\n  port: 0\n');
    assert.deepEqual(yaml.ok && [yaml.config.claimUnclassed, yaml.config.health], [true, { host: '0.0.0.0', port: 0 }]);
    const json = withFile('{"lease": {"enabled": false}}');
    assert.deepEqual(json.ok && json.config.lease, { enabled: false, name: 'ipvs-operator' });
    assert.ok(withFile('').ok, 'an empty file');
  });

  const refused: readonly [string, string, RegExp][] = [
    ['an unknown field', 'healt: {}', /config\.yaml: unknown field healt$/],
    ['an unknown field inside another', 'health: {prot: 1}', /config\.yaml: unknown field health\.prot$/],
    ['a value of the wrong kind', 'claimUnclassed: maybe', /config\.yaml: claimUnclassed: /],
    [
      'a wait that is too long',
      'kubeProxy: {newEndpointSeconds: 601}',
      /config\.yaml: kubeProxy\.newEndpointSeconds: /,
    ],
    ['a port that is none', 'health: {port: 70000}', /config\.yaml: health\.port: /],
    ['a file that is no YAML', 'a: [', /config\.yaml cannot be read: /],
    ['a file that is no mapping', 'info', /config\.yaml: the configuration must be a mapping/],
  ];
  for (const [what, text, message] of refused) {
    it(`refuses ${what} in one line that names it`, () => {
      const line = refusal(withFile(text));
      assert.match(line, message);
      assert.doesNotMatch(line, /\n/);
    });
  }

  it('refuses a flag that does not exist, a missing namespace and a missing file', () => {
    assert.match(refusal(readConfig(['--kubeconfg', 'x'])), /'--kubeconfg'.*usage: /);
    assert.match(refusal(readConfig(['--kubeconfig', 'x'])), /^--namespace is missing/);
    assert.match(
      refusal(readConfig(['--namespace', 'x', '--config', join(folder, 'none')])),
      /none cannot be read: ENOENT/,
    );
  });
});
