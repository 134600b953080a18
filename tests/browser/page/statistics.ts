import { type Net, type Room, connect } from 'lumamesh';
import { LumameshInspector } from 'lumamesh/inspector';

/* What statistics.test.ts drives inside pages. Results go back as JSON. */

let net: Net | null = null;
let room: Room | null = null;
let inspector: LumameshInspector | null = null;
let stats = 0;

Object.assign(globalThis, {
  harness: {
    log: () => [],
    join: (relay: string, name: string, nick: string, password: string) => {
      net = connect({
        relays: [relay],
        iceServers: [{ urls: 'turn:127.0.0.1:40009', username: 'planted', credential: 'planted' }],
      });
      room = net.joinRoom(name, { nick, password });
    },
    openPeers: () => room?.peers.filter(({ isDirect }) => isDirect).length,
    stats: () => room?.peers[0]?.stats(),
    send: (length: number) => room?.broadcast(new Uint8Array(length)),
    report: () => net?.report(),
    inspect: () => {
      inspector = new LumameshInspector();
      inspector.net = net;
      document.body.append(inspector);
    },
    /** Shows something that counts how often it is looked at. */
    count: () => {
      if (inspector !== null && net !== null) {
        const { status } = net;
        inspector.net = {
          get status() {
            stats++;
            return status;
          },
        };
      }
    },
    reads: () => stats,
    detach: () => inspector?.remove(),
    attach: () => inspector !== null && document.body.append(inspector),
    shown: () => inspector?.shadowRoot?.textContent,
    elements: () => inspector?.shadowRoot?.querySelectorAll('img, script, b').length,
    look: () =>
      [...(inspector?.shadowRoot?.querySelectorAll('table') ?? [])].map((table) => ({
        caption: table.caption?.textContent,
        heads: table.querySelectorAll('thead th[scope=col]').length,
        collapse: getComputedStyle(table).borderCollapse,
        rows: table.tBodies[0]?.querySelectorAll('th[scope=row]').length,
      })),
    close: () => net?.close(),
  },
});
