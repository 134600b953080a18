import { type Metric, byLabel } from './metric.ts';

/** Of relays that are in a mesh. */
export const MESH_METRICS: Readonly<Record<string, Metric>> = {
  lumamesh_mesh_links: {
    kind: 'gauge',
    help: 'Links to other relays; proven ones have shown a record that answers, accepted ones have reached this relay.',
    labels: ['kind'],
    read: byLabel('kind', ({ mesh }) =>
      mesh === undefined
        ? {}
        : {
            outbound: mesh.links.outbound,
            inbound: mesh.links.inbound,
            proven: mesh.links.proven,
            accepted: mesh.links.accepted,
          },
    ),
  },
  lumamesh_mesh_relays: {
    kind: 'gauge',
    help: 'Relays known to this one, by what their last check found.',
    labels: ['state'],
    read: byLabel('state', ({ mesh }) =>
      mesh === undefined ? {} : { alive: mesh.records.alive, suspect: mesh.records.suspect },
    ),
  },
  lumamesh_mesh_hints_held: {
    kind: 'gauge',
    help: 'Hints of rooms held as their home.',
    read: ({ mesh }) => (mesh === undefined ? [] : [{ value: mesh.homes.hintsHeld }]),
  },
  lumamesh_mesh_signals_total: {
    kind: 'counter',
    help: 'Sealed signals passed between relays.',
    labels: ['direction'],
    read: byLabel('direction', ({ mesh }) =>
      mesh === undefined ? {} : { in: mesh.signals.in, out: mesh.signals.out },
    ),
  },
  lumamesh_mesh_bytes_total: {
    kind: 'counter',
    help: 'Bytes of mesh frames by purpose.',
    labels: ['purpose', 'direction'],
    read: ({ mesh }) =>
      Object.entries(mesh?.traffic ?? {}).flatMap(([purpose, { inBytes, outBytes }]) => [
        { value: inBytes, labels: { purpose, direction: 'in' } },
        { value: outBytes, labels: { purpose, direction: 'out' } },
      ]),
  },
  lumamesh_mesh_drops_total: {
    kind: 'counter',
    help: 'What was not taken from other relays, by reason.',
    labels: ['reason'],
    read: byLabel('reason', ({ mesh }) => mesh?.drops ?? {}),
  },
  lumamesh_mesh_held_bytes: {
    kind: 'gauge',
    help: 'Bytes held for other relays: members that they show, and what waits to be sent to them.',
    labels: ['what'],
    read: byLabel('what', ({ mesh }) =>
      mesh === undefined ? {} : { members: mesh.rooms.remoteBytes, waiting: mesh.waitingBytes },
    ),
  },
  lumamesh_mesh_news_waiting: {
    kind: 'gauge',
    help: 'News of members over other relays that wait for their turn.',
    read: ({ mesh }) => (mesh === undefined ? [] : [{ value: mesh.rooms.newsWaiting }]),
  },
  lumamesh_mesh_bans: {
    kind: 'gauge',
    help: 'Keys and addresses of relays that are banned.',
    read: ({ mesh }) => (mesh === undefined ? [] : [{ value: mesh.bans }]),
  },
  lumamesh_mesh_identity_conflicts_total: {
    kind: 'counter',
    help: 'Times another relay was seen that runs with this key.',
    read: ({ mesh }) => (mesh === undefined ? [] : [{ value: mesh.identityConflicts }]),
  },
};
