import { writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type Instant, instant, later, toBase64Url } from '@lumamesh/base';
import {
  HOMES_PER_ROOM,
  Rendezvous,
  type RendezvousNode,
  type SignedRelayRecord,
  prefixOf,
} from '@lumamesh/protocol';
import { LinkPolicy, type PolicyLink, RelayDirectory } from '@lumamesh/relay/core';
import { seededRandom } from '@lumamesh/testkit';
import { VirtualMesh } from '@lumamesh/testkit/mesh';

/*
 * `npm run bench:mesh-sim -- [relays run in full]`: the policy code of the mesh, as it is, with
 * more relays than a machine can run. Virtual time and seeds: the numbers are the same every time.
 * Writes docs/mesh-simulation.svg and prints what it holds.
 *
 * 1. Discovery: the whole MeshCore of so many relays (default 300), and for 1 000 and 10 000 a
 * record spreading over the links that LinkPolicy chooses. 2. Homes: how often two relays with
 * stale views, each missing a share of the others, have no common home of a room. 3. Sybils: 30 %
 * of all node keys stand in three /24s; what the directory lets in of them, and what share of homes
 * they hold.
 */
const fullRelays = Number(process.argv[2] ?? 300);
const SEED = 7;
const ROOMS = 4000;
/**
 * One hop of gossip: a check of the record (two round trips and a handshake) and the way, in
 * milliseconds.
 */
const HOP_MS = 250;
const GOSSIP_DEGREE = 4;
const GOSSIP_DEGREE_MAX = 6;

function relayOf(i: number, ip: string): SignedRelayRecord {
  const nk = toBase64Url(createHash('sha256').update(`relay ${i}`).digest());
  const signature = toBase64Url(createHash('sha512').update(`relay ${i}`).digest());
  const fingerprint = Array.from({ length: 32 }, () => 'AB').join(':');
  return {
    nk,
    ip,
    port: 3478,
    meshPort: 7402,
    ufrag: 'luma',
    pwd: '0'.repeat(32),
    fingerprint,
    sequence: 1_800_000_000,
    expires: 1_900_000_000,
    mesh: 'A'.repeat(22),
    signature,
  };
}

/** Relays of the internet: most have a /24 to themselves, one in ten shares it with another. */
function relaysOf(count: number): SignedRelayRecord[] {
  return Array.from({ length: count }, (_, i) => {
    const prefix = i - Math.floor(i / 10);
    return relayOf(
      i,
      `${20 + (prefix >> 16)}.${(prefix >> 8) & 255}.${prefix & 255}.${1 + (i % 10)}`,
    );
  });
}

/** The whole core: seconds until a relay that has just joined is known to so many. */
function discoverInFull(count: number): {
  readonly curve: readonly (readonly [seconds: number, share: number])[];
  readonly bytesPerSecondIdle: number;
  readonly secondsFromCold: number;
} {
  const mesh = new VirtualMesh(SEED);
  for (let i = 0; i < count; i++)
    mesh.add(`r${i}`, { peers: i === 0 ? [] : [`r${Math.floor(i * 0.37)}`] });
  const alive = (relay: (typeof mesh.relays)[number]): number =>
    (relay.core.stats(mesh.now) as { records: { alive: number } }).records.alive;
  const sample = mesh.relays.filter((_, i) => i % Math.ceil(count / 30) === 0);
  if (!mesh.runUntil(() => sample.every((relay) => alive(relay) === count - 1), 600_000))
    throw new Error('the mesh does not become complete');
  const secondsFromCold = mesh.now / 1000;
  mesh.run(120_000);
  const before = mesh.relays.reduce((sum, { bytesOut }) => sum + bytesOut, 0);
  mesh.run(60_000);
  const bytesPerSecondIdle =
    (mesh.relays.reduce((sum, { bytesOut }) => sum + bytesOut, 0) - before) / 60 / count;
  const newcomer = mesh.add('newcomer', { peers: ['r5'] });
  const curve: [number, number][] = [];
  for (let tick = 0; tick < 40 && (curve.at(-1)?.[1] ?? 0) < 1; tick++) {
    mesh.run(250);
    const knowing = mesh.relays.filter((relay) =>
      relay.core.known().some(({ nk }) => nk === newcomer.nk),
    ).length;
    curve.push([(tick + 1) / 4, knowing / count]);
  }
  return { curve, bytesPerSecondIdle, secondsFromCold };
}

/** Inbound links show no record here. */
function linkTo(other: SignedRelayRecord, openedAt: Instant, isOutbound: boolean): PolicyLink {
  const prefix = prefixOf(other);
  const common = { isLocal: false, isEnding: false, place: null };
  return { nk: other.nk, isOutbound, prefix, openedAt, isReady: isOutbound, ...common };
}

/**
 * Links by LinkPolicy, each relay choosing among all; then one record spreads, four links at a
 * time.
 */
