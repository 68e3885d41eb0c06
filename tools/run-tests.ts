/**
 * Runs the test suites named on the command line, each on its real parts, and adds them up:
 *
 *     node tools/run-tests.ts unit go race laws integration kernel lab dataplane e2e
 *
 * The last line is `N passed, N failed`, after the names of those that failed: a log of which only the end is kept still says
 * what to look at. A skipped test, a suite without a test and a suite that dies count as failures.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

interface Counts {
  readonly passed: number;
  readonly failed: number;
}

const KERNELS = ['6.1', '6.12'];
/** Random tables that each law of the helper's contract meets on the fake; on a kernel it decides itself. */
const LAW_TABLES = '10000';
/** Each lab runs those variants that are for its kube-proxy. */
const KUBERNETES_CASES = 'test/e2e/30-kubernetes.test.ts';
const scratch = mkdtempSync(join(tmpdir(), 'ipvs-operator-tests-'));
/** A line for each test that failed, in the order of failing. */
const failures: string[] = [];

const suites: Record<string, () => Promise<Counts>> = {
  unit: () => mocha('unit', [], ['test/unit/**/*.test.ts', 'test/golden/**/*.test.ts', 'test/simulation/**/*.test.ts']),
  // What needs a kernel is called TestKernel… and runs with `kernel`.
  go: () => goTest(helperTests('-skip', '^TestKernel', './...')),
  // The same, watched by the race detector, which needs cgo. Under it sync.Pool forgets at random: allocations cannot be compared.
  race: () =>
    goTest(helperTests('-race', '-skip', '^(TestKernel|TestListedWorksOnWhatIsListed$)', './...'), {
      CGO_ENABLED: '1',
    }),
  laws: () => goTest(helperTests('-run', '^TestLaw', './contract'), { IPVS_CONTRACT_TABLES: LAW_TABLES }),
  integration: () => mocha('integration', [], ['test/integration/**/*.test.ts']),
  lab: async () =>
    add([
      await goTest(['go', '-C', 'test/lab/controlplane', 'test', '-json', './kubelet']),
      await mocha('lab', ['test/lab/lab', 'run', '--'], ['test/lab/*.test.ts']),
      await mocha('systemd', [], ['test/lab/systemd/*.test.ts']),
      await mocha('node', lab('--nodes', '1', '--vm-nodes', '1', '--directors', '1'), ['test/lab/node/*.test.ts']),
    ]),
  kernel: async () => add(await Promise.all(KERNELS.map(kernelContract))),
  dataplane: async () =>
    add([
      await mocha('dataplane', lab('--nodes', '1'), ['test/dataplane/**/*.test.ts']),
      // The scheduler that only the newer kernel has.
      await mocha('twos', lab('--nodes', '1', '--kernel', '6.12'), [
        '--grep=^each strategy .* twos:',
        'test/dataplane/strategies.test.ts',
      ]),
    ]),
  // Every variant with every case, also those on emulated nodes, where a case takes one to three minutes: more than an hour.
  kubernetes: async () => {
    const all = { KUBERNETES_CASES: 'all' };
    return add([
      await mocha('kubernetes', lab(), [KUBERNETES_CASES], all),
      await mocha('kubernetes-iptables', lab('--proxy-mode', 'iptables'), [KUBERNETES_CASES], all),
      await mocha('kubernetes-ipvs', lab('--vm-nodes', '2'), [KUBERNETES_CASES], all),
    ]);
  },
  e2e: async () =>
    add([
      await mocha('e2e', lab(), ['test/e2e/**/*.test.ts']),
      await mocha('e2e-iptables', lab('--proxy-mode', 'iptables'), [KUBERNETES_CASES]),
    ]),
};

/** Runs what stands behind it in a lab with these options. */
function lab(...options: readonly string[]): readonly string[] {
  return ['test/lab/lab', 'run', ...options, '--'];
}

