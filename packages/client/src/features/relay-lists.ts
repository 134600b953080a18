import { LumameshError } from '@lumamesh/base';
import { toError } from '../extend.ts';
import type { Feature, NetHandle, NetPart } from '../feature.ts';
import { readRelayList } from '../net/relay-source.ts';

const LIST_RETRY_MS = 30_000;
const URL_LIKE = /^(https?:|\.{0,2}\/)\S*$/;

/** Relays by the URL of a `relay.txt`: `connect({ relays: '/relay.txt' })`. */
export function relayLists(): Feature {
  return { name: 'relayLists', net: listsOf };
}

function listsOf(net: NetHandle): NetPart {
  const read = async (url: string): Promise<void> => {
    try {
      const response = await net.platform.scope.fetch?.(url, { credentials: 'omit' });
      if (response?.ok !== true) throw new Error(`HTTP ${response?.status}`);
      net.addSeeds(readRelayList(await response.text()));
    } catch (cause) {
      const { message } = toError(cause);
      net.reportFault(url, new LumameshError('RELAY_LIST_FAILED', `${url}: ${message}`, { cause }));
      net.platform.setTimer(LIST_RETRY_MS, () => {
        if (!net.isClosed) void read(url);
      });
    }
  };
  return {
    takeSource: (source) => {
      const isUrl = source instanceof URL || (typeof source === 'string' && URL_LIKE.test(source));
      if (isUrl) void read(String(source));
      return isUrl;
    },
  };
}
