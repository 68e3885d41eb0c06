/**
 * Bundles into dist/ the operator and the kubectl plugin, each one ESM file and a starter script. ssh2's optional native addons stay outside: the
 * plain JavaScript path is as fast over a socket without delay, and installing runs no scripts.
 */
import { chmod, copyFile, mkdir } from 'node:fs/promises';
import { build } from 'esbuild';

await mkdir('dist', { recursive: true });
const PROGRAMS = { 'ipvs-operator': 'operator/main.ts', 'kubectl-ipvs': 'operator/cli/kubectl-ipvs.ts' };

await build({
  entryPoints: Object.entries(PROGRAMS).map(([out, source]) => ({ in: source, out })),
  outdir: 'dist',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  sourcemap: 'linked',
  legalComments: 'none',
  logLevel: 'warning',
  external: ['cpu-features', '*.node'],
  banner: {
    js: [
      "import { createRequire as bundleRequire } from 'node:module';",
      "import { dirname as bundleDirname } from 'node:path';",
      "import { fileURLToPath as bundleToPath } from 'node:url';",
      'const require = bundleRequire(import.meta.url);',
      'const __filename = bundleToPath(import.meta.url);',
      'const __dirname = bundleDirname(__filename);',
    ].join('\n'),
  },
});
for (const program of Object.keys(PROGRAMS)) {
  await copyFile('tools/ipvs-operator.sh', `dist/${program}`);
  await chmod(`dist/${program}`, 0o755);
}