function discoverByLinks(count: number): {
  readonly curve: readonly (readonly [number, number])[];
  readonly links: number;
} {
  const records = relaysOf(count);
  const random = seededRandom(SEED);
  const neighbours = records.map(() => new Set<number>());
  const indexOf = new Map(records.map(({ nk }, i) => [nk, i]));
  for (const [i, record] of records.entries()) {
    const policy = new LinkPolicy({ nk: record.nk, peers: [], random });
    const links = [...(neighbours[i] ?? [])].map((other) =>
      linkTo(records[other] ?? record, instant(0), false),
    );
    // A relay knows few of the others when it begins: a page of `nodes`.
    const view = Array.from({ length: 64 }, () => records[Math.floor(random() * count)] ?? record);
    let now: Instant = instant(0);
    for (let step = 0; step < 20; step++) {
      now = later(now, 5000);
      const { hangUps, dials } = policy.decide(now, links, view, new Set());
      for (const { nk } of hangUps)
        links.splice(
          links.findIndex((link) => link.nk === nk),
          1,
        );
      for (const target of dials) {
        const other = target.nk === null ? undefined : indexOf.get(target.nk);
        if (other === undefined || other === i) continue;
        links.push(linkTo(records[other] ?? record, now, true));
        policy.dials.noteDialed(now, target, target.nk);
        neighbours[i]?.add(other);
        neighbours[other]?.add(i);
      }
    }
  }
  // Gossipsub keeps a few of the links, the same ones on both sides, and sends everything over all
  // of them.
  const gossip = records.map(() => new Set<number>());
  for (const [i, own] of gossip.entries()) {
    for (const other of [...(neighbours[i] ?? [])].toSorted(() => random() - 0.5)) {
      const theirs = gossip[other];
      if (own.size >= GOSSIP_DEGREE || theirs === undefined || theirs.size >= GOSSIP_DEGREE_MAX)
        continue;
      own.add(other);
      theirs.add(i);
    }
  }
  const reached = new Set([0]);
  let wave = [0];
  const curve: [number, number][] = [[0, 1 / count]];
  for (let hop = 1; wave.length > 0; hop++) {
    const next: number[] = [];
    for (const other of wave.flatMap((i) => [...(gossip[i] ?? [])])) {
      if (reached.has(other)) continue;
      reached.add(other);
      next.push(other);
    }
    wave = next;
    curve.push([(hop * HOP_MS) / 1000, reached.size / count]);
  }
  return { curve, links: neighbours.reduce((sum, links) => sum + links.size, 0) / count };
}

/**
 * The share of rooms for which two relays, each missing `missing` of all, have no home in common.
 */
function withoutCommonHome(count: number, missing: number): number {
  const records = relaysOf(count);
  const random = seededRandom(SEED + count);
  let without = 0;
  const views = 20;
  for (let view = 0; view < views; view++) {
    const [a, b] = [0, 1].map(
      () => new Rendezvous<RendezvousNode>(records.filter(() => random() >= missing)),
    );
    for (let i = 0; i < ROOMS / views; i++) {
      const room = `room ${view} ${i}`;
      const homes = new Set(a?.rank(room, HOMES_PER_ROOM).map(({ nk }) => nk));
      if (b?.rank(room, HOMES_PER_ROOM).some(({ nk }) => homes.has(nk)) !== true) without += 1;
    }
  }
  return without / ROOMS;
}

/**
 * 30 % of the keys in three prefixes, all of them answering: what a directory takes in, and whose
 * homes are whose.
 */
function sybils(count: number): {
  readonly admitted: number;
  readonly anyHome: number;
  readonly allHomes: number;
  readonly shareOfHomes: number;
} {
  const honest = relaysOf(Math.round(count * 0.7));
  const evil = Array.from({ length: Math.round(count * 0.3) }, (_, i) =>
    relayOf(1_000_000 + i, `66.6.${6 + (i % 3)}.${1 + (Math.floor(i / 3) % 254)}`),
  );
  const random = seededRandom(SEED);
  const hash = (algorithm: string, data: Uint8Array): Uint8Array =>
    createHash(algorithm).update(data).digest();
  const directory = new RelayDirectory({
    nk: 'own',
    mesh: 'A'.repeat(22),
    ownIp: '20.0.0.0',
    checksPerSecond: 50,
    hash,
    verify: () => true,
    wallTime: { secondsAt: () => 1_800_000_000 },
    random,
  });
  let now: Instant = instant(0);
  const all = [...evil, ...honest].toSorted(() => random() - 0.5);
  for (const [i, record] of all.entries()) {
    now = later(now, 25);
    directory.offer(now, record, 'gossip', `neighbour ${i % 8}`);
    for (let output = directory.poll(); output !== null; output = directory.poll())
      if (output.type === 'check') directory.handleChecked(now, output.id, 'alive');
  }
  const known = directory.alive();
  const isEvil = ({ ip }: { readonly ip: string }): boolean => ip.startsWith('66.6.');
  const rendezvous = new Rendezvous<RendezvousNode>(known);
  const homes = Array.from(
    { length: ROOMS },
    (_, i) => rendezvous.rank(`room ${i}`, HOMES_PER_ROOM).filter(isEvil).length,
  );
  return {
    admitted: known.filter(isEvil).length / evil.length,
    anyHome: homes.filter((evilHomes) => evilHomes > 0).length / ROOMS,
    allHomes: homes.filter((evilHomes) => evilHomes === HOMES_PER_ROOM).length / ROOMS,
    shareOfHomes: homes.reduce((sum, evilHomes) => sum + evilHomes, 0) / ROOMS / HOMES_PER_ROOM,
  };
}

