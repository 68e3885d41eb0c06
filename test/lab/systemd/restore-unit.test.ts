/** The unit file that administrators install on directors, under the real systemd and on a real kernel. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { withLibraries } from '../image/base-image.ts';
import { builtImage } from '../image/build-image.ts';
import { runInVm } from '../vm/run-in-vm.ts';

const UNITS = '/usr/lib/systemd/system';
const TARGETS = ['basic', 'sysinit', 'multi-user', 'sockets', 'timers', 'paths', 'slices', 'local-fs', 'network']
  .concat(['network-online', 'shutdown', 'umount', 'final', 'rescue', 'emergency', 'remote-fs', 'getty', 'swap'])
  .map((name) => `${UNITS}/${name}.target`);
const PROGRAMS = ['/usr/lib/systemd/systemd', '/usr/bin/systemctl', '/usr/bin/unshare', '/usr/bin/nsenter'];
const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));

const POLICY = {
  owners: {
    prod: {
      virtualServers: ['203.0.113.0/24'],
      realServers: ['192.0.2.0/24'],
      ports: ['1-65535'],
      forwardingMethods: ['DirectRouting'],
      interfaces: ['dummy0'],
      host: { timeouts: true },
      maxVirtualServers: 10,
      maxRealServersPerVirtualServer: 10,
      maxDeletionsPerRequest: 10,
    },
  },
};
const WEB = {
  ...{ protocol: 'TCP', address: '203.0.113.10', port: 80, scheduler: 'rr', schedulerFlags: [], onePacket: false },
  realServers: [
    {
      ...{ address: '192.0.2.21', port: 80, weight: 3, forwardingMethod: 'DirectRouting' },
      ...{ upperThreshold: 0, lowerThreshold: 0 },
    },
  ],
};
const REQUEST = {
  ...{ id: 1, op: 'apply', epoch: 1, generation: 1, dryRun: false, scope: 'all', interface: 'dummy0' },
  ...{ virtualServers: [WEB], absent: [] },
  host: { timeouts: { tcpSeconds: 600, tcpFinSeconds: 60, udpSeconds: 30 } },
};

describe('ipvs-helper-restore.service under systemd', function () {
  // Only a net below the machine's own limit, which says what it waited for.
  this.timeout(700_000);

  it('rebuilds timeouts, virtual servers and VIPs as an unprivileged user', async () => {
    const { output, log } = await afterReboot();
    assert.match(output, /^state active$/m, log);
    assert.match(output, /^Result=success$/m);
    assert.match(output, /^User=ipvs-operator$/m);
    assert.match(output, /^-A -t 203\.0\.113\.10:80 -s rr$/m);
    assert.match(output, /^-a -t 203\.0\.113\.10:80 -r 192\.0\.2\.21:80 -g -w 3$/m);
    assert.match(output, /^Timeout \(tcp tcpfin udp\): 600 60 30$/m);
    assert.match(output, /^dummy0 .*203\.0\.113\.10\/32/m);
    assert.match(output, /^ipvs-operator 750 \/run\/ipvs-operator$/m);
    assert.match(output, /^ipvs-operator 750 \/var\/lib\/ipvs-operator\/journal$/m);
  });

  it('fails, and announces nothing, when the journal is damaged', async () => {
    const { output, log } = await afterReboot('damaged');
    assert.match(output, /^state failed$/m, log);
    assert.match(output, /^Result=exit-code$/m);
    assert.doesNotMatch(output, /^-A /m);
    assert.doesNotMatch(output, /203\.0\.113\.10/);
  });
});

async function afterReboot(...damage: readonly string[]): Promise<{ readonly output: string; readonly log: string }> {
  const scratch = await mkdtemp(join(tmpdir(), 'restore-unit-'));
  const [output, log] = [new Collected(), new Collected()];
  try {
    await writeFile(join(scratch, 'policy.json'), JSON.stringify(POLICY));
    await writeFile(join(scratch, 'request.json'), JSON.stringify(REQUEST));
    const files = new Map([
      ['/etc/ipvs-operator/policy.json', join(scratch, 'policy.json')],
      ['/lab/request.json', join(scratch, 'request.json')],
      ['/lab/guest.sh', fileURLToPath(new URL('./guest.sh', import.meta.url))],
      ['/usr/lib/ipvs-operator/ipvs-helper', join(REPOSITORY, 'dist/ipvs-helper')],
      [
        '/etc/systemd/system/ipvs-helper-restore.service',
        join(REPOSITORY, 'config/director/ipvs-helper-restore.service'),
      ],
      ...(await systemdFiles()),
    ]);
    const code = await runInVm(
      {
        ...{ kernel: '6.1', command: ['/bin/sh', '/lab/guest.sh', ...damage], files, environment: {} },
        ...{ memoryMb: 768, timeoutSeconds: 600, stdout: output, stderr: log },
      },
      await builtImage('6.1'),
    );
    assert.equal(code, 0, `the guest's script ended with ${code}:\n${output.text}\n${log.text}`);
    return { output: output.text, log: log.text };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** This machine's own systemd, and as much of its units as a director needs to reach multi-user.target. */
async function systemdFiles(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const program of PROGRAMS) {
    assert.ok(existsSync(program), `${program} is missing: install the Debian packages systemd and util-linux`);
    for (const [path, source] of await withLibraries(program, program)) files.set(path, source);
  }
  for (const target of TARGETS) files.set(target, target);
  return files;
}

class Collected extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}
