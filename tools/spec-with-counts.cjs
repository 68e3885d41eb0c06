'use strict';
// Mocha's spec reporter, which also writes {passed, failed, pending, failures} to the file named in TEST_COUNTS: the runner adds up
// all kinds of tests and names those that failed once more at the end.
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

module.exports = class SpecWithCounts extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const failures = [];
    runner.on('fail', (test, error) => {
      const [firstLine] = String(error?.message ?? error).split('\n');
      failures.push(`${test.titlePath().join(' > ')}: ${firstLine}`);
    });
    runner.once('end', () => {
      const { passes, failures: failed, pending } = runner.stats;
      if (process.env.TEST_COUNTS) {
        writeFileSync(process.env.TEST_COUNTS, JSON.stringify({ passed: passes, failed, pending, failures }));
      }
    });
  }
};
