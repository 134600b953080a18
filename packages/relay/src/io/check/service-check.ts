import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Finding } from './finding.ts';

const NAME = 'service';
const UNIT = 'lumamesh-relay.service';
const TIMEOUT_MS = 5000;

/** What `systemctl show` says of the service, where there is one. */
export type ShowService = () => Promise<string>;

/**
 * Whether the service that this machine has runs, as systemd sees it: a doctor who only looks at
 * files and ports takes one that has failed for one that was never started.
 */
export async function* checkService(show: ShowService = showUnit): AsyncGenerator<Finding> {
  let text: string;
  try {
    text = await show();
  } catch {
    // No systemd.
    return;
  }
  const fields = new Map(
    text.split('\n').map((line) => {
      const at = line.indexOf('=');
      return [line.slice(0, at), line.slice(at + 1)] as const;
    }),
  );
  if (fields.get('LoadState') !== 'loaded') return;
  const state = fields.get('ActiveState') ?? '';
  const sub = fields.get('SubState') ?? '';
  if (state === 'active' || state === 'reloading')
    yield { name: NAME, verdict: 'ok', detail: `${UNIT} runs` };
  else {
    const status = fields.get('ExecMainStatus') ?? '';
    const how = status === '' || status === '0' ? '' : `, last exit code ${status}`;
    yield {
      name: NAME,
      verdict: 'fail',
      detail: `${UNIT} does not run (${state}, ${sub}${how})`,
      mend: `journalctl -u ${UNIT} -n 30 says why; then systemctl restart ${UNIT}`,
    };
  }
}

async function showUnit(): Promise<string> {
  const { stdout } = await promisify(execFile)(
    'systemctl',
    ['show', UNIT, '--property=LoadState,ActiveState,SubState,ExecMainStatus'],
    { timeout: TIMEOUT_MS },
  );
  return stdout;
}
