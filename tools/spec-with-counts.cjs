'use strict';
// Mocha's spec reporter, which also writes {passed, failed, pending} to the file named in TEST_COUNTS: the runner adds up all kinds of tests.
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

module.exports = class SpecWithCounts extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures, pending } = runner.stats;
      if (process.env.TEST_COUNTS) {
        writeFileSync(process.env.TEST_COUNTS, JSON.stringify({ passed: passes, failed: failures, pending }));
      }
    });
  }
};
