import {
  Activity,
  Component,
  type ReactNode,
  StrictMode,
  createElement,
  useEffect,
  useRef,
} from 'react';
import { type Root, createRoot } from 'react-dom/client';
import type { RelaySource, Room } from 'lumamesh';
import type { Panel, View } from './react-view.ts';
import { useAction, useNet, useNetStatus, usePeers, usePresence, useRoom } from 'lumamesh/react';
import { log, note } from './log.ts';

/* A small app of the hooks under StrictMode, for react.test.ts: what it shows is told by `views`, what it does by `setApp`. */

interface App {
  /** `null`: not known yet. */
  readonly relays: readonly RelaySource[] | null;
  readonly iceServers?: readonly RTCIceServer[];
  readonly panels: readonly Panel[];
  /** Whether it is put aside: React ends its effects then and keeps its state. */
  readonly isHidden?: boolean;
}

const views = new Map<string, View>();
const senders = new Map<string, (value: unknown) => Promise<boolean>>();
/** Nets and rooms by the order in which they were seen. */
const identities: object[] = [];
let renders = 0;
let root: Root | null = null;

function identityOf(thing: object | null): number {
  if (thing === null) return 0;
  if (!identities.includes(thing)) identities.push(thing);
  return identities.indexOf(thing) + 1;
}

function PresenceView({
  id,
  room,
  value,
}: {
  readonly id: string;
  readonly room: Room | null;
  readonly value: unknown;
}): ReactNode {
  // Written anew in each render, as pages do.
  const [others] = usePresence<unknown>(room, value === undefined ? undefined : { shared: value });
  useEffect(() => {
    const view = views.get(id);
    if (view !== undefined) views.set(id, { ...view, others: [...others.values()] });
  });
  return createElement('code', null, JSON.stringify([...others.values()]));
}

function PanelView({
  net,
  status,
  panel,
}: {
  readonly net: ReturnType<typeof useNet>;
  readonly status: string;
  readonly panel: Panel;
}): ReactNode {
  const { id, nick, password, value, hasPresence = true } = panel;
  renders += 1;
  const { room, state, peers, error } = useRoom(net, panel.room, {
    nick,
    ...(password === undefined ? {} : { password }),
  });
  const open = usePeers(room, { onlyOpen: true });
  const said = useRef<unknown[]>([]);
  const send = useAction(room, 'say', (what, peer) => {
    said.current = [...said.current, `${peer.nick} to ${nick}: ${JSON.stringify(what)}`];
    const view = views.get(id);
    if (view !== undefined) views.set(id, { ...view, said: said.current });
  });
  useEffect(() => {
    note('mount', id);
    return () => {
      note('unmount', id);
      views.delete(id);
      senders.delete(id);
    };
  }, [id]);
  useEffect(() => {
    const names = (list: typeof peers): string[] => list.map((peer) => peer.nick).toSorted();
    const others = views.get(id)?.others ?? [];
    const view = {
      room: room?.name ?? null,
      state,
      error: error?.code ?? '',
      peers: names(peers),
      open: names(open),
    };
    views.set(id, { net: status, ...view, others: hasPresence ? others : [], said: said.current });
    senders.set(id, send);
    note('view', { id, wanted: panel.room, ...view });
  });
  return createElement(
    'section',
    null,
    `${state} ${peers.length}`,
    hasPresence ? createElement(PresenceView, { id, room, value }) : null,
  );
}

function AppView({ relays, iceServers = [], panels }: App): ReactNode {
  const logger = { info: (message: string) => note(message) };
  // A net looks there once, when it is made.
  const storage = { getItem: () => (note('connect'), null), setItem: () => undefined };
  const net = useNet(relays === null ? null : { relays, iceServers, logger, storage });
  const status = useNetStatus(net)?.state ?? 'none';
  useEffect(() => {
    if (net !== null) note('net', identityOf(net));
  }, [net]);
  return panels.map((panel) => createElement(PanelView, { key: panel.id, net, status, panel }));
}

class Boundary extends Component<
  { readonly children?: ReactNode },
  { readonly hasFailed: boolean }
> {
  override state = { hasFailed: false };

  static getDerivedStateFromError(): { readonly hasFailed: boolean } {
    return { hasFailed: true };
  }

  override componentDidCatch(error: Error): void {
    note('caught', (error as { readonly code?: string }).code ?? error.message);
  }

  override render(): ReactNode {
    return this.state.hasFailed ? 'failed' : this.props.children;
  }
}

Object.assign(globalThis, {
  harness: {
    setApp: (app: App) => {
      root ??= createRoot(document.body.appendChild(document.createElement('main')));
      const activity = createElement(Activity, {
        mode: app.isHidden === true ? 'hidden' : 'visible',
        children: createElement(AppView, app),
      });
      root.render(createElement(StrictMode, null, createElement(Boundary, null, activity)));
    },
    unmount: () => {
      root?.unmount();
      root = null;
    },
    say: (id: string, value: unknown) => senders.get(id)?.(value),
    views: () => Object.fromEntries(views),
    text: () => document.body.textContent,
    renders: () => renders,
    log: () => log,
  },
});
