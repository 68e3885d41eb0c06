/**
 * Writes crds/ from the schemas in operator/api:
 *
 *     node tools/generate-crds.ts           writes the files
 *     node tools/generate-crds.ts --check   fails when a file differs from what would be written
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { customResourceDefinition, type ResourceDefinition } from '../operator/api/custom-resource-definition.ts';
import { DIRECTOR } from '../operator/api/director.ts';
import { LOAD_BALANCER_POOL } from '../operator/api/load-balancer-pool.ts';
import { API_GROUP } from '../operator/model/names.ts';

const DIRECTORY = new URL('../crds/', import.meta.url);
const HEADER = '# Written by tools/generate-crds.ts from operator/api; change it there and run `make generate`.\n';

function files(resources: readonly ResourceDefinition[]): ReadonlyMap<string, string> {
  const contents = new Map<string, string>();
  for (const resource of resources) {
    const text = stringify(customResourceDefinition(resource), { lineWidth: 0, aliasDuplicateObjects: false });
    contents.set(`${API_GROUP}_${resource.plural}.yaml`, HEADER + text);
  }
  const resourceList = stringify({
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: [...contents.keys()],
  });
  return contents.set('kustomization.yaml', HEADER + resourceList);
}

function main(check: boolean): number {
  mkdirSync(DIRECTORY, { recursive: true });
  let outdated = 0;
  for (const [name, text] of files([LOAD_BALANCER_POOL, DIRECTOR])) {
    const path = new URL(name, DIRECTORY);
    if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
    outdated += 1;
    if (check) console.error(`crds/${name} differs from the schemas in operator/api: run make generate`);
    else {
      writeFileSync(path, text);
      console.log(`wrote ${fileURLToPath(path)}`);
    }
  }
  return check && outdated > 0 ? 1 : 0;
}

process.exitCode = main(process.argv.includes('--check'));
