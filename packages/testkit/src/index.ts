export * from './attack.ts';
export * from './relay-client.ts';
export * from './seeded-random.ts';
export * from './session-pair.ts';
export * from './test-crypto.ts';
export * from './udp-server.ts';
export * from './virtual-network.ts';
