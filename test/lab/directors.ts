import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { CLUSTER_RANGES, directorAddresses, directorName, LAN, ROUTER, VIP_RANGES } from './addresses.ts';
import { HELPER, type LabDir } from './lab-dir.ts';
import type { LabOptions } from './options.ts';
import { ed25519KeyPair } from './ssh-key.ts';
import { DirectorVm } from './vm/director-vm.ts';

/** Under this name the directors' policy grants the operator its ranges. */
export const TABLE_OWNER = 'prod';

/** What the administrator of a director host grants to the operator; the helper enforces it. */
const POLICY = {
  owners: {
    [TABLE_OWNER]: {
      virtualServers: [VIP_RANGES.v4, VIP_RANGES.v6],
      // Nodes, and pods for pools that send to them directly.
      realServers: [LAN.v4, LAN.v6, CLUSTER_RANGES.v4, CLUSTER_RANGES.v6],
      ports: ['1-65535'],
      forwardingMethods: ['DirectRouting', 'Tunneling', 'Masquerading'],
      interfaces: ['lo', 'dummy0'],
      host: { sysctls: ['*'], timeouts: true },
    },
  },
};

/** Makes the key with which the operator logs in to every director of the lab. */
export async function writeOperatorKey(dir: LabDir): Promise<void> {
  const pair = ed25519KeyPair('ipvs-operator');
  await writeFile(dir.operatorKey, pair.private, { mode: 0o600 });
  await writeFile(`${dir.operatorKey}.pub`, `${pair.public}\n`);
}

/** Boots all directors at once; returns when each of them can be logged in to. */
export async function startDirectors(
  dir: LabDir,
  options: LabOptions,
  report: (sentence: string) => void,
): Promise<void> {
  if (options.directors === 0) return;
  await mkdir(dir.directors, { recursive: true });
  const operatorPublicKey = (await readFile(`${dir.operatorKey}.pub`, 'utf8')).trim();
  const numbers = Array.from({ length: options.directors }, (_, i) => i + 1);
  await Promise.all(
    numbers.map(async (number) => {
      const addresses = directorAddresses(number);
      const vm = await DirectorVm.start({
        name: directorName(number),
        kernel: options.kernel,
        tap: directorName(number),
        address4: `${addresses.v4}/24`,
        gateway4: ROUTER.v4,
        address6: `${addresses.v6}/64`,
        gateway6: ROUTER.v6,
        workDir: dir.directors,
        operatorPublicKey,
        policy: POLICY,
        owner: TABLE_OWNER,
        blackholes: [VIP_RANGES.v4, VIP_RANGES.v6],
        ...(existsSync(HELPER) ? { helper: HELPER } : {}),
      });
      vm.close();
      report(`${vm.name} up (kernel ${options.kernel})`);
    }),
  );
}

/** The running directors of the lab, in the order of their numbers. */
export function attachDirectors(dir: LabDir): DirectorVm[] {
  const numbers = Array.from({ length: dir.state().directors }, (_, i) => i + 1);
  return numbers.map((number) => DirectorVm.attach(dir.directors, directorName(number)));
}
