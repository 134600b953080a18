import { accessTokens } from '../access-tokens.ts';
import type { RelayConfig } from '../config/config.ts';
import type { Identity } from '../identity.ts';
import type { HealthStats } from '../relay-stats.ts';
import type { Finding } from './finding.ts';

const NAME = 'access';

/**
 * Who may enter by these settings, and whether the relay that runs (`stats`, where one answers) has
 * read them.
 */
export function checkAccess(
  { accessTokens: entries }: RelayConfig,
  identity: Identity,
  stats: HealthStats | null,
): Finding {
  // A token and its key are one.
  const count = accessTokens(entries, identity).count ?? null;
  const running = stats === null ? count : (stats.access?.['tokens'] ?? null);
  if (running !== count)
    return {
      name: NAME,
      verdict: 'warn',
      detail: `the relay that runs ${running === null ? 'lets in everybody' : `has ${tokensText(running)}`}, and its settings ${count === null ? 'name no tokens' : `name ${tokensText(count)}`}`,
      mend: 'have it read them again: systemctl reload lumamesh-relay (SIGHUP)',
    };
  if (count === null)
    return { name: NAME, verdict: 'ok', detail: 'lets in everybody (no ACCESS_TOKENS)' };
  if (count === 0)
    return {
      name: NAME,
      verdict: 'warn',
      detail: 'private, and there is no token: it lets nobody in',
      mend: '`lumamesh-relay token` makes one: its second line goes into ACCESS_TOKENS_FILE',
    };
  return {
    name: NAME,
    verdict: 'ok',
    detail: `private: lets in who shows one of ${tokensText(count)}. The public list takes no private relay: give pages its line yourself`,
  };
}

function tokensText(count: number): string {
  return count === 1 ? '1 token' : `${count} tokens`;
}
