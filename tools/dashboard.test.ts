import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { RelayMetrics } from '../packages/relay/src/io/health/metrics.ts';
import {
  SAMPLE_ACCESS,
  SAMPLE_BANDWIDTH,
  SAMPLE_MESH,
  SAMPLE_MONTHLY,
  SAMPLE_TCP,
  SAMPLE_TURN,
  sampleStats,
} from '../packages/relay/src/io/relay-stats.test-support.ts';
import type { HealthStats } from '../packages/relay/src/io/relay-stats.ts';

/*
 * deploy/grafana-dashboard.json against what a relay exports: neither a panel without figures, nor
 * a figure without a panel.
 */
interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: {
    readonly h: number;
    readonly w: number;
    readonly x: number;
    readonly y: number;
  };
  readonly targets?: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly legendFormat: string;
  }[];
}

interface Dashboard {
  readonly schemaVersion: number;
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string }[];
  };
  readonly panels: readonly Panel[];
}

const COLUMNS = 24;
/** Grafana 10.0 writes 38. */
const OLDEST_SCHEMA = 38;
/** What Prometheus itself puts on every figure. */
const TARGET_LABELS = ['job', 'instance'];

const STATS = sampleStats({
  errors: 1,
  mesh: SAMPLE_MESH,
  turn: SAMPLE_TURN,
  tcp: SAMPLE_TCP,
  bandwidth: SAMPLE_BANDWIDTH,
  access: SAMPLE_ACCESS,
  monthly: SAMPLE_MONTHLY,
});

const dashboard = JSON.parse(
  readFileSync(join(import.meta.dirname, '../deploy/grafana-dashboard.json'), 'utf8'),
) as Dashboard;
const targets = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map((target) => ({ title, ...target })),
);

/** Names of the figures that have a sample, with their labels. */
async function exported(stats: HealthStats): Promise<Map<string, Set<string>>> {
  const found = new Map<string, Set<string>>();
  for (const line of (await new RelayMetrics().render(stats)).split('\n')) {
    const [, name, labels = ''] = /^(lumamesh_\w+)(?:\{(.*)\})? /.exec(line) ?? [];
    if (name !== undefined)
      found.set(name, new Set([...labels.matchAll(/(\w+)="/g)].map(([, label = '']) => label)));
  }
  return found;
}

function metricsIn(expr: string): string[] {
  return expr.match(/\blumamesh_\w+/g) ?? [];
}

describe('the Grafana dashboard', () => {
  it('asks for figures that a relay exports, by labels that they have', async () => {
    const metrics = await exported(STATS);
    for (const { title, expr, legendFormat } of targets) {
      const asked = metricsIn(expr);
      assert.ok(asked.length > 0, `${title}: ${expr}`);
      for (const name of asked) assert.ok(metrics.has(name), `${title}: there is no ${name}`);
      const labels = new Set([
        ...TARGET_LABELS,
        ...asked.flatMap((name) => [...(metrics.get(name) ?? [])]),
      ]);
      const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) =>
        list.split(', '),
      );
      const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label);
      for (const label of [...grouped, ...shown])
        assert.ok(labels.has(label), `${title}: ${asked.join(', ')} has no label ${label}`);
      // What a sum has put together cannot be told apart in the legend.
      if (grouped.length > 0)
        for (const label of shown)
          assert.ok(grouped.includes(label), `${title}: ${label} is summed over`);
    }
  });

  it('shows every figure that a relay exports', async () => {
    const shown = new Set(targets.flatMap(({ expr }) => metricsIn(expr)));
    const missing = [...(await exported(STATS)).keys()].filter((name) => !shown.has(name));
    assert.deepEqual(missing, []);
  });

  it('counts counters by their rate, and gauges as they are', async () => {
    for (const { title, expr } of targets) {
      for (const name of metricsIn(expr)) {
        const isRate = new RegExp(`(rate|increase)\\(${name}\\b`).test(expr);
        assert.equal(isRate, name.endsWith('_total'), `${title}: ${expr}`);
      }
    }
  });

  it('asks the data source and the relays that were chosen', () => {
    assert.ok(dashboard.schemaVersion >= OLDEST_SCHEMA);
    assert.deepEqual(
      dashboard.templating.list.map(({ name, type }) => [name, type]),
      [
        ['datasource', 'datasource'],
        ['job', 'query'],
        ['instance', 'query'],
      ],
    );
    for (const { title, expr } of targets)
      for (const [, selector = ''] of expr.matchAll(/lumamesh_\w+(\{[^}]*\})?/g))
        assert.match(selector, /job=~"\$job",instance=~"\$instance"/, title);
    for (const { type, title, datasource } of dashboard.panels)
      if (type !== 'row') assert.equal(datasource?.uid, '${datasource}', title);
  });

  it('has panels with ids of their own, beside each other', () => {
    const ids = dashboard.panels.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    const taken = new Map<string, string>();
    for (const { title, gridPos, targets = [] } of dashboard.panels) {
      assert.ok(gridPos.x + gridPos.w <= COLUMNS, title);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.equal(taken.get(`${x} ${y}`), undefined, `${title} lies on another panel`);
          taken.set(`${x} ${y}`, title);
        }
      }
      assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title);
    }
  });
});
