import { drainingCases } from './contract-draining.ts';
import { refusingCases } from './contract-refusing.ts';
import type { CaseSubject } from './contract-requests.ts';
import { sessionCases } from './contract-session.ts';
import { fakeSubject, helperSubject, type Subject } from './contract-subjects.ts';
import { writingCases } from './contract-writing.ts';

const subjects: [name: string, start: () => Promise<Subject>][] = [
  ['the fake director', fakeSubject],
  ['the helper behind sshd', helperSubject],
];

for (const [name, startSubject] of subjects) {
  describe(`the contract of a director session, kept by ${name}`, function () {
    this.timeout(20_000);
    const at = {} as CaseSubject;

    before(async () => {
      at.subject = await startSubject();
    });
    beforeEach(async () => {
      await at.subject.reset();
      at.session = await at.subject.open();
    });
    after(() => at.subject.stop());

    sessionCases(at);
    writingCases(at);
    drainingCases(at);
    refusingCases(at);
  });
}
