/**
 * What the kubelet stand-in owes a pod besides running it.
 *
 *     test/lab/lab run --directors 0 -- npx mocha test/lab/kubelet.test.ts
 */
import assert from 'node:assert/strict';
import { nodeAddresses } from './addresses.ts';
import { Lab } from './lab.ts';
import { CONTROLPLANE } from './lab-dir.ts';
import { waitFor } from './wait-for.ts';

const TOKENS = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Asks the API server as a client in a pod does: its address from the environment, all else from the mounted volume. */
const ASK = [
  `ask() { curl -sS --cacert ${TOKENS}/ca.crt -H "Authorization: Bearer $(cat ${TOKENS}/token)" -o /dev/null -w "$1 %{http_code}\\n"`,
  `"https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/$(cat ${TOKENS}/namespace)/$1"; }`,
].join(' ');

describe('kubelet stand-in', function () {
  // Only a net below the waits, which have bounds of their own and say what they waited for.
  this.timeout(180_000);
  let lab: Lab;

  before(async () => {
    lab = await Lab.attach();
  });
  after(() => lab.close());

  it('a pod reaches the API server with the rights of its service account, and sees its ConfigMap', async () => {
    await lab.kubectl(['create', 'serviceaccount', 'reader']);
    await lab.kubectl(['create', 'configmap', 'greeting', '--from-literal=text=hello']);
    await lab.kubectl(['create', 'role', 'reader', '--verb=get', '--resource=configmaps']);
    await lab.kubectl(['create', 'rolebinding', 'reader', '--role=reader', '--serviceaccount=default:reader']);
    await lab.apply(
      pod('asks', {
        serviceAccountName: 'reader',
        restartPolicy: 'Never',
        volumes: [{ name: 'greeting', configMap: { name: 'greeting' } }],
        containers: [
          {
            name: 'asks',
            image: 'agnhost',
            command: ['sh', '-ec', `${ASK}; ask configmaps/greeting; ask secrets; cat /etc/greeting/text; hostname`],
            volumeMounts: [{ name: 'greeting', mountPath: '/etc/greeting' }],
          },
        ],
      }),
    );
    await lab.kubectl(['wait', 'pod/asks', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=30s']);
    const { stdout } = await lab.kubectl(['logs', 'asks']);
    assert.equal(stdout, 'configmaps/greeting 200\nsecrets 403\nhelloasks\n');
  });

  it('an unknown image is said in the status, and hurts nobody', async () => {
    await lab.apply(pod('unknown', { containers: [{ name: 'c', image: 'nowhere.example/nginx:1' }] }));
    const message = await waitFor(
      'the reason why pod unknown waits',
      async (see) => {
        const path = '{.status.containerStatuses[0].state.waiting}';
        const { stdout } = await lab.kubectl(['get', 'pod', 'unknown', '-o', `jsonpath=${path}`]);
        see(stdout);
        return stdout.includes('ErrImagePull') ? stdout : undefined;
      },
      { timeoutMs: 30_000 },
    );
    assert.match(message, /it knows agnhost, ipvs-operator, netexec/);
    await lab.kubectl(['delete', 'pod', 'unknown']);
  });

  it('readiness follows its probe, and a failed liveness probe restarts the container', async () => {
    const probed = { httpGet: { path: '/readyz', port: 8080 }, periodSeconds: 1, failureThreshold: 1 };
    const command = ['sh', '-c', 'touch /mnt/alive; exec "$0" "$@"'];
    await lab.apply(
      pod('probed', {
        volumes: [{ name: 'alive', emptyDir: {} }],
        containers: [
          {
            name: 'c',
            image: 'agnhost',
            readinessProbe: probed,
            livenessProbe: {
              exec: { command: ['test', '-e', '/mnt/alive'] },
              periodSeconds: 1,
              failureThreshold: 1,
              initialDelaySeconds: 1,
            },
            volumeMounts: [{ name: 'alive', mountPath: '/mnt' }],
            command: [...command, CONTROLPLANE, 'netexec'],
          },
        ],
      }),
    );
    await lab.kubectl(['wait', 'pod/probed', '--for=condition=Ready', '--timeout=30s']);
    const { stdout: ip } = await lab.kubectl(['get', 'pod', 'probed', '-o', 'jsonpath={.status.podIP}']);
    await lab.client('client').get(`http://${ip}:8080/shell?cmd=rm%20/mnt/alive`);
    await waitFor(
      'pod probed to be restarted and ready',
      async (see) => {
        const path = '{.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}';
        const { stdout } = await lab.kubectl(['get', 'pod', 'probed', '-o', `jsonpath=${path}`]);
        see(stdout);
        return stdout === '1 true' ? true : undefined;
      },
      { timeoutMs: 30_000 },
    );
    await lab.kubectl(['delete', 'pod', 'probed']);
  });

  it('a pod that is deleted serves through its grace period, then is gone', async () => {
    const lifecycle = { preStop: { sleep: { seconds: 3 } } };
    await lab.apply(pod('graceful', { containers: [{ name: 'c', image: 'agnhost', lifecycle }] }));
    await lab.kubectl(['wait', 'pod/graceful', '--for=condition=Ready', '--timeout=30s']);
    const { stdout: ip } = await lab.kubectl(['get', 'pod', 'graceful', '-o', 'jsonpath={.status.podIP}']);
    const url = `http://${ip}:8080/hostname`;
    const client = lab.client('client');
    await waitFor('the pod to answer', async () => ((await client.get(url)).status === 200 ? true : undefined), {
      timeoutMs: 30_000,
    });
    await lab.kubectl(['delete', 'pod', 'graceful', '--wait=false']);
    assert.equal((await client.get(url)).body, 'graceful');
    await lab.kubectl(['wait', 'pod/graceful', '--for=delete', '--timeout=30s']);
    assert.equal((await client.get(url, { timeoutMs: 1000 })).status, 0);
  });

  it('a node that lost its power runs its pods again when it is back', async () => {
    await lab.addNode('node3');
    await lab.apply(pod('stays', { nodeName: 'node3', containers: [{ name: 'c', image: 'agnhost' }] }));
    await lab.kubectl(['wait', 'pod/stays', '--for=condition=Ready', '--timeout=30s']);
    await lab.crashNode('node3');
    const client = lab.client('client');
    const healthz = `http://${nodeAddresses(3).v4}:10256/healthz`;
    assert.equal((await client.get(healthz, { timeoutMs: 1000 })).status, 0);
    await lab.addNode('node3');
    await waitFor(
      'pod stays to answer again',
      async (see) => {
        const { stdout: ip } = await lab.kubectl(['get', 'pod', 'stays', '-o', 'jsonpath={.status.podIP}']);
        const answer = await client.get(`http://${ip}:8080/hostname`, { timeoutMs: 1000 });
        see(answer);
        return answer.body === 'stays' ? true : undefined;
      },
      { timeoutMs: 30_000 },
    );
    await lab.removeNode('node3');
    assert.equal(await lab.get('node', 'node3'), undefined);
  });
});

function pod(name: string, spec: object): object {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec };
}
