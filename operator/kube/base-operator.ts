import type { OperatorLogger } from '@dot-i/k8s-operator';
import dotI from '@dot-i/k8s-operator';
import { KubeConfig } from '@kubernetes/client-node';
import type { OpKubeConfig } from './kube-config.ts';

/**
 * The life cycle of `@dot-i/k8s-operator`: `start()` runs `init()`, `stop()` runs `shutDown()`. Nothing else of that library can
 * be reached: its watch ends the process after 30 s of silence and on every error, its status and finalizer calls
 * swallow conflicts and overwrite what others wrote. Each of those members is overridden to refuse; reading is done by the
 * reflector, writing by the cluster writer.
 */
export abstract class SafeOperator extends dotI.default {
  #stopped: Promise<void> | undefined;

  constructor(kubeConfig: OpKubeConfig, logger: OperatorLogger) {
    const restore = withholdDefaultKubeConfig();
    try {
      super(logger);
    } finally {
      restore();
    }
    this.kubeConfig = kubeConfig;
  }

  /** Starts everything; rejects when the operator cannot run at all. */
  protected abstract override init(): Promise<void>;

  /** Stops everything, in order. */
  protected abstract shutDown(): Promise<void>;

  /** Begins the shutdown; a second call changes nothing. {@link stopped} tells when it is complete. */
  override stop(): void {
    this.#stopped ??= this.shutDown();
    // Whoever waits for `stopped` is told; without a waiter the rejection must not end the process half-way.
    this.#stopped.catch((error: unknown) => this.logger.error(`The shutdown failed: ${String(error)}`));
  }

  /** Settles when the shutdown that {@link stop} began is complete; rejects with what {@link shutDown} threw. */
  get stopped(): Promise<void> {
    return this.#stopped ?? Promise.resolve();
  }

  protected override registerCustomResourceDefinition(): never {
    return refuse('registerCustomResourceDefinition', 'the CRDs are installed from crds/');
  }

  protected override getCustomResourceApiUri(): never {
    return refuse('getCustomResourceApiUri', 'paths are made where requests are');
  }

  protected override watchResource(): never {
    return refuse('watchResource', 'use the reflector');
  }

  protected override setResourceStatus(): never {
    return refuse('setResourceStatus', 'use the cluster writer');
  }

  protected override patchResourceStatus(): never {
    return refuse('patchResourceStatus', 'use the cluster writer');
  }

  protected override handleResourceFinalizer(): never {
    return refuse('handleResourceFinalizer', 'use the cluster writer');
  }

  protected override setResourceFinalizers(): never {
    return refuse('setResourceFinalizers', 'use the cluster writer');
  }

  protected override applyAxiosKubeConfigAuth(): never {
    return refuse('applyAxiosKubeConfigAuth', 'use the API client');
  }

  protected override applyGaxiosKubeConfigAuth(): never {
    return refuse('applyGaxiosKubeConfigAuth', 'use the API client');
  }
}

function refuse(member: string, instead: string): never {
  throw new Error(`${member} of @dot-i/k8s-operator must not be used: ${instead}.`);
}

/**
 * The base class's constructor reads $KUBECONFIG or ~/.kube/config and throws when either is broken, although its
 * configuration is replaced at once. While it runs, that default is a cluster that does not exist.
 */
function withholdDefaultKubeConfig(): () => void {
  const { prototype } = KubeConfig;
  const original = Object.getOwnPropertyDescriptor(prototype, 'loadFromDefault');
  prototype.loadFromDefault = function (this: KubeConfig): void {
    this.loadFromClusterAndUser(
      { name: 'none', server: 'https://none.invalid', skipTLSVerify: false },
      { name: 'none' },
    );
  };
  return () => {
    if (original !== undefined) Object.defineProperty(prototype, 'loadFromDefault', original);
  };
}
