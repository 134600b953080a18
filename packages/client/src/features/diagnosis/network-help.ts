/*
 * What a page needs only when relays cannot be reached: loaded then, where the page may load
 * anything. Where it may not, neither part could do anything.
 */
export { resolveHost } from './dns.ts';
export { probeNetwork } from './network-probe.ts';
