import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { SCHEDULERS } from '../../../operator/model/virtual-server.ts';
import { builtImage } from '../../lab/image/build-image.ts';
import { KERNEL_SERIES, type KernelSeries } from '../../lab/image/debian-kernel.ts';
import { runInVm, type VmCommand } from '../../lab/vm/run-in-vm.ts';
import { parseWitnessTable } from '../../lab/vm/witness-table.ts';

describe('one command in a virtual machine', () => {
  it('carries exit code, both outputs, arguments, environment and files', async () => {
    const said = await run({
      command: ['/bin/sh', '/given.sh', "it's one argument"],
      files: new Map([['/given.sh', new URL('given.sh', import.meta.url).pathname]]),
      environment: { GIVEN: 'a "quoted" $value' },
    });
    assert.deepEqual(said, {
      code: 7,
      stdout: `uid 0\nargument it's one argument\nenvironment a "quoted" $value\n`,
      stderr: 'a complaint\n',
    });
  });

  it('has lo and dummy0 up, and no other interface', async () => {
    const { stdout } = await run({ command: ['ip', '-br', 'link'] });
    const interfaces = stdout.split('\n').map((line) => line.split(/\s+/));
    const up = interfaces.filter(([, , , flags]) => flags?.includes('UP')).map(([name]) => name);
    assert.deepEqual(up, ['lo', 'dummy0']);
    assert.equal(interfaces.filter(([name]) => name !== '').length, 2);
  });

  it('loses no byte of a long output', async () => {
    const { stdout } = await run({ command: ['seq', '1', '200000'] });
    const expected = Array.from({ length: 200_000 }, (_, i) => `${i + 1}\n`).join('');
    assert.equal(stdout.length, expected.length);
    assert.ok(stdout === expected, 'the bytes differ');
  });

  it('tells of a machine that ends before the command, with its last words', async () => {
    await assert.rejects(run({ command: ['sh', '-c', 'echo c >/proc/sysrq-trigger'] }), /ended before sh.*sysrq/s);
  });

  it('ends a command that does not end by itself', async () => {
    await assert.rejects(run({ command: ['sleep', '100000'], timeoutSeconds: 8 }), /sleep did not end within 8 s/);
  });

  for (const kernel of KERNEL_SERIES) {
    it(`loads every scheduler of kernel ${kernel} when it is first used`, async () => {
      const expected = SCHEDULERS.filter((scheduler) => kernel !== '6.1' || scheduler !== 'twos');
      const adding = expected.map((scheduler, i) => `ipvsadm -A -t 203.0.113.${i + 1}:80 -s ${scheduler}`);
      const { stdout, stderr, code } = await run({
        kernel,
        command: ['sh', '-c', `${adding.join(' && ')} && ipvsadm -Sn`],
      });
      assert.deepEqual([code, stderr], [0, '']);
      const schedulers = parseWitnessTable(stdout).map((entry) => entry.scheduler);
      assert.deepEqual(schedulers.sort(), [...expected].sort());
    });
  }

  it('reads back through ipvsadm what ipvsadm made', async () => {
    const script = `
      ipvsadm -A -t 203.0.113.10:80 -s mh -b mh-fallback,mh-port -p 300 &&
      ipvsadm -a -t 203.0.113.10:80 -r 192.0.2.21 -g -w 3 &&
      ipvsadm -A -u [2001:db8:1::1]:53 -s rr -o &&
      ipvsadm -a -u [2001:db8:1::1]:53 -r [2001:db8::21]:5353 -m -w 0 &&
      ipvsadm -A --sctp-service 203.0.113.11:99 -s wlc &&
      ipvsadm -A -f 7 -s sh && ipvsadm -Sn`;
    const { stdout } = await run({ command: ['sh', '-c', script] });
    const table = [...parseWitnessTable(stdout)].sort((a, b) => (a.key < b.key ? -1 : 1));
    assert.deepEqual(table, [
      { key: 'FWM 7', scheduler: 'sh', schedulerFlags: [], onePacket: false, realServers: [] },
      { key: 'SCTP 203.0.113.11:99', scheduler: 'wlc', schedulerFlags: [], onePacket: false, realServers: [] },
      {
        key: 'TCP 203.0.113.10:80',
        scheduler: 'mh',
        schedulerFlags: ['mh-fallback', 'mh-port'],
        persistenceSeconds: 300,
        onePacket: false,
        realServers: [{ address: '192.0.2.21:80', weight: 3, forwardingMethod: 'DirectRouting' }],
      },
      {
        key: 'UDP [2001:db8:1::1]:53',
        scheduler: 'rr',
        schedulerFlags: [],
        onePacket: true,
        realServers: [{ address: '[2001:db8::21]:5353', weight: 0, forwardingMethod: 'Masquerading' }],
      },
    ]);
  });
}).timeout(180_000);

async function run(given: Partial<VmCommand> & { readonly command: readonly string[] }) {
  const kernel: KernelSeries = given.kernel ?? '6.1';
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const [out, err] = [text(stdout), text(stderr)];
  const environment = { files: new Map(), environment: {}, memoryMb: 320, timeoutSeconds: 120 };
  const code = await runInVm({ ...environment, ...given, kernel, stdout, stderr }, await builtImage(kernel)).finally(
    () => {
      stdout.end();
      stderr.end();
    },
  );
  return { code, stdout: await out, stderr: await err };
}

async function text(stream: PassThrough): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
