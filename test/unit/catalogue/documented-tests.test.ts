import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

const ROOT = new URL('../../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8');

interface Reference {
  readonly file: string;
  readonly title: string;
}

/** `` `path`: title `` in the second column, several separated by `<br>`; a golden case needs none but for one of its steps, its file has it. */
function referencesOf(page: string): readonly Reference[] {
  return page
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .flatMap((line) => (line.split(' | ')[1] ?? '').split('<br>'))
    .flatMap((cell) => {
      const found = /^`([^`]+\.(?:ts|yaml|go))`(?:: (.+))?$/.exec(cell.trim());
      return found === null ? [] : [{ file: found[1] ?? '', title: (found[2] ?? '').replaceAll('\\|', '|').trim() }];
    });
}

/** Where a title is written: behind `it(`, in a table row, or behind `title:`. */
function holds(source: string, title: string): boolean {
  return [`'${title.replaceAll("'", "\\'")}'`, `\`${title}\``, `"${title}"`, `title: ${title}`].some((text) =>
    source.includes(text),
  );
}

/** Whether a golden case has the step; no step is the whole case. */
function hasStep(source: string, when: string): boolean {
  return when === '' || source.split('\n').some((line) => line.endsWith(`- when: ${when}`));
}

describe('docs/compatibility.md', () => {
  const page = read('docs/compatibility.md');
  const references = referencesOf(page);

  it('names only tests that exist, by the titles that they have', () => {
    const missing = references.filter(({ file, title }) => {
      if (!existsSync(new URL(file, ROOT))) return true;
      return file.endsWith('.yaml') ? !hasStep(read(file), title) : title === '' || !holds(read(file), title);
    });
    assert.deepEqual(missing, []);
  });

  it('names a test in every row, or says why it does not apply', () => {
    const rows = page
      .split('\n')
      .filter((line) => /^\| (?!behaviour|---|case |E\d\d )/.test(line) && line.split(' | ').length === 4);
    const without = rows.filter((line) => {
      const [, test, , why] = line.split(' | ');
      return test === 'does not apply' ? why === '– |' : referencesOf(line).length === 0;
    });
    assert.deepEqual(without, []);
  });

  for (const [letter, whose] of [
    ['K', 'the service controller of Kubernetes'],
    ['M', 'MetalLB'],
    ['C', 'Cilium'],
  ]) {
    it(`numbers the rows of ${whose} without a gap`, () => {
      const numbers = [...page.matchAll(new RegExp(`^\\| ${letter}(\\d+) `, 'gm'))].map(([, number]) => Number(number));
      assert.ok(numbers.length > 0);
      assert.deepEqual(
        numbers,
        numbers.map((_, index) => index + 1),
      );
    });
  }

  it('has a row for each of the cases E01 to E17, which are all in one file', () => {
    const numbers = page.split('\n').flatMap((line) => /^\| (E\d\d) /.exec(line)?.[1] ?? []);
    const titles = read('test/e2e/kubernetes/cases.ts').match(/ title: '/g) ?? [];
    const expected = titles.map((_, index) => `E${String(index + 1).padStart(2, '0')}`);
    assert.deepEqual(numbers, expected);
    assert.equal(numbers.length, 17);
  });

  it('has a row for every golden case', () => {
    const files = readdirSync(new URL('test/golden', ROOT), { recursive: true, encoding: 'utf8' });
    const listed = new Set(references.map(({ file }) => file));
    const missing = files
      .map((file) => `test/golden/${file}`)
      .filter((file) => file.endsWith('.yaml') && !listed.has(file));
    assert.deepEqual(missing, []);
  });
});
