import type { LookUp } from '../core/who-has.ts';
import type { ApiClient } from '../kube/api-client.ts';
import { asArray, asRecord, asText, isKubeObject, type KubeObject } from '../kube/kube-object.ts';
import { parseLoadBalancerPool } from '../kube/parse-load-balancer-pool.ts';
import { parseHeld } from '../kube/parse-pool-allocation.ts';
import { parseService } from '../kube/parse-service.ts';
import { API_GROUP, API_VERSION, SERVICE_CONDITION } from '../model/names.ts';

/** Reads what a look-up needs with the rights of the user. @throws with the server's sentence when something cannot be read. */
export async function readLookUp(api: ApiClient): Promise<LookUp> {
  const [services, pools] = await Promise.all([
    list(api, '/api/v1/services', 'fieldSelector', 'spec.type=LoadBalancer'),
    list(api, `/apis/${API_GROUP}/${API_VERSION}/loadbalancerpools`),
  ]);
  return {
    services: services.flatMap((object) => {
      // Whether a Service without a class is ours is the operator's to know; here it does no harm to look.
      const service = parseService(object, { claimUnclassed: true });
      const since = sinceOf(object);
      return service === undefined ? [] : [{ service, ...(since !== undefined && { since }) }];
    }),
    pools: pools.flatMap((object) => {
      const parsed = parseLoadBalancerPool(object);
      return parsed.ok ? [{ pool: parsed.value, held: parseHeld(object.status) }] : [];
    }),
  };
}

async function list(api: ApiClient, path: string, parameter?: string, value = ''): Promise<readonly KubeObject[]> {
  const answer = await api.get(path, parameter === undefined ? {} : { query: { [parameter]: value } });
  if (!answer.ok) throw new Error(answer.message);
  const { kind, apiVersion, items } = asRecord(answer.body);
  const itemKind = (asText(kind) ?? '').replace(/List$/, '');
  // Items of a list carry neither kind nor version.
  return asArray(items)
    .map((item) => ({ apiVersion, kind: itemKind, ...asRecord(item) }))
    .filter((item): item is typeof item & KubeObject => isKubeObject(item));
}

function sinceOf({ status }: KubeObject): string | undefined {
  const conditions = asArray(asRecord(status).conditions).map(asRecord);
  return asText(conditions.find(({ type }) => type === SERVICE_CONDITION.addressAssigned)?.lastTransitionTime);
}
