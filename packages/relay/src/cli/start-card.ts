import { isIPv6 } from 'node:net';
import { scopeOf } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';

export interface StartCardFacts {
  readonly record: SignedRelayRecord;
  readonly version: string;
  /** Where /healthz is. */
  readonly health: { readonly host: string; readonly port: number } | undefined;
}

const DAY_SECONDS = 86_400;
/** Of this length in all: an 80 column terminal shows it whole. */
const RULE = '─'.repeat(72);

/**
 * What an operator who has just started a relay by hand sees on the terminal, below its record: how
 * it stands, and what is to be done next, the most urgent first.
 */
export function startCard({ record, version, health }: StartCardFacts): readonly string[] {
  const { ip, ip6, port, tcpPort, nickname, contact, mesh, expires, sequence, access } = record;
  const scope = scopeOf(ip);
  const name = nickname === undefined ? '' : ` “${nickname}”`;
  const steps = [
    ...(scope === 'loopback'
      ? ['PUBLIC_IP=<your address> lets browsers elsewhere in; now only this machine gets in.']
      : []),
    ...(scope === 'private'
      ? [`${ip} is private: set PUBLIC_IP to the address that the world sees.`]
      : []),
    ...(scope === 'loopback'
      ? []
      : [
          `Open UDP ${port}${tcpPort === undefined ? '' : ` and TCP ${tcpPort}`} in the firewall; behind a router, forward it. ` +
            'The log says “reachable from outside: excellent” once somebody got in.',
        ]),
    'lumamesh-relay keys backup <folder>  keeps its identity where a dead disk does not reach.',
    ...(access === undefined
      ? ['Give pages the second line above:  connect({ relays: ["luma1.…"] })']
      : [
          'Give pages the second line above, and a token (lumamesh-relay token makes them):  connect({ relays: ["luma1.…"], token })',
        ]),
    ...(health === undefined
      ? ['HEALTH_LISTEN=127.0.0.1:7401 lets you watch it:  lumamesh-relay status']
      : [
          'lumamesh-relay status  shows it at work;  lumamesh-relay doctor  looks at this machine.',
        ]),
    ...(contact === undefined
      ? ['CONTACT=<mail or page> lets others tell you when something is wrong with it.']
      : []),
  ];
  const days = Math.floor((expires - sequence) / DAY_SECONDS);
  return [
    RULE,
    `lumamesh-relay ${version}${name} is up. Thank you: it makes the network harder to stop.`,
    `  browsers dial  ${isIPv6(ip) ? `[${ip}]` : ip}:${port}${ip6 === undefined ? '' : ` and [${ip6}]:${port}`} over UDP`,
    `  its record     holds for ${days} days, and is signed anew by itself every day`,
    `  lets in        ${access === undefined ? 'everybody' : 'who shows one of your tokens (ACCESS_TOKENS)'}`,
    `  mesh           ${mesh === undefined ? 'none (MESH_SALT)' : 'on'}`,
    '',
    'What to do next:',
    ...steps.map((step, i) => `  ${i + 1}. ${step}`),
    RULE,
  ];
}
