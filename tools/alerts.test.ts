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

/** deploy/prometheus-alerts.yml against what a relay exports. */
const RULES = readFileSync(join(import.meta.dirname, '../deploy/prometheus-alerts.yml'), 'utf8');
const STATS = sampleStats({
  errors: 1,
  mesh: SAMPLE_MESH,
  turn: SAMPLE_TURN,
  tcp: SAMPLE_TCP,
  bandwidth: SAMPLE_BANDWIDTH,
  access: SAMPLE_ACCESS,
  monthly: SAMPLE_MONTHLY,
});

describe('the alert rules', () => {
  const rules = RULES.split(/^ {6}- alert: /m).slice(1);
  const expressions = rules.map((rule) => /^ {8}expr: (.+)$/m.exec(rule)?.[1] ?? '');

  it('have a name, an expression, a severity and a summary each', () => {
    assert.ok(rules.length >= 8);
    for (const rule of rules) {
      assert.match(rule, /^Lumamesh[A-Za-z]+\n/);
      assert.match(rule, /^ {8}expr: \S/m);
      assert.match(rule, /^ {8}labels: \{ severity: (critical|warning) \}$/m);
      assert.match(rule, /^ {10}summary: '[^']+'$/m);
    }
    assert.equal(new Set(rules.map((rule) => rule.split('\n')[0])).size, rules.length);
  });

  it('ask for figures, labels and values that a relay has', async () => {
    const text = await new RelayMetrics().render(STATS);
    for (const expression of expressions) {
      for (const [, name = '', labels = ''] of expression.matchAll(/(lumamesh_\w+)(\{[^}]*\})?/g)) {
        const lines = text.split('\n').filter((line) => new RegExp(`^${name}[{ ]`).test(line));
        assert.ok(lines.length > 0, `no relay exports ${name}`);
        for (const [label] of labels.matchAll(/\w+="[^"]*"/g))
          assert.ok(
            lines.some((line) => line.includes(label)),
            `${name} has no ${label}`,
          );
      }
    }
  });
});
