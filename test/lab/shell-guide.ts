import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clientNames } from './addresses.ts';
import type { LabDir } from './lab-dir.ts';
import type { LabOptions } from './options.ts';

/** Writes the start file of the interactive shell, which greets with what one can try; returns the shell's command line. */
export async function writeShellGuide(dir: LabDir, options: LabOptions): Promise<string[]> {
  const examples: [command: string, meaning: string][] = [
    ['kubectl get nodes -o wide', 'the cluster; you are its admin'],
    ['kubectl apply -k config/default', 'install the operator into it'],
    ['on client curl http://203.0.113.1/hostname', 'as a client, spread over all directors'],
    ...clientNames(options.directors)
      .slice(1)
      .map((name): [string, string] => [`on ${name} curl ...`, 'as a client that meets this director only']),
    ['on node1 nft list ruleset', 'what kube-proxy told a node'],
    ...(options.directors > 0 ? [['director 1 ipvsadm -Ln', 'a director, asked as root'] as [string, string]] : []),
    [`ls ${dir.logs}`, 'logs of everything'],
  ];
  const width = Math.max(...examples.map(([command]) => command.length));
  const guide = [
    `A Kubernetes cluster of ${options.nodes} nodes and ${options.directors} IPVS directors. Leaving this shell ends it all.`,
    '',
    ...examples.map(([command, meaning]) => `  ${command.padEnd(width)}  ${meaning}`),
  ].join('\n');
  const file = join(dir.path, 'bashrc');
  await writeFile(join(dir.path, 'guide.txt'), `${guide}\n`);
  await writeFile(file, `cat ${join(dir.path, 'guide.txt')}\nPS1='lab:\\w\\$ '\n`);
  return ['bash', '--rcfile', file, '-i'];
}
