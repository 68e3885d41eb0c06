import { readFile } from 'node:fs/promises';
import { builtImage } from '../image/build-image.ts';
import type { ArchiveEntry } from '../image/cpio.ts';
import type { KernelSeries } from '../image/debian-kernel.ts';
import { type HostNetwork, machineFiles, textEntry } from './machine-archive.ts';
import { setUpVm, Vm, type VmKeys } from './vm.ts';

/** A cluster node as it shall be set up. */
export interface NodeVmOptions extends HostNetwork {
  /** Host name and name of the Node object. */
  readonly name: string;
  readonly kernel: KernelSeries;
  /** An existing tap device in the caller's network namespace, already attached to its bridge and up. */
  readonly tap: string;
  readonly workDir: string;
  /** The control plane's binary; it has the same path in the machine. */
  readonly controlplane: string;
  /** Contents of the files that the kubelet stand-in reads: names below /run/lab to what is in them. */
  readonly files: Readonly<Record<string, string>>;
}

// The binary of 137 MB lies in the initramfs, twice while it boots; pods and kube-proxy share its pages.
const MEMORY_MB = 1024;
/**
 * Devices that take packets from any director. Those that come with the modules, but ip6tnl0 takes only IPv6: one of our own takes both.
 */
export const TUNNEL_DEVICES = ['tunl0', 'gre0', 'ip6gre0', 'in6'] as const;
/** UDP port at which a node takes GUE from directors. */
export const GUE_PORT = 6080;

/**
 * A cluster node: a machine with the kubelet stand-in, kube-proxy in any mode, and the pods, all of it under the node's own
 * kernel; and the far end of every kind of tunnel that a director can send by.
 */
export class NodeVm extends Vm {
  /** Boots a new node and waits until root can log in; the cluster sees it a moment later. */
  static async start(options: NodeVmOptions): Promise<NodeVm> {
    const { name, kernel, tap, workDir } = options;
    const image = await builtImage(kernel);
    await setUpVm({
      ...{ name, kernel, tap, workDir, memoryMb: MEMORY_MB },
      host: options.address4.split('/')[0] ?? '',
      initrds: [image.initrd, image.nodeInitrd],
      archive: (keys) => nodeArchive(options, keys),
    });
    const vm = new NodeVm(workDir, name);
    await vm.powerOn();
    return vm;
  }

  /** The node of that name which another process, or this one, started with the same workDir. */
  static attach(workDir: string, name: string): NodeVm {
    return new NodeVm(workDir, name);
  }
}

async function nodeArchive(options: NodeVmOptions, keys: VmKeys): Promise<ArchiveEntry[]> {
  const { name, controlplane, files } = options;
  return [
    ...machineFiles(name, keys, options, {
      LAB_ROLE: 'node',
      LAB_MODULES: 'virtio_net virtio_rng nf_conntrack ip_vs veth xfrm_user ipip ip6_tunnel fou fou6 ip_gre ip6_gre',
      LAB_TUNNELS: TUNNEL_DEVICES.join(' '),
      LAB_CONTROLPLANE: controlplane,
      LAB_GUE_PORT: String(GUE_PORT),
    }),
    // The role gives it the path that it has outside, which may lie below a file system that the machine mounts at boot, such as /tmp.
    { kind: 'file', path: 'lab/controlplane', mode: 0o755, data: await readFile(controlplane) },
    // Below /lab, because /run is a file system of its own that is mounted at boot; the role puts them in place.
    ...Object.entries(files).map(([path, contents]) => textEntry(`lab/run/${path}`, contents, 0o600)),
  ];
}
