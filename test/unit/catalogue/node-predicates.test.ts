import assert from 'node:assert/strict';
import { selectNodes } from '../../../operator/core/select-nodes.ts';
import { parseNode } from '../../../operator/kube/parse-node.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService, endpoints } from '../../builders/a-service.ts';

/** What of a Node as the API server stores it a rule may look at. */
interface NodeFacts {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly taints?: readonly string[];
  readonly unschedulable?: boolean;
  readonly conditions?: Readonly<Record<string, 'True' | 'False' | 'Unknown'>>;
  readonly deleting?: boolean;
  readonly providerID?: string;
}

const EXCLUDED = { labels: { 'node.kubernetes.io/exclude-from-external-load-balancers': '' } };
const NOT_EXCLUDED = { labels: { 'node.kubernetes.io/exclude-from-external-load-balancers': 'false' } };
const AUTOSCALER = { taints: ['ToBeDeletedByClusterAutoscaler'] };
const DELETING = { deleting: true };
const READY = { conditions: { Ready: 'True' } } as const;
const NOT_READY = { conditions: { Ready: 'False' } } as const;
const SILENT = { conditions: { Ready: 'Unknown' } } as const;

/** A node that has been Ready once; `wasReady` false makes it a new one. */
function isSelected(facts: NodeFacts, wasReady: boolean): boolean {
  const object = {
    metadata: {
      name: 'node-1',
      uid: 'u',
      resourceVersion: '1',
      ...(facts.labels && { labels: facts.labels }),
      ...(facts.annotations && { annotations: facts.annotations }),
      ...(facts.deleting && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    },
    spec: {
      taints: (facts.taints ?? []).map((key) => ({ key, effect: 'NoSchedule' })),
      unschedulable: facts.unschedulable ?? false,
      providerID: facts.providerID,
    },
    status: {
      addresses: [{ type: 'InternalIP', address: '192.0.2.21' }],
      conditions: Object.entries(facts.conditions ?? {}).map(([type, status]) => ({ type, status })),
    },
  };
  return selectNodes([parseNode(object, wasReady)], aPool(), aService(), endpoints()).length === 1;
}

/** Whether a change of a node changes its membership; facts after the arrow replace those before it, field by field. */
type Change = readonly [
  what: string,
  before: NodeFacts,
  after: NodeFacts,
  selectedBefore: boolean,
  selectedAfter: boolean,
];

const SINGLE: readonly Change[] = [
  ['the exclusion label comes', {}, EXCLUDED, true, false],
  ['the exclusion label goes', EXCLUDED, {}, false, true],
  ['the exclusion label turns false', EXCLUDED, NOT_EXCLUDED, false, true],
  ['the exclusion label turns true', NOT_EXCLUDED, EXCLUDED, true, false],
  [
    'the exclusion label of another year (alpha) comes',
    {},
    { labels: { 'alpha.service-controller.kubernetes.io/exclude-balancer': 'true' } },
    true,
    true,
  ],
  ['another label comes', {}, { labels: { zone: 'a' } }, true, true],
  ['another label changes', { labels: { zone: 'a' } }, { labels: { zone: 'b' } }, true, true],
  ['an annotation comes', {}, { annotations: { note: 'x' } }, true, true],
  ['the autoscaler taint comes', {}, AUTOSCALER, true, false],
  ['the autoscaler taint goes', AUTOSCALER, {}, false, true],
  ['another taint comes', {}, { taints: ['dedicated'] }, true, true],
  ['another taint goes', { taints: ['dedicated'] }, {}, true, true],
  ['it is cordoned', {}, { unschedulable: true, taints: ['node.kubernetes.io/unschedulable'] }, true, true],
  ['Ready turns False', READY, NOT_READY, true, true],
  ['Ready turns Unknown', READY, SILENT, true, true],
  ['Ready is not told any more', READY, {}, true, true],
  ['Ready turns True', NOT_READY, READY, true, true],
  [
    'NetworkUnavailable turns True',
    { conditions: { Ready: 'True', NetworkUnavailable: 'False' } },
    { conditions: { Ready: 'True', NetworkUnavailable: 'True' } },
    true,
    true,
  ],
  ['MemoryPressure turns True', READY, { conditions: { Ready: 'True', MemoryPressure: 'True' } }, true, true],
  ['it is marked for deletion', {}, DELETING, true, false],
  ['providerID is set', {}, { providerID: 'example://1' }, true, true],
  ['providerID is taken away', { providerID: 'example://1' }, {}, true, true],
  ['providerID changes', { providerID: 'example://1' }, { providerID: 'example://2' }, true, true],
];

const COMPOUND: readonly Change[] = [
  ['excluded, and it turns NotReady', { ...EXCLUDED, ...READY }, { ...EXCLUDED, ...NOT_READY }, false, false],
  ['excluded, and it turns Ready', { ...EXCLUDED, ...NOT_READY }, { ...EXCLUDED, ...READY }, false, false],
  ['excluded, and the autoscaler taint comes', EXCLUDED, { ...EXCLUDED, ...AUTOSCALER }, false, false],
  ['excluded and tainted, and the label goes', { ...EXCLUDED, ...AUTOSCALER }, AUTOSCALER, false, false],
  ['excluded and tainted, and the taint goes', { ...EXCLUDED, ...AUTOSCALER }, EXCLUDED, false, false],
  ['excluded and tainted, and both go', { ...EXCLUDED, ...AUTOSCALER }, {}, false, true],
  ['label and taint come together', {}, { ...EXCLUDED, ...AUTOSCALER }, true, false],
  ['the label goes while the taint comes', EXCLUDED, AUTOSCALER, false, false],
  ['the taint goes while the label comes', AUTOSCALER, EXCLUDED, false, false],
  ['excluded, and it is marked for deletion', EXCLUDED, { ...EXCLUDED, ...DELETING }, false, false],
  ['tainted, and it is marked for deletion', AUTOSCALER, { ...AUTOSCALER, ...DELETING }, false, false],
  ['deleting, and the label says false', DELETING, { ...DELETING, ...NOT_EXCLUDED }, false, false],
  ['NotReady, and the label comes', NOT_READY, { ...NOT_READY, ...EXCLUDED }, true, false],
  ['NotReady, and the label goes', { ...NOT_READY, ...EXCLUDED }, NOT_READY, false, true],
  ['NotReady, and the autoscaler taint comes', NOT_READY, { ...NOT_READY, ...AUTOSCALER }, true, false],
  [
    'NotReady, and another taint comes',
    NOT_READY,
    { ...NOT_READY, taints: ['node.kubernetes.io/not-ready'] },
    true,
    true,
  ],
  ['it turns NotReady while the label comes', READY, { ...NOT_READY, ...EXCLUDED }, true, false],
  ['it turns Ready while the label goes', { ...NOT_READY, ...EXCLUDED }, READY, false, true],
  ['it turns Ready while the autoscaler taint goes', { ...NOT_READY, ...AUTOSCALER }, READY, false, true],
  [
    'cordoned, and the autoscaler taint comes',
    { taints: ['node.kubernetes.io/unschedulable'] },
    { taints: ['node.kubernetes.io/unschedulable', 'ToBeDeletedByClusterAutoscaler'] },
    true,
    false,
  ],
  [
    'providerID changes while the label comes',
    { providerID: 'example://1' },
    { ...EXCLUDED, providerID: 'example://2' },
    true,
    false,
  ],
  [
    'providerID and another label change',
    { providerID: 'example://1' },
    { labels: { zone: 'b' }, providerID: 'example://2' },
    true,
    true,
  ],
];

const NEW: readonly (readonly [what: string, facts: NodeFacts, selected: boolean])[] = [
  ['without conditions', {}, false],
  ['that is NotReady', NOT_READY, false],
  ['that is silent', SILENT, false],
  ['that is Ready', READY, true],
  ['that is Ready and excluded', { ...READY, ...EXCLUDED }, false],
  ['that is Ready and cordoned', { ...READY, unschedulable: true }, true],
  ['that is Ready with its network unavailable', { conditions: { Ready: 'True', NetworkUnavailable: 'True' } }, true],
];

describe('node predicates of the service controller', () => {
  for (const [kind, changes] of [
    ['single', SINGLE],
    ['compound', COMPOUND],
  ] as const) {
    for (const [what, before, after, selectedBefore, selectedAfter] of changes) {
      it(`${kind}: ${what}: ${selectedBefore} to ${selectedAfter}`, () => {
        assert.deepEqual([isSelected(before, true), isSelected(after, true)], [selectedBefore, selectedAfter]);
      });
    }
  }

  for (const [what, facts, selected] of NEW) {
    it(`a new node ${what}: ${selected}`, () => assert.equal(isSelected(facts, false), selected));
  }

  it('there are 23 single and 22 compound ones', () => assert.deepEqual([SINGLE.length, COMPOUND.length], [23, 22]));
});
