import { chooseIoPath } from '@lumamesh/transport/io';
import type { RelayConfig } from '../config/config.ts';
import type { Finding } from './finding.ts';

/** Which of the two paths this machine has; a relay works by either. */
export function checkIo({ nativeIo }: Pick<RelayConfig, 'nativeIo'>): Finding {
  const { name, reason } = chooseIoPath(nativeIo);
  return name === 'native'
    ? { name: 'native I/O', verdict: 'ok', detail: 'it passed its own test' }
    : { name: 'native I/O', verdict: 'skip', detail: `the relay runs without: ${reason}` };
}
