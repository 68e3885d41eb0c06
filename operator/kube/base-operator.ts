import type { OperatorLogger } from '@dot-i/k8s-operator';
import dotI from '@dot-i/k8s-operator';
import type { OpKubeConfig } from './kube-config.ts';

/**
 * The life cycle of `@dot-i/k8s-operator` (`start()` runs `init()`) without its network code: see the overrides.
 * A subclass implements `init()` (start everything) and `shutDown()` (stop everything, in order).
 */
export abstract class SafeOperator extends dotI.default {
  constructor(kubeConfig: OpKubeConfig, logger: OperatorLogger) {
    super(logger);
    this.kubeConfig = kubeConfig;
  }

  protected abstract shutDown(): Promise<void>;

  /** Starts the shutdown once; {@link stopped} tells when it is complete. */
  override stop(): void {
    throw new Error('not built yet');
  }

  /** Settles when the shutdown is complete; rejects with what {@link shutDown} threw. */
  get stopped(): Promise<void> {
    throw new Error('not built yet');
  }
}
