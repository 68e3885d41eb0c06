import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeAnswer, whoHas } from '../core/who-has.ts';
import { createApiClient } from '../kube/api-client.ts';
import { loadKubeConfig } from '../kube/kube-config.ts';
import { parseIpAddress } from '../model/ip-address.ts';
import { readLookUp } from './look-up.ts';

const USAGE = `usage: kubectl ipvs who ADDRESS [-o json] [--kubeconfig FILE]

  who ADDRESS   which Service has the address, since when, from which pool, and on which directors`;

/** @returns the exit code: 0 for an answer, 1 when the cluster cannot be read, 2 for a mistake in the command. */
async function main(args: readonly string[]): Promise<number> {
  const command = readCommand(args);
  if (typeof command === 'string') {
    process.stderr.write(`${command}\n`);
    return 2;
  }
  const config = loadKubeConfig({ kubeconfig: command.kubeconfig, userAgent: 'kubectl-ipvs/0.1.0' });
  try {
    const answer = whoHas(command.address, await readLookUp(createApiClient(config)));
    process.stdout.write(`${command.json ? JSON.stringify(answer, undefined, 2) : describeAnswer(answer)}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`kubectl ipvs: ${(error as Error).message}\n`);
    return 1;
  } finally {
    await config.close();
  }
}

function readCommand(args: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { kubeconfig: text, output: { ...text, short: 'o' } },
    });
    const [verb, address = '', ...rest] = positionals;
    if (verb !== 'who' || rest.length > 0) return USAGE;
    if (values.output !== undefined && values.output !== 'json') return `-o knows json only; ${USAGE}`;
    const parsed = parseIpAddress(address);
    if (parsed === undefined) return `'${address}' is not an address: write for example 203.0.113.7 or 2001:db8::7.`;
    return { address: parsed, json: values.output === 'json', kubeconfig: values.kubeconfig ?? usualKubeconfig() };
  } catch (error) {
    return `${(error as Error).message.split('. ')[0]}; ${USAGE}`;
  }
}

/** As kubectl finds it: the first file that KUBECONFIG names, else the one in the home directory. */
function usualKubeconfig(): string {
  return process.env.KUBECONFIG?.split(delimiter)[0] || join(homedir(), '.kube', 'config');
}

process.exitCode = await main(process.argv.slice(2));
