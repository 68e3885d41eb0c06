/**
 * The demo: a real cluster, two real IPVS directors, and the product at work. Runs inside a lab:
 * `test/lab/lab run -- tools/node test/demo/main.ts`. Its last line is `demo: ok`; anything else is a failure, with the reason.
 */
import { measureKernel, measurePublication } from '../bench/measure.ts';
import { formatSamples } from '../bench/sample.ts';
import { Lab } from '../lab/lab.ts';
import { Narrator } from './narrator.ts';
import { Stage } from './stage.ts';
import { STORY } from './story.ts';

/** Enough for a picture; `make bench-latency` measures properly. */
const SAMPLES = 10;

async function main(): Promise<number> {
  const narrator = new Narrator(STORY.length + 1);
  const lab = await Lab.attach();
  try {
    const stage = await Stage.open(lab, narrator);
    const plot = { address: '' };
    for (const { title, why, play } of STORY) {
      await narrator.step(title, why);
      await play(stage, plot);
    }
    await narrator.step('How long it takes', 'On this machine, where the directors are emulated processors.');
    const samples = [...(await measurePublication(stage, SAMPLES)), ...(await measureKernel(stage, SAMPLES))];
    narrator.say(`\n${formatSamples(samples).replaceAll(/^/gm, '   ')}`);
    narrator.say('\ndemo: ok');
    return 0;
  } catch (cause) {
    const seen = await lab.kubectl(['get', 'dir,lbpool,svc', '-A', '-o', 'wide'], { check: false });
    narrator.say(`\n${seen.stdout}${seen.stderr}`);
    narrator.say(`demo: failed in ${narrator.position}: ${cause instanceof Error ? cause.message : String(cause)}`);
    return 1;
  } finally {
    lab.close();
  }
}

process.exit(await main());