interface Series {
  readonly name: string;
  readonly colour: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** A line chart as SVG elements, at an offset. */
function chart(
  left: number,
  title: string,
  xLabel: string,
  yLabel: string,
  series: readonly Series[],
  maxX: number,
  maxY: number,
): string {
  const [width, height, top] = [360, 220, 50];
  const x = (value: number): string => (left + (value / maxX) * width).toFixed(1);
  const y = (value: number): string => (top + height - (value / maxY) * height).toFixed(1);
  const lines = series.map(({ name, colour, points }, i) => {
    const path = points
      .map(([px, py]) => `${x(Math.min(px, maxX))},${y(Math.min(py, maxY))}`)
      .join(' ');
    return `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${path}"/><text x="${left + width - 4}" y="${top + height - 12 - 16 * i}" fill="${colour}" text-anchor="end">${name}</text>`;
  });
  const ticks = [0, 0.25, 0.5, 0.75, 1].map(
    (part) =>
      `<line x1="${left}" x2="${left + width}" y1="${y(part * maxY)}" y2="${y(part * maxY)}" stroke="#ddd"/><text x="${left - 6}" y="${y(part * maxY)}" dy="4" text-anchor="end">${Math.round(part * maxY * 1000) / 10}%</text>` +
      `<text x="${x(part * maxX)}" y="${top + height + 16}" text-anchor="middle">${Math.round(part * maxX * 100) / 100}</text>`,
  );
  return `<text x="${left}" y="24" font-weight="bold">${title}</text><text x="${left}" y="40" fill="#666">${yLabel}</text>${ticks.join('')}${lines.join('')}<text x="${left + width / 2}" y="${top + height + 34}" text-anchor="middle" fill="#666">${xLabel}</text>`;
}

const full = discoverInFull(fullRelays);
const thousand = discoverByLinks(1000);
const tenThousand = discoverByLinks(10_000);
const shares = [0, 0.05, 0.1, 0.2, 0.3];
const stale = [1000, 10_000].map((count) => ({
  count,
  points: shares.map((missing) => [missing * 100, withoutCommonHome(count, missing)] as const),
}));
const attack = [1000, 10_000].map((count) => ({ count, ...sybils(count) }));
const timeTo = (curve: readonly (readonly [number, number])[], share: number): number =>
  curve.find(([, known]) => known >= share)?.[0] ?? Infinity;
const round = (value: number): number => Math.round(value * 100_000) / 100_000;

const report = {
  inFull: {
    relays: fullRelays,
    secondsFromColdStart: round(full.secondsFromCold),
    secondsTo99Percent: timeTo(full.curve, 0.99),
    bytesPerSecondIdle: Math.round(full.bytesPerSecondIdle),
  },
  byLinks: [
    {
      relays: 1000,
      links: round(thousand.links),
      secondsTo99Percent: timeTo(thousand.curve, 0.99),
      reached: round(thousand.curve.at(-1)?.[1] ?? 0),
    },
    {
      relays: 10_000,
      links: round(tenThousand.links),
      secondsTo99Percent: timeTo(tenThousand.curve, 0.99),
      reached: round(tenThousand.curve.at(-1)?.[1] ?? 0),
    },
  ],
  noCommonHome: stale.map(({ count, points }) => ({
    relays: count,
    byMissingPercent: Object.fromEntries(
      points.map(([missing, without]) => [missing, round(without)]),
    ),
  })),
  sybils: attack.map(({ count, admitted, anyHome, allHomes, shareOfHomes }) => ({
    relays: count,
    admitted: round(admitted),
    shareOfHomes: round(shareOfHomes),
    roomsWithOne: round(anyHome),
    roomsWithAllThree: round(allHomes),
  })),
};
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="960" height="330" font-family="sans-serif" font-size="12" viewBox="0 0 960 330"><rect width="960" height="330" fill="white"/>${chart(
  60,
  'A new relay becomes known',
  'seconds',
  'share of relays that know it',
  [
    { name: `${fullRelays} relays, whole core`, colour: '#0a7', points: [[0, 0], ...full.curve] },
    { name: '1 000, over links', colour: '#06c', points: thousand.curve },
    { name: '10 000, over links', colour: '#c40', points: tenThousand.curve },
  ],
  4,
  1,
)}${chart(
  540,
  'Two stale views of a room',
  'relays missing in each view, %',
  'rooms without a common home',
  stale.map(({ count, points }, i) => ({
    name: `${count} relays`,
    colour: i === 0 ? '#06c' : '#c40',
    points,
  })),
  30,
  0.05,
)}</svg>\n`;
writeFileSync(join(import.meta.dirname, '../docs/mesh-simulation.svg'), svg);
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
