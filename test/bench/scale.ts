/**
 * What the product costs the API server with few and with many Services: `tools/node test/bench/scale.ts [MANY [PAIRS]]`, default 10,000 and 50.
 * Real etcd and kube-apiserver, the operator's own process, two directors (the real helper behind a real sshd, with kernels in memory).
 * Requests are counted by the audit log of the API server.
 */
import { asRecord } from '../../operator/kube/kube-object.ts';
import { type ApiRequest, tally } from '../integration/operator/api-requests.ts';
import { RunningSite } from '../integration/operator/running-site.ts';
import { createService, deleteService, forEachName } from '../integration/operator/site-services.ts';
import { Published } from './published.ts';
import { formatSamples, percentile, type Sample } from './sample.ts';

const FEW = 100;
const many = wholeNumber(process.argv[2] ?? '10000', FEW + 1);
const pairs = wholeNumber(process.argv[3] ?? '50', 10);
/** Longer than any status is put off, and than events wait for each other. */
const QUIET_MS = 10_000;
const QUIET_WITHIN_MS = 600_000;
const SERVED_WITHIN_MS = 1_200_000;
const DIRECTORS_WITHIN_MS = 300_000;
const NODE_EVENTS = 6;
const POOL = '/apis/ipvs-operator.io/v1alpha1/loadbalancerpools/web';
const NODE = '/api/v1/nodes/node-2';
const EXCLUDE = 'node.kubernetes.io/exclude-from-external-load-balancers';

/** Services there are, in the order in which they are deleted. */
const oldest: string[] = [];
let suffix = 0;

const site = await RunningSite.open();
const published = await Published.watch(site.api, 'default');
try {
  site.startOperator();
  await directorsReady();
  const samples: Sample[] = [];

  await bulk(0, FEW);
  const few = await deleteOneCreateOne(FEW);
  samples.push(few.sample, few.taken);
  await bulk(FEW, many);
  const lots = await deleteOneCreateOne(many);
  samples.push(lots.sample, lots.taken, await duringNodeEvents(many));
  report('operator process, most memory resident', `${site.peakMemory().toFixed(0)} MiB`);
  await restart();
  await directorsReady();
  samples.push((await deleteOneCreateOne(many, 'after the restart, ')).sample);
  report('operator process, most memory resident since its restart', `${site.peakMemory().toFixed(0)} MiB`);

  console.log(`\n${formatSamples(samples)}`);
  const median = ({ sample }: Exchange) => percentile(sample.milliseconds, 0.5);
  report(`delete one, create one: median with ${many} ÷ median with ${FEW}`, (median(lots) / median(few)).toFixed(2));
  report('  processor time of the operator, the same ratio', (lots.processor / few.processor).toFixed(2));
  report('  requests of the operator, the same ratio', (lots.requests / few.requests).toFixed(2));
  report('  writes of the operator, the same ratio', (lots.writes / few.writes).toFixed(2));
} finally {
  published.close();
  await site.close();
}

/** Creates Services as fast as the API server takes them, and waits until each has its address. */
async function bulk(from: number, to: number): Promise<void> {
  const names = Array.from({ length: to - from }, (_, index) => serviceName(from + index));
  site.requests.mark();
  const start = performance.now();
  await forEachName(names, (name) => createService(site.api, name));
  const created = performance.now() - start;
  await allServed(names);
  const served = performance.now() - start;
  await quiet();
  const requests = site.requests.all();
  oldest.push(...names);
  report(`${names.length} created at once: taken / all have an address`, `${seconds(created)} / ${seconds(served)}`);
  report('  writes per Service (claim, status, event)', perPiece(aboutServices(requests), names.length));
  report('  writes of pool and director statuses in all', String(requests.filter(isOwnStatus).length));
}

/**
 * Pairs of a deletion and a creation: how long until the API server has taken the new one, until it has its address, and what the operator
 * asked meanwhile, leases left out, and how much processor time it took, in milliseconds.
 */
interface Exchange {
  readonly taken: Sample;
  readonly sample: Sample;
  readonly processor: number;
  readonly requests: number;
  readonly writes: number;
}

async function deleteOneCreateOne(size: number, when = ''): Promise<Exchange> {
  const milliseconds: number[] = [];
  const taken: number[] = [];
  await quiet();
  site.requests.mark();
  const before = site.processorTime();
  for (let pair = 0; pair < pairs; pair += 1) {
    const next = `again-${nextSuffix()}`;
    const seen = published.of(next);
    await deleteService(site.api, oldest.shift() ?? '');
    const start = performance.now();
    await createService(site.api, next);
    taken.push(performance.now() - start);
    milliseconds.push((await seen) - start);
    oldest.push(next);
  }
  const processor = site.processorTime() - before;
  await quiet();
  const what = `${when}delete one, create one → address, with ${size}`;
  const requests = site.requests.all().filter(({ resource }) => resource !== 'leases');
  report(`${what}: requests of the operator per pair`, JSON.stringify(perPair(requests)));
  report('  processor time of the operator per pair', `${(processor / pairs).toFixed(1)} ms`);
  return {
    taken: { what: '  of which until the API server has taken it', milliseconds: taken },
    sample: { what, milliseconds },
    processor,
    requests: requests.length,
    writes: requests.filter(isWrite).length,
  };
}

