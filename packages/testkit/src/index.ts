export * from './attack.ts';
export * from './seeded-random.ts';
export * from './session-pair.ts';
export * from './test-crypto.ts';
export * from './virtual-network.ts';
