export * from './join-proof.ts';
export * from './limits.ts';
export * from './relay-answer.ts';
export * from './relay-record.ts';
export * from './rendezvous.ts';
export * from './room-messages.ts';
export * from './room-secret.ts';
export * from './web-crypto.ts';
