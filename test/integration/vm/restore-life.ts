/**
 * A director that is reset while no operator is there, for director-restore.test.ts: told a table, reset, damaged, reset, repaired.
 * Runs in a network of its own and writes what it saw as JSON. Arguments: kernel series, directory for files.
 */
import { mkdirSync } from 'node:fs';
import type { KernelSeries } from '../../lab/image/debian-kernel.ts';
import { ed25519KeyPair } from '../../lab/ssh-key.ts';
import { DirectorVm } from '../../lab/vm/director-vm.ts';
import { DIRECTOR, directorNetwork, ROUTER } from './director-network.ts';

const HELPER = '/usr/lib/ipvs-operator/ipvs-helper';
const JOURNAL = '/var/lib/ipvs-operator/journal/prod.journal';

/** What was seen; every value as the director's own programs print it. */
export type Seen = Awaited<ReturnType<typeof live>>;

async function live(kernel: KernelSeries, workDir: string) {
  directorNetwork();
  const director = await start(kernel, workDir);
  const firstBoot = await boot(director);
  await apply(director, 17, 'all', [virtualServer('203.0.113.10', ['192.0.2.21', '192.0.2.22']), SECOND, THIRD], []);
  await apply(director, 18, 'listed', [FIRST], [THIRD]);
  const told = await table(director);
  await director.reboot();
  const restored = { ...(await boot(director)), ...(await table(director)), keys: await helper(director, 'dump') };
  const again = await apply(director, 18, 'all', [FIRST, SECOND], []);
  const older = await refusedApply(director, 17);
  await damage(director);
  await director.reboot();
  const damaged = { ...(await boot(director)), ...(await table(director)), hello: await hello(director) };
  await director.read(`mv ${JOURNAL} ${JOURNAL}.damaged`);
  const repaired = await apply(director, 19, 'all', [FIRST, SECOND], []);
  await director.reboot();
  const afterRepair = { ...(await boot(director)), ...(await table(director)) };
  await director.stop();
  return { firstBoot, told, restored, again, older, damaged, repaired, afterRepair };
}

function start(kernel: KernelSeries, workDir: string): Promise<DirectorVm> {
  const grant = {
    ...{ virtualServers: ['203.0.113.0/24', '2001:db8:1::/64'], realServers: ['192.0.2.0/24', '2001:db8::/64'] },
    interfaces: ['lo'],
  };
  return DirectorVm.start({
    ...{ name: 'director-1', kernel, tap: 'director-1', workDir, disk: true },
    operatorPublicKey: ed25519KeyPair('operator').public,
    ...{ address4: `${DIRECTOR}/24`, gateway4: ROUTER, address6: '2001:db8::11/64', gateway6: '2001:db8::1' },
    blackholes: [],
    policy: { owners: { prod: grant } },
  });
}

interface Told {
  readonly address: string;
  readonly port: number;
  readonly protocol: string;
}

function virtualServer(address: string, hosts: readonly string[]): Told {
  const realServer = { port: 80, weight: 1, forwardingMethod: 'DirectRouting', upperThreshold: 0, lowerThreshold: 0 };
  const scheduling = { scheduler: 'mh', schedulerFlags: ['mh-fallback'], onePacket: false };
  const realServers = hosts.map((host) => ({ address: host, ...realServer }));
  return { address, port: 80, protocol: 'TCP', ...scheduling, realServers } as Told;
}

const FIRST = virtualServer('203.0.113.10', ['192.0.2.21', '192.0.2.22', '192.0.2.23']);
const SECOND = virtualServer('2001:db8:1::10', ['2001:db8::21']);
const THIRD = virtualServer('203.0.113.12', ['192.0.2.21']);

function request(generation: number, scope: string, wanted: readonly Told[], absent: readonly Told[]): string {
  const keys = absent.map(({ address, port, protocol }) => ({ address, port, protocol }));
  const head = { id: 1, op: 'apply', epoch: 3, generation, dryRun: false, scope, interface: 'lo' };
  return JSON.stringify({ ...head, virtualServers: wanted, absent: keys });
}

async function apply(director: DirectorVm, ...told: Parameters<typeof request>): Promise<{ readonly writes: number }> {
  const command = `echo '${request(...told)}' | su ipvs-operator -c '${HELPER} apply --once --json --owner prod'`;
  return JSON.parse(await director.read(command)) as { writes: number };
}

async function refusedApply(director: DirectorVm, generation: number): Promise<string> {
  const command = `echo '${request(generation, 'all', [], [])}' | su ipvs-operator -c '${HELPER} apply --once --owner prod'`;
  return (await director.exec(command)).stderr;
}

async function helper(director: DirectorVm, verb: string): Promise<{ readonly counts: Record<string, number> }> {
  return JSON.parse(await director.read(`su ipvs-operator -c '${HELPER} ${verb} --owner prod'`)) as {
    counts: Record<string, number>;
  };
}

async function hello(director: DirectorVm): Promise<{ readonly problems: string[] }> {
  const command = `su ipvs-operator -c '${HELPER} serve --owner prod' </dev/null | tail -c +5`;
  return JSON.parse(await director.read(command)) as { problems: string[] };
}

/** What the restore of this boot said. */
async function boot(director: DirectorVm) {
  return {
    exit: (await director.read('cat /run/restore.exit')).trim(),
    said: await director.read('cat /run/restore.out'),
    alarm: await director.read('cat /run/restore.err'),
  };
}

async function table(director: DirectorVm) {
  return { table: await director.read('ipvsadm -Sn | sort'), vips: await director.addresses('lo') };
}

/** Changes one byte in the middle of the file, as a bad sector does. */
async function damage(director: DirectorVm): Promise<void> {
  await director.read(`printf X | dd of=${JOURNAL} bs=1 seek=90 conv=notrunc && sync`);
}

const [kernel = '', workDir = ''] = process.argv.slice(2);
mkdirSync(workDir, { recursive: true });
const seen = JSON.stringify(await live(kernel as KernelSeries, workDir));
process.stdout.write(seen);
