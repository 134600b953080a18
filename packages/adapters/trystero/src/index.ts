import {
  type BaseRelayConfig,
  type BaseRoomConfig,
  type JoinRoom,
  createStrategy,
  selfId,
  toJson,
} from '@trystero-p2p/core';
import { type Channel, type ChannelMember, type ConnectOptions, type Net, connect } from 'lumamesh';

export { selfId } from '@trystero-p2p/core';
export type * from '@trystero-p2p/core';

/*
 * A strategy for Trystero: its peers find each other in a channel of Lumamesh, whose presence says
 * who is there and whose signals carry offers, answers and candidates. Everything else is Trystero's.
 */

export type LumameshRelayConfig = BaseRelayConfig & {
  /** The relays, as `connect({ relays })` of `lumamesh` takes them. */
  readonly relays?: ConnectOptions['relays'];
  /** A net of the page's own in the place of one that is made of `relays`, and shared by all rooms. */
  readonly net?: Pick<Net, 'channel' | 'iceServers' | 'on'>;
};

export type LumameshRoomConfig = BaseRoomConfig & { readonly relayConfig: LumameshRelayConfig };

type AnyNet = NonNullable<LumameshRelayConfig['net']>;

/** What a member says of itself: nothing while it is passive, and not activated. */
interface Announcement {
  readonly peerId: string;
  readonly passive?: true;
}

/** A room as Trystero has joined it. */
interface Joined {
  readonly channel: Channel;
  /** Tells Trystero (again) of a member. */
  readonly announce: (member: ChannelMember) => void;
}

/** Nets that were made here, by the relays that they were made of. */
const nets = new Map<string, Net>();
/** By channel of each net: Trystero speaks of a room by its topic. */
const rooms = new WeakMap<AnyNet, Map<string, Joined>>();

/** The net that a config means; throws what `connect` throws. */
export function lumameshNetOf({ relayConfig }: Pick<LumameshRoomConfig, 'relayConfig'>): AnyNet {
  const { net, relays, warnOnRelayFailure = true } = relayConfig ?? {};
  if (net !== undefined) return net;
  const key = JSON.stringify(relays);
  const known = nets.get(key);
  if (known !== undefined && known.status.state !== 'closed') return known;
  const made = connect(relays === undefined ? {} : { relays });
  made.on('error', ({ message }) => {
    // As Trystero's own strategies tell it.
    if (warnOnRelayFailure) warn(`relay failure - ${message}`);
  });
  nets.set(key, made);
  return made;
}

function roomsOf(net: AnyNet): Map<string, Joined> {
  const known = rooms.get(net) ?? new Map<string, Joined>();
  rooms.set(net, known);
  return known;
}

function warn(text: string): void {
  // oxlint-disable-next-line no-console -- as Trystero's own strategies tell it
  console.warn(`Trystero: ${text}`);
}

/** What a stranger says, as far as it is an announcement of somebody else. */
function readAnnouncement(presence: unknown): Announcement | null {
  if (typeof presence !== 'object' || presence === null) return null;
  const { peerId, passive } = presence as Partial<Record<keyof Announcement, unknown>>;
  if (typeof peerId !== 'string' || peerId === '' || peerId === selfId) return null;
  return passive === true ? { peerId, passive } : { peerId };
}

const joinByStrategy = createStrategy<null, LumameshRoomConfig>({
  // Nets are made for each room's own config.
  init: () => null,

  subscribe: (_relay, rootTopic, selfTopic, onMessage, _getOffers, context) => {
    if (context === undefined)
      throw new Error('Trystero: no room context: 0.25 or newer is needed');
    const net = lumameshNetOf(context.config);
    const presence = context.isPassive ? null : { peerId: selfId };
    // The topic is a hash of application and room. Passwords are Trystero's: it seals what it signals.
    const channel = net.channel(rootTopic, { presence });
    const signalTo = (member: ChannelMember) => async (_topic: string, signal: string) => {
      try {
        await member.signal(signal);
      } catch (error) {
        // Too large, or too much at once: Trystero tries again.
        warn(`signal failed - ${String(error)}`);
      }
    };
    const tell = async (topic: string, text: string, member: ChannelMember): Promise<void> => {
      try {
        await onMessage(topic, text, signalTo(member));
      } catch {
        // Trystero throws at some of what a stranger may say.
      }
    };
    const announce = (member: ChannelMember): void => {
      const announcement = readAnnouncement(member.presence);
      if (announcement !== null) void tell(rootTopic, toJson(announcement), member);
    };
    const stops = [
      channel.on('joined', announce),
      channel.on('presence', announce),
      channel.on('signal', (value, member) => {
        if (typeof value === 'string') void tell(selfTopic, value, member);
      }),
    ];
    const known = roomsOf(net);
    known.set(rootTopic, { channel, announce });
    for (const member of channel.members) announce(member);
    return () => {
      for (const stop of stops) stop();
      known.delete(rootTopic);
      channel.leave();
    };
  },

  announce: (_relay, rootTopic, _selfTopic, extra, context) => {
    const joined = context && roomsOf(lumameshNetOf(context.config)).get(rootTopic);
    if (!joined) return;
    const { channel, announce } = joined;
    // Who is there is known without being said again; Trystero waits to be told so.
    if (context.isPassive && channel.presence === null)
      channel.setPresence({ peerId: selfId, ...extra });
    for (const member of channel.members) announce(member);
  },

  deactivate: (_relay, rootTopic, _selfTopic, context) => {
    if (context === undefined) return;
    roomsOf(lumameshNetOf(context.config)).get(rootTopic)?.channel.setPresence(null);
  },
});

/** `joinRoom` of Trystero, by relays of Lumamesh: `joinRoom({ appId, relayConfig: { relays } }, 'tea')`. */
export const joinRoom: JoinRoom<LumameshRoomConfig> = (config, roomId, callbacks) => {
  // What is missing Trystero names itself.
  if (!config?.appId || !roomId) return joinByStrategy(config, roomId, callbacks);
  const net = lumameshNetOf(config);
  const { rtcConfig, turnConfig = [] } = config;
  const servers = (): RTCIceServer[] => rtcConfig?.iceServers ?? [...net.iceServers, ...turnConfig];
  return joinByStrategy(
    {
      ...config,
      // Read for each connection: relays that are held are its STUN servers, and TURN where offered.
      rtcConfig: {
        ...rtcConfig,
        get iceServers() {
          return servers();
        },
      },
    },
    roomId,
    callbacks,
  );
};
