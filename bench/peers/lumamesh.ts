import { RelayServer, readConfig, silentLogger } from '@lumamesh/relay';
import type { Target } from '../load-generator.ts';
import { answerParent } from './answer-parent.ts';

/* A relay in a process of its own. */
const relay = await RelayServer.start(readConfig({ environment: process.env }), silentLogger);
const target: Target = { type: 'webrtc', record: relay.record };
process.stdout.write(`${JSON.stringify(target)}\n`);
answerParent();
