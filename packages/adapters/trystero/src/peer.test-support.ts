import { RTCPeerConnection as Werift } from 'werift';
import { connect } from 'lumamesh/node';
import { joinRoom, selfId } from './index.ts';

/*
 * A program with one Trystero peer (its id is that of the process): told by its first argument what to
 * join, it says in lines of JSON what it sees. A line on its input is an action for all; `leave` leaves.
 */
const config = JSON.parse(process.argv[2] ?? '{}') as {
  readonly relay: string;
  readonly room: string;
  readonly password?: string;
  readonly passive?: boolean;
};
const say = (...words: readonly unknown[]): void =>
  void process.stdout.write(`${JSON.stringify(words)}\n`);

const net = connect({ relays: [config.relay] });
const room = joinRoom(
  {
    appId: 'lumamesh-test',
    relayConfig: { net },
    rtcPolyfill: Werift as unknown as typeof RTCPeerConnection,
    ...(config.password === undefined ? {} : { password: config.password }),
    ...(config.passive === true ? { passive: true } : {}),
  },
  config.room,
  { onJoinError: ({ error }) => say('error', error) },
);
const chat = room.makeAction<string>('chat');
room.onPeerJoin = (id) => say('join', id);
room.onPeerLeave = (id) => say('leave', id);
chat.onMessage = (text, { peerId }) => say('chat', peerId, text);
say('self', selfId);

let rest = '';
process.stdin.on('data', (data) => {
  const lines = (rest + String(data)).split('\n');
  rest = lines.pop() ?? '';
  for (const line of lines)
    if (line === 'leave')
      void Promise.resolve(room.leave())
        .then(() => net.close())
        .then(() => process.exit());
    else void chat.send(line);
});