/** A node leaves or returns, which concerns every Service, and at the same moment one more Service is created. */
async function duringNodeEvents(size: number): Promise<Sample> {
  const milliseconds: number[] = [];
  site.requests.mark();
  for (let event = 0; event < NODE_EVENTS; event += 1) {
    const name = `beside-${nextSuffix()}`;
    const seen = published.of(name);
    await site.api.send('PATCH', NODE, { metadata: { labels: { [EXCLUDE]: event % 2 === 0 ? 'true' : null } } });
    const start = performance.now();
    await createService(site.api, name);
    milliseconds.push((await seen) - start);
    await deleteService(site.api, name);
    await quiet();
  }
  const others = aboutServices(site.requests.all()).filter(({ name }) => !name.startsWith('beside-'));
  report(`${NODE_EVENTS} node events with ${size}: writes about other Services`, counted(others));
  return { what: `create → address while a node event is worked off, with ${size}`, milliseconds };
}

async function restart(): Promise<void> {
  await site.stopOperator();
  await quiet();
  site.requests.mark();
  const seen = published.of('after-restart');
  const start = performance.now();
  site.startOperator();
  await createService(site.api, 'after-restart');
  const served = (await seen) - start;
  await quiet();
  const writes = aboutServices(site.requests.all()).filter(({ name }) => !name.startsWith('after-restart'));
  report(`restart with ${many}: start of the process → a new Service has its address`, seconds(served));
  report('  writes about any other Service', counted(writes));
  report('  writes of pool and director statuses', String(site.requests.all().filter(isOwnStatus).length));
}

/** A director that is not there yet would be told of, which costs writes of its own. */
async function directorsReady(): Promise<void> {
  const deadline = Date.now() + DIRECTORS_WITHIN_MS;
  for (;;) {
    const pool = asRecord(await site.api.send('GET', POOL));
    if (asRecord(pool.status).directorsReady === '2/2') return;
    if (Date.now() > deadline) throw new Error(`the directors are not ready: ${JSON.stringify(pool.status)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function allServed(names: readonly string[]): Promise<void> {
  const deadline = Date.now() + SERVED_WITHIN_MS;
  let left = names;
  while (left.length > 0) {
    left = left.filter((name) => !published.has(name));
    if (Date.now() > deadline)
      throw new Error(
        `${left.length} of ${names.length} have no address; the operator says: ${site.log().slice(-2_000)}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Writes to Services, and events about them; those about directors are in the same namespace. */
function aboutServices(requests: readonly ApiRequest[]): readonly ApiRequest[] {
  const isAbout = ({ resource, name }: ApiRequest) => /^(services|events)/.test(resource) && !name.startsWith('lb-');
  return requests.filter((request) => isWrite(request) && isAbout(request));
}

function isWrite({ verb }: ApiRequest): boolean {
  return verb !== 'get' && verb !== 'list';
}

function isOwnStatus({ verb, resource }: ApiRequest): boolean {
  return verb === 'patch' && /^(loadbalancerpools|directors)\/status$/.test(resource);
}

/** How many, and the first of them by name: each is one too many. */
function counted(writes: readonly ApiRequest[]): string {
  const some = writes.slice(0, 5).map(({ verb, resource, name }) => `${verb} ${resource} ${name}`);
  return [String(writes.length), ...some].join(', ');
}

function perPiece(requests: readonly ApiRequest[], pieces: number): string {
  return (requests.length / pieces).toFixed(3);
}

function perPair(requests: readonly ApiRequest[]): Record<string, number> {
  return Object.fromEntries(
    Object.entries(tally(requests)).map(([what, count]) => [what, Math.round((100 * count) / pairs) / 100]),
  );
}

function nextSuffix(): number {
  suffix += 1;
  return suffix;
}

function serviceName(index: number): string {
  return `web-${String(index).padStart(5, '0')}`;
}

/** Until nothing has been written about a Service for a while: events of many at once are written later, so many a second. */
async function quiet(): Promise<void> {
  const deadline = Date.now() + QUIET_WITHIN_MS;
  for (let before = -1, now = writes(); now !== before; before = now, now = writes()) {
    if (Date.now() > deadline) throw new Error(`the operator still writes about Services after ${QUIET_WITHIN_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  }

  function writes(): number {
    return aboutServices(site.requests.all()).length;
  }
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(1)} s`;
}

function report(what: string, value: string): void {
  console.log(`${what}: ${value}`);
}

function wholeNumber(text: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least) throw new Error(`${text} is not a whole number of at least ${least}`);
  return value;
}
