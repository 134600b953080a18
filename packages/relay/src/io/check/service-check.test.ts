import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Finding } from './finding.ts';
import { checkService } from './service-check.ts';

async function found(text: string | null): Promise<Finding[]> {
  const findings: Finding[] = [];
  const show = async (): Promise<string> => {
    if (text === null) throw new Error('no systemd');
    return text;
  };
  for await (const finding of checkService(show)) findings.push(finding);
  return findings;
}

describe('the service that a doctor finds', () => {
  it('runs, or has failed; none is no finding', async () => {
    assert.deepEqual(await found(null), []);
    assert.deepEqual(await found('LoadState=not-found\nActiveState=inactive\nSubState=dead\n'), []);
    const [runs] = await found('LoadState=loaded\nActiveState=active\nSubState=running\n');
    assert.equal(runs?.verdict, 'ok');
    const [failed] = await found(
      'LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nExecMainStatus=226\n',
    );
    assert.equal(failed?.verdict, 'fail');
    assert.match(failed.detail, /activating, auto-restart, last exit code 226/);
    const [stopped] = await found('LoadState=loaded\nActiveState=inactive\nSubState=dead\n');
    assert.equal(stopped?.verdict, 'fail');
  });
});
