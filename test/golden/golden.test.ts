import { goldenCases } from './golden-case.ts';
import { playCase } from './play-case.ts';

describe('golden cases', () => {
  for (const [file, golden] of goldenCases()) {
    it(`${file}: ${golden.title}`, () => playCase(golden));
  }
});
