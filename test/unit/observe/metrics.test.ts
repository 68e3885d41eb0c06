import assert from 'node:assert/strict';
import { createMetrics } from '../../../operator/observe/metrics.ts';

describe('createMetrics', () => {
  it('renders what was counted', async () => {
    const metrics = createMetrics();
    metrics.reconciled('service', 'done', 0.004);
    metrics.reconciled('service', 'retry', 0.2);
    metrics.queueDepth('service', 7);
    metrics.directorUp('front-1', true);
    metrics.directorSynced('front-1', 1_767_225_600);
    metrics.changed('front-1', 'virtualServerAdded', 2);
    metrics.vipsInUse('public', 3);
    metrics.eventUnwritten('dropped');
    const { contentType, text } = await metrics.render();
    assert.match(contentType, /^text\/plain/);
    for (const line of [
      'ipvs_operator_reconcile_total{controller="service",result="done"} 1',
      'ipvs_operator_reconcile_total{controller="service",result="retry"} 1',
      'ipvs_operator_reconcile_seconds_count{controller="service"} 2',
      'ipvs_operator_work_queue_depth{controller="service"} 7',
      'ipvs_operator_director_up{director="front-1"} 1',
      'ipvs_operator_last_sync_timestamp_seconds{director="front-1"} 1767225600',
      'ipvs_operator_changes_total{director="front-1",kind="virtualServerAdded"} 2',
      'ipvs_operator_vips_in_use{pool="public"} 3',
      'ipvs_operator_events_unwritten_total{why="dropped"} 1',
      'ipvs_operator_events_unwritten_total{why="folded"} 0',
    ]) {
      assert.ok(text.includes(line), line);
    }
  });

  it('ends the series of directors and pools that are gone', async () => {
    const metrics = createMetrics();
    metrics.directorUp('front-1', true);
    metrics.directorSynced('front-1', 1);
    metrics.changed('front-1', 'virtualServerAdded', 1);
    metrics.vipsInUse('public', 3);
    metrics.directorGone('front-1');
    metrics.poolGone('public');
    const { text } = await metrics.render();
    assert.ok(!text.includes('front-1') && !text.includes('public'));
  });

  it('has no label that could name a Service', async () => {
    const metrics = createMetrics();
    metrics.reconciled('service', 'done', 1);
    metrics.directorUp('front-1', true);
    metrics.vipsInUse('public', 1);
    const { text } = await metrics.render();
    const labels = new Set(
      [...text.matchAll(/^ipvs_operator_\w+\{([^}]*)\}/gm)].flatMap(([, list]) => list?.match(/\w+(?==)/g) ?? []),
    );
    assert.deepEqual([...labels].sort(), ['controller', 'director', 'le', 'pool', 'result', 'why']);
  });
});
