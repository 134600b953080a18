import { addressPrefix, scopeOf } from '@lumamesh/base';
import { type KnownRelay, stunUrls } from '../../net/relay-source.ts';
import type { Platform } from '../../platform/platform.ts';

const PROBE_MS = 5000;
/** Fewer networks than this that are silent may simply be down. */
const MIN_SILENT_NETWORKS = 2;

/**
 * Why no relay can be used, told apart by evidence, where the errors of the relays alone do not
 * say: a code and its text, or `null`.
 *
 * - the browser says that it is offline: `OFFLINE`
 * - all relays are in a local network, and the browser has denied the page access to it:
 * `LOCAL_NETWORK_DENIED`
 * - relays in two networks or more, and all STUN servers, are silent, while the page's own server
 * answers over TCP: `UDP_BLOCKED`
 */
export async function probeNetwork(
  relays: readonly KnownRelay[],
  iceServers: readonly RTCIceServer[],
  platform: Platform,
): Promise<readonly [code: string, text: string] | null> {
  const { scope } = platform;
  if (!(scope.navigator?.onLine ?? true)) return ['OFFLINE', 'the browser is offline'];
  const areLocal = relays.length > 0 && relays.every(({ ip }) => scopeOf(ip) !== 'public');
  if (areLocal && (await isLocalNetworkDenied(platform)))
    return [
      'LOCAL_NETWORK_DENIED',
      'the relays are in a local network, and the browser keeps this page from it',
    ];
  const networks = new Set(relays.map(({ ip }) => addressPrefix(ip)));
  if (networks.size < MIN_SILENT_NETWORKS) return null;
  const [hasUdp, hasTcp] = await Promise.all([
    answersStun(relays, iceServers, platform),
    answersHttp(platform),
  ]);
  return hasUdp || !hasTcp
    ? null
    : [
        'UDP_BLOCKED',
        `relays in ${networks.size} networks are silent over UDP, while the server of this page answers over TCP`,
      ];
}

async function isLocalNetworkDenied({ scope }: Platform): Promise<boolean> {
  try {
    // Chromium's name; other browsers throw at it.
    const status = await scope.navigator?.permissions.query({
      name: 'local-network-access' as PermissionName,
    });
    return status?.state === 'denied';
  } catch {
    return false;
  }
}

/**
 * Whether any STUN server (each relay is one) shows us our own address: then UDP passes, and it is
 * the relays that are down.
 */
async function answersStun(
  relays: readonly KnownRelay[],
  iceServers: readonly RTCIceServer[],
  platform: Platform,
): Promise<boolean> {
  if (platform.PeerConnection === null) return false;
  const urls = relays.slice(0, 4).flatMap(stunUrls);
  const connection = new platform.PeerConnection({
    iceServers: [...(urls.length === 0 ? [] : [{ urls }]), ...iceServers],
  });
  try {
    return await new Promise<boolean>((resolve) => {
      const cancel = platform.setTimer(PROBE_MS, () => resolve(false));
      connection.addEventListener('icecandidate', ({ candidate }) => {
        // A relay candidate may have come over TCP, so it proves nothing of UDP.
        if (candidate?.type !== 'srflx') return;
        cancel();
        resolve(true);
      });
      connection.createDataChannel('probe');
      connection.setLocalDescription().catch(() => resolve(false));
    });
  } finally {
    connection.close();
  }
}

async function answersHttp({ scope }: Platform): Promise<boolean> {
  try {
    const { fetch, location } = scope;
    if (fetch === undefined || location === undefined) return false;
    await fetch(location.href, {
      method: 'HEAD',
      cache: 'no-store',
      signal: AbortSignal.timeout(PROBE_MS),
    });
    return true;
  } catch {
    // Down, or the page's policy forbids to ask: no evidence.
    return false;
  }
}
