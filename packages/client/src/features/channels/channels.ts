import { checkRoomOptions } from '../../arguments.ts';
import type { Api, Feature, NetHandle } from '../../feature.ts';
import { type Channel, type ChannelOptions, PageChannel } from './channel.ts';
import { SignalPace } from './signal-pace.ts';

export interface ChannelsNet {
  /**
   * Takes part in a channel: those who know its name (and password) see each other's presence and
   * send each other signals, by relays and sealed, and nobody is connected to anybody. It has
   * nothing in common with a room of the same name. Who is in it already gets the same channel
   * again, with the options of the first time.
   * Throws `NET_CLOSED`, `BAD_ROOM_NAME`, `BAD_ARGUMENT`, `NOT_SENDABLE` or `MESSAGE_TOO_LARGE`.
   */
  channel(name: string, options?: ChannelOptions): Channel;
}

export interface ChannelsApi extends Api {
  readonly net: ChannelsNet;
}

/** Presence and sealed signals without connections: `net.channel(name, { password, presence })`. */
export function channels(): Feature<ChannelsApi> {
  return {
    name: 'channels',
    net: (net: NetHandle) => {
      /** By name and password. */
      const joined = new Map<string, PageChannel>();
      const pace = new SignalPace(net.platform);
      const api: ChannelsNet = {
        channel(name, options = {}) {
          checkRoomOptions(name, options, 'channel');
          const key = net.roomKey(name, options.password);
          const known = joined.get(key);
          if (known !== undefined) return known;
          const channel = new PageChannel(name, options, {
            net,
            onListenerError: net.onListenerError,
            pace,
            _handleLeft: () => joined.delete(key),
          });
          joined.set(key, channel);
          channel._start();
          return channel;
        },
      };
      return {
        api,
        onClose: () => {
          for (const channel of [...joined.values()]) channel.leave();
          pace._close();
        },
      };
    },
  };
}
