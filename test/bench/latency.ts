/**
 * How long the product takes, on a lab with real directors: `test/lab/lab run -- tools/node test/bench/latency.ts [SAMPLES]`.
 * Prints a table of medians and 99th percentiles; SAMPLES is the number of measurements of each kind, at least 50, default 100.
 */
import { closeWorld, openWorld } from '../e2e/world.ts';
import { measureKernel, measurePublication } from './measure.ts';
import { formatSamples } from './sample.ts';

const n = Number(process.argv[2] ?? 100);
if (!Number.isInteger(n) || n < 50)
  throw new Error(`the number of samples is a whole number of at least 50, not ${process.argv[2]}`);

const world = await openWorld();
try {
  const samples = [...(await measurePublication(world, n)), ...(await measureKernel(world, n))];
  console.log(`\n${formatSamples(samples)}`);
} finally {
  await closeWorld();
}
