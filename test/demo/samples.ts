import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { directorAddresses } from '../lab/addresses.ts';
import { REPOSITORY } from '../lab/lab-dir.ts';
import type { DirectorVm } from '../lab/vm/director-vm.ts';

const HOST_KEY = /- ssh-ed25519 \S+/;
const ADDRESS = /address: \S+/;

/**
 * Copies config/samples and fills in what differs from site to site, as a user would with an editor: address and host key of each
 * director. Returns the folder.
 */
export async function fillInSamples(directors: readonly DirectorVm[], workDir: string): Promise<string> {
  const folder = join(workDir, 'samples');
  await cp(join(REPOSITORY, 'config/samples'), folder, { recursive: true });
  const file = join(folder, 'directors.yaml');
  const documents = (await readFile(file, 'utf8')).split('\n---\n');
  assert.equal(
    documents.length,
    directors.length,
    'config/samples/directors.yaml has a Director for each host of the lab',
  );
  const filled = documents.map((document, index) => {
    assert.match(document, HOST_KEY);
    assert.match(document, ADDRESS);
    return document
      .replace(HOST_KEY, `- ${directors[index]?.hostKey}`)
      .replace(ADDRESS, `address: ${directorAddresses(index + 1).v4}`);
  });
  await writeFile(file, filled.join('\n---\n'));
  return folder;
}
