import type { Feature } from '../feature.ts';
import { parsePeerSignal } from '../peer/signal.ts';

/** A living connection carries its own renegotiation: no relay is needed for it. */
export function directSignaling(): Feature {
  return {
    name: 'directSignaling',
    peer: (peer) => ({
      frames: {
        signal: {
          isEarly: true,
          handle: (value) => {
            const signal = parsePeerSignal(value);
            if (signal !== null) peer.receiveSignal(signal);
          },
        },
      },
      takeSignal: (signal) => {
        const isTaken = peer.link.isResponsive;
        if (isTaken) void peer.sendFrame('signal', '', signal);
        return isTaken;
      },
    }),
  };
}
