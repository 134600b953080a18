const COLOURS = [
  'amber',
  'azure',
  'coral',
  'golden',
  'indigo',
  'jade',
  'lilac',
  'misty',
  'olive',
  'rosy',
  'silver',
  'teal',
  'umber',
  'violet',
];
const ANIMALS = [
  'badger',
  'crane',
  'dolphin',
  'ermine',
  'falcon',
  'gecko',
  'heron',
  'ibex',
  'jackdaw',
  'koala',
  'lynx',
  'marten',
  'newt',
  'otter',
  'puffin',
  'quail',
  'raven',
  'stoat',
  'tapir',
  'wren',
];

/** A friendly name for a visitor. */
export function makeNick(): string {
  const [a = 0, b = 0] = crypto.getRandomValues(new Uint8Array(2));
  return `${COLOURS[a % COLOURS.length]} ${ANIMALS[b % ANIMALS.length]}`;
}

/** A colour for a peer, the same in every window. */
export function hueOf(id: string): number {
  let hash = 7;
  for (const character of id) hash = (hash * 31 + character.charCodeAt(0)) % 360;
  return hash;
}
