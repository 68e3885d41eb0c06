import { Simulation } from './simulator.ts';

/** More histories: SIMULATIONS=5000. One again: SIMULATION_SEED=17. */
const HISTORIES = Number(process.env.SIMULATIONS ?? 300);
const FIRST_SEED = Number(process.env.SIMULATION_SEED ?? 1);
const STEPS = 40;

describe('Random histories of a whole site', function () {
  this.timeout(1_200_000);

  const count = process.env.SIMULATION_SEED === undefined ? HISTORIES : 1;
  it(`keeps the invariants at every step, converges and falls silent, ${count} times from seed ${FIRST_SEED}`, async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed += 1) await new Simulation(seed).run(STEPS);
  });
});
