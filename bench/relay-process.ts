import { RelayServer, readConfig, silentLogger } from '@lumamesh/relay';
import type { Target } from './load-generator.ts';
import { answerParent } from './usage.ts';

/* A relay in a process of its own. */
const relay = await RelayServer.start(readConfig({ environment: process.env }), silentLogger);
answerParent();
const target: Target = { type: 'lumamesh', record: relay.record };
process.send?.(target);