async function main(names: readonly string[]): Promise<number> {
  const totals: [string, Counts, number][] = [];
  for (const name of names) {
    const suite = suites[name];
    if (suite === undefined)
      throw new Error(`no test suite is called ${name}: there are ${Object.keys(suites).join(', ')}`);
    console.log(`\n==> ${name} tests`);
    const started = performance.now();
    totals.push([name, await suite(), Math.round((performance.now() - started) / 1000)]);
  }
  console.log('');
  for (const [name, { passed, failed }, seconds] of totals) {
    console.log(
      `${name.padEnd(12)} ${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed  ${seconds} s`,
    );
  }
  for (const line of failures) console.log(`failed: ${line}`);
  const { passed, failed } = add(totals.map(([, counts]) => counts));
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

function add(all: readonly Counts[]): Counts {
  return {
    passed: all.reduce((sum, { passed }) => sum + passed, 0),
    failed: all.reduce((sum, { failed }) => sum + failed, 0),
  };
}

/** Mocha in a process of its own, behind a prefix such as `lab run --`. */
async function mocha(
  name: string,
  prefix: readonly string[],
  files: readonly string[],
  environment: Record<string, string> = {},
): Promise<Counts> {
  const countsFile = join(scratch, `${name}.json`);
  const command = [
    ...prefix,
    process.execPath,
    'node_modules/mocha/bin/mocha.js',
    '--reporter=tools/spec-with-counts.cjs',
    '--forbid-only',
    '--forbid-pending',
    '--fail-zero',
    ...files,
  ];
  const code = await run(command, { ...environment, TEST_COUNTS: countsFile });
  if (!existsSync(countsFile)) {
    failures.push(`${name}: ended with code ${code} before its tests did`);
    return { passed: 0, failed: 1 };
  }
  const counts = JSON.parse(readFileSync(countsFile, 'utf8'));
  failures.push(...counts.failures.map((line: string) => `${name}: ${line}`));
  return judge(name, counts.passed, counts.failed + counts.pending, code);
}

function helperTests(...options: readonly string[]): readonly string[] {
  return ['go', '-C', 'helper', 'test', '-json', ...options];
}

/** `go test -json`: each test and subtest that ends counts once; a package that fails without a failed test counts as one. */
async function goTest(command: readonly string[], environment: Record<string, string> = {}): Promise<Counts> {
  let passed = 0;
  let failed = 0;
  const code = await run(command, environment, (line) => {
    const event = parseGoEvent(line);
    if (event === undefined) return console.log(line);
    if (
      event.Action === 'build-output' ||
      (event.Action === 'output' && /^\s*--- FAIL|_test\.go:\d+|panic:/.test(event.Output ?? ''))
    ) {
      process.stdout.write(event.Output ?? '');
    }
    if (event.Test === undefined) {
      if (event.Action === 'pass') console.log(`ok   ${event.Package}`);
      return;
    }
    if (event.Action === 'pass') passed += 1;
    if (event.Action === 'fail' || event.Action === 'skip') {
      failed += 1;
      failures.push(`${event.Action} ${event.Package} ${event.Test}`);
      console.log(`${event.Action} ${event.Package} ${event.Test}`);
    }
  });
  return judge(command.at(-1) ?? '', passed, failed, code);
}

/** A suite that dies, or runs nothing, is one failure even when none of its tests is. */
function judge(name: string, passed: number, failed: number, code: number): Counts {
  if (failed > 0 || (code === 0 && passed > 0)) return { passed, failed };
  failures.push(`${name}: ended with code ${code} after ${passed} tests passed`);
  return { passed, failed: 1 };
}

interface GoEvent {
  readonly Action: string;
  readonly Package?: string;
  readonly Test?: string;
  readonly Output?: string;
}

function parseGoEvent(line: string): GoEvent | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as GoEvent;
  } catch {
    return undefined;
  }
}

/** The helper's contract suite inside a virtual machine with that kernel. */
async function kernelContract(kernel: string): Promise<Counts> {
  let passed = 0;
  let failed = 0;
  const command = [
    process.execPath,
    'test/lab/vm/run-in-vm.ts',
    '--kernel',
    kernel,
    '--timeout',
    '2100',
    '--file',
    '.build/contract.test:/contract.test',
    '--file',
    'dist/ipvs-helper:/ipvs-helper',
    '--',
    '/bin/sh',
    '-c',
    'IPVS_CONTRACT_KERNEL=1 IPVS_CONTRACT_HELPER=/ipvs-helper /contract.test -test.v',
  ];
  const code = await run(command, {}, (line) => {
    const outcome = /^\s*--- (PASS|FAIL|SKIP): (\S+)/.exec(line);
    if (outcome?.[1] === 'PASS') passed += 1;
    else if (outcome !== null) {
      failed += 1;
      failures.push(`kernel ${kernel}: ${outcome[1]} ${outcome[2]}`);
    }
    if (outcome?.[1] !== 'PASS' && !/^=== /.test(line)) console.log(`[${kernel}] ${line}`);
  });
  console.log(`[${kernel}] ${passed} contract cases passed, ${failed} failed`);
  return judge(`kernel ${kernel}`, passed, failed, code);
}

/** Runs a command; output goes to ours, line by line through `onLine` when given. */
function run(
  command: readonly string[],
  environment: Record<string, string>,
  onLine?: (line: string) => void,
): Promise<number> {
  const [program = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', onLine === undefined ? 'inherit' : 'pipe', 'inherit'],
    });
    const lines = child.stdout === null ? undefined : createInterface({ input: child.stdout });
    if (onLine !== undefined) lines?.on('line', onLine);
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
