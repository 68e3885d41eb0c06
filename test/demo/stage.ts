import assert from 'node:assert/strict';
import { Cluster } from '../e2e/cluster.ts';
import type { Patience } from '../e2e/eventually.ts';
import { eventually } from '../e2e/eventually.ts';
import { tableOf } from '../e2e/kernel.ts';
import type { ClientName } from '../lab/addresses.ts';
import type { Lab } from '../lab/lab.ts';
import { LabDir } from '../lab/lab-dir.ts';
import { runProgram } from '../lab/run-program.ts';
import type { DirectorVm } from '../lab/vm/director-vm.ts';
import type { Narrator } from './narrator.ts';
import { fillInSamples } from './samples.ts';

/** Where the demo plays: runs real commands at their places and shows them with what they print. */
export class Stage {
  readonly lab: Lab;
  readonly cluster: Cluster;
  readonly narrator: Narrator;
  readonly samples: string;

  private constructor(lab: Lab, narrator: Narrator, samples: string) {
    this.lab = lab;
    this.cluster = new Cluster(lab);
    this.narrator = narrator;
    this.samples = samples;
  }

  static async open(lab: Lab, narrator: Narrator): Promise<Stage> {
    return new Stage(lab, narrator, await fillInSamples(lab.directors, LabDir.current().path));
  }

  /** Runs kubectl and shows it; must succeed. */
  async kubectl(command: string, pick: (line: string, index: number) => boolean = () => true): Promise<string> {
    const printed = await this.cluster.kubectl(...command.replaceAll('config/samples', this.samples).split(' '));
    const shown = printed.split('\n').filter(pick).join('\n');
    this.narrator.command('admin', `kubectl ${command}`, shown);
    return printed;
  }

  /** Runs a shell command in the client's network and shows it; must succeed. */
  async client(name: string, script: string): Promise<string> {
    const { stdout, stderr, code } = await runProgram('ip', ['netns', 'exec', name, 'sh', '-c', script]);
    this.narrator.command(name, script, stdout || stderr);
    assert.equal(code, 0, `\`${script}\` on ${name} ended with ${code}: ${stderr.trim()}`);
    return stdout;
  }

  /** Asks so many times over HTTP and shows who answered how often. Returns the names of the pods. */
  async curl(client: ClientName, address: string, times: number): Promise<Set<string>> {
    await this.#untilAnswers(client, address);
    const script = `for i in $(seq ${times}); do curl -sS --max-time 5 http://${address}/hostname && echo; done | sort | uniq -c`;
    const lines = (await this.client(client, script)).trim().split('\n');
    const counts = new Map(
      lines.map((line) => line.trim().split(/\s+/)).map(([count, pod = '']) => [pod, Number(count)]),
    );
    const answers = [...counts.values()].reduce((sum, count) => sum + count, 0);
    assert.equal(answers, times, `${answers} of ${times} requests were answered`);
    return new Set(counts.keys());
  }

  /** kube-proxy on the nodes hears of a new address a moment after the user: waits, unseen, for a few answers in a row. */
  async #untilAnswers(client: ClientName, address: string): Promise<void> {
    await eventually(`${address} to answer ${client}`, async () => {
      for (let n = 0; n < 5; n += 1) {
        const { status, error } = await this.lab.client(client).get(`http://${address}/hostname`);
        assert.equal(status, 200, error ?? `status ${status}`);
      }
      return true;
    });
  }

  /** Shows the director's table as ipvsadm prints it; returns it parsed. */
  async ipvsadm(director: DirectorVm) {
    this.narrator.command(this.nameOf(director), 'ipvsadm -Ln', await director.read('ipvsadm -Ln'));
    return tableOf(director);
  }

  /** The Director object of that machine, as config/samples names it. */
  nameOf(director: DirectorVm): string {
    return `lb-${this.lab.directors.indexOf(director) + 1}`;
  }

  /** Waits, with the demo's own bound, until a look finds what it looks for; then says so. */
  async wait<T>(sentence: string, look: () => Promise<T | undefined | false>, patience?: Patience): Promise<T> {
    const found = await eventually(sentence, look, { timeoutMs: 120_000, ...patience });
    this.narrator.seen(sentence);
    return found;
  }
}
