import { whatIsWrong } from './what-is-wrong.ts';
import { closeWorld, openWorld } from './world.ts';

// Importing this file anywhere registers root hooks once for the whole run: one lab, one installation for all files.
before(async function () {
  this.timeout(600_000);
  await openWorld();
});

after(async function () {
  this.timeout(60_000);
  await closeWorld();
});

afterEach(async function () {
  if (this.currentTest?.state !== 'failed') return;
  this.timeout(60_000);
  console.log(`${this.currentTest.err?.stack ?? 'no error is known'}\n${await whatIsWrong()}`);
});
