import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { Answer, ApplyResult, DirectorTarget } from '../../operator/controllers/ports.ts';
import { aTarget, dial } from '../integration/ssh/dialing.ts';
import { type Cut, startTcpProxy, type TcpProxy } from '../integration/ssh/tcp-proxy.ts';
import { TABLES, UNRELATED } from '../integration/ssh/two-tables.ts';
import { directorAddresses } from '../lab/addresses.ts';
import { TABLE_OWNER } from '../lab/directors.ts';
import { DIRECTOR_USER } from '../lab/image/base-image.ts';
import type { Lab } from '../lab/lab.ts';
import type { DirectorVm } from '../lab/vm/director-vm.ts';
import { nextGeneration } from './programmed-director.ts';

/** Bytes of an SSH connection so far, by direction. */
export type Carried = Readonly<Record<Cut['direction'], number>>;

/** What a session asks for, in this order. */
const ASKED = [1, 0] as const;
type Index = (typeof ASKED)[number];

/** The table as programs see it that share no code with us, once no helper is at work any more. */
const LOOK = [
  'while [ "$(pidof ipvs-helper | wc -w)" -gt 0 ]; do sleep 0.02; done',
  'ipvsadm -Sn | sort',
  'ip -o -4 address show dev lo | sort',
  'nft -s list ruleset',
].join('; ');
const READER = UNRELATED.map(({ address }) => `ipvsadm -Ln -t ${address}:80 >/dev/null 2>&1 || echo ${address}`);

/** A director behind a proxy that cuts, and what is known of its table. */
export class CutDirector {
  readonly #machine: DirectorVm;
  readonly #proxy: TcpProxy;
  readonly #target: DirectorTarget;
  /** By table: what the witnesses say of it, and how many writes it takes to get there from the other. */
  readonly #looks: Record<Index, string> = { 0: '', 1: '' };
  readonly #writes: Record<Index, number> = { 0: 0, 1: 0 };
  #holds: Index | undefined;

  private constructor(machine: DirectorVm, proxy: TcpProxy, target: DirectorTarget) {
    this.#machine = machine;
    this.#proxy = proxy;
    this.#target = target;
  }

  static async prepare(lab: Lab, number: number): Promise<CutDirector> {
    const machine = lab.directors[number - 1];
    assert.ok(machine !== undefined, `this suite needs a lab with ${number} directors`);
    const proxy = await startTcpProxy(22, directorAddresses(number).v4);
    const privateKey = await readFile(lab.dir.operatorKey, 'utf8');
    const where = { port: proxy.port, hostKeys: [machine.hostKey], user: DIRECTOR_USER.name };
    const director = new CutDirector(machine, proxy, aTarget({ ...where, owner: TABLE_OWNER, privateKey }));
    await director.session();
    for (const index of ASKED) {
      await director.session(undefined, [index]);
      director.#looks[index] = await director.#look();
    }
    assert.notEqual(director.#looks[0], director.#looks[1]);
    const loop = `n=0; while ! [ -e /tmp/stop ]; do ${READER.join('; ')}; n=$((n+1)); echo $n >/tmp/polls; sleep 0.2; done`;
    await machine.read(`setsid sh -c '${loop}' </dev/null >/tmp/absent 2>&1 &`);
    return director;
  }

  /** Empties it; how often the reader on the director has looked at the unrelated virtual servers, and what it missed. */
  async clear(): Promise<{ readonly polls: number; readonly absent: string }> {
    await this.#machine.read('touch /tmp/stop');
    const [polls, absent] = [await this.#machine.read('cat /tmp/polls'), await this.#machine.read('cat /tmp/absent')];
    await this.session(undefined, ['none']);
    return { polls: Number(polls), absent };
  }

  /** Ends what goes through the proxy. */
  async stop(): Promise<void> {
    await this.#proxy.stop();
  }

  /** A session that is cut off. Afterwards the director holds one of the tables, whole. */
  async cut(cut: Cut): Promise<void> {
    await this.session(cut);
    const look = await this.#look();
    const holds = ASKED.find((index) => this.#looks[index] === look);
    assert.ok(holds !== undefined, `after ${JSON.stringify(cut)} the director holds neither table:\n${look}`);
    this.#holds = holds;
  }

  /** One session that asks for tables, one after the other: what it has carried after the hello and after each answer. */
  async session(cut?: Cut, asked: readonly (Index | 'none')[] = ASKED): Promise<Carried[]> {
    this.#proxy.cut = cut;
    const dialed = await dial(this.#target);
    if (!dialed.ok) {
      assert.ok(cut !== undefined, dialed.failure.message);
      return [];
    }
    const { session } = dialed;
    const carried = [{ ...this.#proxy.carried }];
    for (const index of asked) {
      const virtualServers = index === 'none' ? [] : TABLES[index];
      const fence = { epoch: 1, generation: nextGeneration() };
      const request = { ...fence, dryRun: false, scope: 'all', interface: 'lo', virtualServers, absent: [] } as const;
      const answer = await session.apply(request);
      if (answer.kind === 'broken' && cut !== undefined) break;
      if (index !== 'none') this.#checkWrites(answer, index);
      carried.push({ ...this.#proxy.carried });
    }
    session.close();
    await session.ended;
    return carried;
  }

  /** From the other table everything is written, each thing once; a table that a cut request has made already takes no write. */
  #checkWrites(answer: Answer<ApplyResult>, index: Index): void {
    assert.ok(answer.kind === 'ok', JSON.stringify(answer));
    const { errors, failed, writes, changes } = answer.value;
    assert.deepEqual([errors, failed], [[], []]);
    if (this.#holds !== undefined && this.#holds !== index && this.#writes[index] === 0) this.#writes[index] = writes;
    if (this.#holds !== undefined) {
      const expected = this.#holds === index ? 0 : this.#writes[index];
      assert.equal(writes, expected, changes.map(({ sentence }) => sentence).join('\n'));
    }
    this.#holds = index;
  }

  #look(): Promise<string> {
    return this.#machine.read(LOOK);
  }
}
