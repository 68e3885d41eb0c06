import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HttpMethod, RequestContext } from '@kubernetes/client-node';
import { loadKubeConfig, type OpKubeConfig } from '../../../operator/kube/kube-config.ts';

describe('loadKubeConfig', () => {
  let directory: string;
  let config: OpKubeConfig | undefined;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'kubeconfig-'));
  });

  afterEach(async () => {
    await config?.close();
    config = undefined;
    rmSync(directory, { recursive: true });
  });

  const trouble: [string, string | undefined, RegExp][] = [
    ['no such file', undefined, /The kubeconfig .* cannot be used: ENOENT/],
    ['no YAML', '{', /The kubeconfig .* cannot be used/],
    ['no current context', kubeconfig({}, { 'current-context': 'none' }), /names no cluster for its current context/],
    ['a proxy', kubeconfig({ 'proxy-url': 'http://192.0.2.1:3128' }), /asks for a proxy \(proxy-url\)/],
  ];
  for (const [name, text, sentence] of trouble) {
    it(`says what is wrong: ${name}`, () => {
      const path = text === undefined ? join(directory, 'missing') : file('kubeconfig', text);
      assert.throws(() => loadKubeConfig({ kubeconfig: path, userAgent: 'test' }), sentence);
    });
  }

  it('says that this is no Pod when there is no kubeconfig', () => {
    assert.equal(process.env.KUBERNETES_SERVICE_HOST, undefined);
    assert.throws(() => loadKubeConfig({ userAgent: 'test' }), /this is not a Pod .*: pass --kubeconfig/);
  });

  it('sends token and User-Agent, and keeps calls and watches on connections of their own', async () => {
    config = loaded();
    const call = await applied('/api/v1/services');
    const watch = await applied('/api/v1/services?watch=true');
    assert.equal(call.getHeaders().Authorization, 'Bearer a-token');
    assert.equal(call.getHeaders()['User-Agent'], 'test/1');
    assert.ok(call.getDispatcher());
    assert.notEqual(call.getDispatcher(), watch.getDispatcher());
    assert.equal((await applied('/api/v1/nodes')).getDispatcher(), call.getDispatcher());
  });

  it('makes new connections when the certificate authority on disk changes', async () => {
    const ca = file('ca.crt', 'one');
    config = loaded({ 'certificate-authority': ca });
    const before = (await applied('/x')).getDispatcher();
    assert.equal((await applied('/x')).getDispatcher(), before);
    file('ca.crt', 'two');
    assert.notEqual((await applied('/x')).getDispatcher(), before);
  });

  it('makes new connections for calls after a timeout', async () => {
    config = loaded();
    const call = (await applied('/x')).getDispatcher();
    const watch = (await applied('/x?watch=true')).getDispatcher();
    config.abandonCallConnections();
    assert.notEqual((await applied('/x')).getDispatcher(), call);
    assert.equal((await applied('/x?watch=true')).getDispatcher(), watch);
  });

  it('reads a token from a file, without its newline', async () => {
    // As the service account of a Pod is configured.
    const provider = { tokenFile: file('token', 'from-file\n') };
    config = loaded({}, { 'auth-provider': { name: 'tokenFile', config: provider } });
    assert.equal((await applied('/x')).getHeaders().Authorization, 'Bearer from-file');
  });

  function loaded(cluster: object = {}, user: object = { token: 'a-token' }): OpKubeConfig {
    return loadKubeConfig({ kubeconfig: file('kubeconfig', kubeconfig(cluster, {}, user)), userAgent: 'test/1' });
  }

  async function applied(path: string): Promise<RequestContext> {
    const context = new RequestContext(`https://192.0.2.1:6443${path}`, HttpMethod.GET);
    await config?.applySecurityAuthentication(context);
    return context;
  }

  function file(name: string, text: string): string {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  }
});

function kubeconfig(cluster: object, rest: object = {}, user: object = { token: 'a-token' }): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: 'https://192.0.2.1:6443', ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
    ...rest,
  });
}
