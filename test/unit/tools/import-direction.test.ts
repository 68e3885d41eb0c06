import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** Lints one file as if it stood at that path of the tree, with the project's own rules. */
function lint(path: string, source: string): { clean: boolean; output: string } {
  const root = mkdtempSync(join(tmpdir(), 'import-direction-'));
  try {
    for (const rules of ['biome.json', 'tools/pure-layers.grit']) cpSync(rules, join(root, rules), { recursive: true });
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), source);
    const biome = resolve('node_modules/@biomejs/biome/bin/biome');
    const { status, stdout, stderr } = spawnSync(process.execPath, [biome, 'lint', path], {
      cwd: root,
      encoding: 'utf8',
    });
    return { clean: status === 0, output: `${stdout}${stderr}` };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const uses = (specifier: string) => `import { x } from '${specifier}';\n\nx();\n`;

describe('import direction: main → {kube, ssh, observe} → controllers → core → model → lib', () => {
  const refused: readonly [string, string][] = [
    ['operator/lib/probe.ts', '../model/ip-address.ts'],
    ['operator/model/probe.ts', '../core/guard.ts'],
    ['operator/model/probe.ts', '../api/director.ts'],
    ['operator/api/probe.ts', '../core/guard.ts'],
    ['operator/core/probe.ts', '../controllers/outcome.ts'],
    ['operator/core/probe.ts', 'node:fs'],
    ['operator/core/probe.ts', 'winston'],
    ['operator/controllers/probe.ts', '../kube/lease.ts'],
    ['operator/controllers/probe.ts', '../ssh/wire.ts'],
    ['operator/controllers/probe.ts', '@kubernetes/client-node'],
    ['operator/controllers/probe.ts', 'ssh2'],
    ['operator/kube/probe.ts', '../ssh/wire.ts'],
    ['operator/kube/probe.ts', 'ssh2'],
    ['operator/ssh/probe.ts', '../kube/lease.ts'],
    ['operator/ssh/probe.ts', '@kubernetes/client-node'],
    ['operator/observe/probe.ts', '../kube/lease.ts'],
    ['operator/core/probe.ts', '../../test/builders/a-service.ts'],
  ];
  for (const [path, specifier] of refused) {
    it(`${path} may not import ${specifier}`, () => {
      const { clean, output } = lint(path, uses(specifier));
      assert.equal(clean, false);
      assert.match(output, /noRestrictedImports/);
    });
  }

  const allowed: readonly [string, string][] = [
    ['operator/core/probe.ts', '../model/ip-address.ts'],
    ['operator/model/probe.ts', 'node:net'],
    ['operator/controllers/probe.ts', '../core/guard.ts'],
    ['operator/kube/probe.ts', '../controllers/ports.ts'],
    ['operator/ssh/probe.ts', '../controllers/ports.ts'],
  ];
  for (const [path, specifier] of allowed) {
    it(`${path} may import ${specifier}`, () => {
      const { clean, output } = lint(path, uses(specifier));
      assert.ok(clean, output);
    });
  }

  const impure: readonly [string, string][] = [
    ['the clock', 'export const x = Date.now();\n'],
    ['the date', 'export const x = new Date();\n'],
    ['randomness', 'export const x = Math.random();\n'],
    ['the environment', 'export const x = process.env;\n'],
    ['timers', 'setTimeout(() => undefined, 1);\n'],
    ['the console', "console.log('x');\n"],
  ];
  for (const [what, source] of impure) {
    it(`core may not use ${what}`, () => {
      assert.equal(lint('operator/core/probe.ts', source).clean, false);
    });
  }
});
