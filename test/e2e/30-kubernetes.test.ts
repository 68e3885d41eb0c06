import './hooks.ts';
import { kubernetesCases } from './kubernetes/cases.ts';
import { Stage } from './kubernetes/stage.ts';
import { variantsHere } from './kubernetes/variant.ts';

/**
 * What Kubernetes itself asserts of load balancers, under its research numbers E01 to E17. The lab that this runs in decides which
 * variants: with `--proxy-mode iptables`, or without.
 */
for (const [number, variant] of variantsHere().entries()) {
  describe(`Kubernetes' load balancer cases: ${variant.name}, kube-proxy ${variant.proxyMode}`, function () {
    // Only a net below the waits, which have bounds of their own and say what they waited for.
    this.timeout(2_000_000);
    let stage: Stage;
    before(async () => {
      stage = await Stage.open(variant, number);
    });
    after(() => stage.close());
    const cases = kubernetesCases.filter(({ id }) => variant.cases.includes(id));
    for (const { id, title, run } of cases) it(`${id} ${title}`, () => run(stage));
  });
}
