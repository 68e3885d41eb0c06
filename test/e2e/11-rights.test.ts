import './hooks.ts';
import assert from 'node:assert/strict';
import { OPERATOR_NAMESPACE } from '../lab/lab.ts';
import { cluster, operator } from './world.ts';

const AS = `--as=system:serviceaccount:${OPERATOR_NAMESPACE}:ipvs-operator`;

/** The operator of all these tests runs with exactly this account's token: what works above works with these rights. */
describe('the rights of the operator', function () {
  this.timeout(60_000);

  const allowed: readonly (readonly string[])[] = [
    ['get', 'secrets', '-n', OPERATOR_NAMESPACE],
    ['watch', 'services', '--all-namespaces'],
    ['patch', 'services/status', '--all-namespaces'],
    ['watch', 'endpointslices.discovery.k8s.io', '--all-namespaces'],
    ['watch', 'nodes'],
    ['watch', 'servicecidrs.networking.k8s.io'],
    ['update', 'leases.coordination.k8s.io', '-n', OPERATOR_NAMESPACE],
    ['create', 'events.events.k8s.io', '--all-namespaces'],
  ];
  const refused: readonly (readonly string[])[] = [
    ['get', 'secrets', '-n', 'default'],
    ['list', 'secrets', '--all-namespaces'],
    ['get', 'secrets', '-n', 'kube-system'],
    ['create', 'secrets', '-n', OPERATOR_NAMESPACE],
    ['delete', 'services', '--all-namespaces'],
    ['create', 'services', '-n', 'default'],
    ['patch', 'nodes'],
    ['create', 'pods', '-n', OPERATOR_NAMESPACE],
    ['get', 'configmaps', '-n', 'kube-system'],
    ['update', 'leases.coordination.k8s.io', '-n', 'kube-system'],
    ['delete', 'lbpools.ipvs-operator.io'],
    ['create', 'clusterroles.rbac.authorization.k8s.io'],
    ['*', '*', '--all-namespaces'],
  ];

  it('runs as that ServiceAccount', async () => {
    assert.equal(await operator().userName(), `system:serviceaccount:${OPERATOR_NAMESPACE}:ipvs-operator`);
  });

  for (const [verb = '', resource = '', ...where] of allowed) {
    it(`may ${verb} ${resource} ${where.join(' ')}`, async () => {
      assert.equal(await answer(verb, resource, where), 'yes');
    });
  }
  for (const [verb = '', resource = '', ...where] of refused) {
    it(`may not ${verb} ${resource} ${where.join(' ')}`, async () => {
      assert.equal(await answer(verb, resource, where), 'no');
    });
  }

  it('has no wildcard in any of its roles', async () => {
    const roles = [...(await cluster().list('clusterroles')), ...(await cluster().list('roles', OPERATOR_NAMESPACE))];
    const ours = roles.filter(({ metadata }) => metadata.name.includes('ipvs-operator'));
    assert.ok(ours.length >= 2, 'a ClusterRole and a Role');
    for (const { rules, metadata } of ours) assert.ok(!JSON.stringify(rules).includes('"*"'), metadata.name);
  });

  async function answer(verb: string, resource: string, where: readonly string[]): Promise<string> {
    return (await cluster().canI(verb, resource, ...where, AS)).trim();
  }
});
