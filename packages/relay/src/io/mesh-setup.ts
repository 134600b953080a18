import type { RelayConfig } from './config/config.ts';
import type { Identity } from './identity.ts';
import type { Logger } from './log.ts';
import type { MeshBounds } from '../core/mesh/mesh-bounds.ts';
import type { MeshEvent, MeshServer } from './mesh/mesh-server.ts';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { RecordPlace } from './record.ts';

/** A salt that would be found by trying. */
const SHORT_SALT = 8;

/** A mesh that is configured and has not started: what the record must say of it is known. */
export interface MeshSetup {
  readonly place: Omit<RecordPlace, 'port'>;
  /** Listens and begins to dial. Rejects with `MESH_LISTEN_FAILED`. */
  start(record: SignedRelayRecord, onEvent: (event: MeshEvent) => void): Promise<MeshServer>;
}

/** The code of the mesh, which nobody else needs. */
export function loadMesh() {
  return Promise.all([
    import('./mesh/mesh-server.ts'),
    import('./mesh/mesh-salt.ts'),
    import('./mesh/free-port.ts'),
  ]);
}

/** Without MESH_SALT nothing of the mesh is even loaded: `null`. */
export async function setUpMesh(
  config: RelayConfig,
  identity: Identity,
  log: Logger,
): Promise<MeshSetup | null> {
  const { meshSalt, meshListen = null, meshPeers = [], meshFile, maxRoomSize } = config;
  if (meshSalt === undefined) return null;
  const [{ MeshServer: Server }, { deriveMeshSecret }, { freePort }] = await loadMesh();
  if (meshSalt.length < SHORT_SALT)
    log.warn({}, 'MESH_SALT is short: whoever tries a few can run a relay in this mesh');
  if (meshListen === null && meshPeers.length === 0)
    log.warn(
      {},
      'MESH_SALT is set, but neither MESH_LISTEN nor MESH_PEERS: only relays of MESH_FILE can be met',
    );
  const secret = await deriveMeshSecret(meshSalt);
  const listen =
    meshListen === null
      ? null
      : {
          host: meshListen.host,
          port: meshListen.port === 0 ? await freePort(meshListen.host) : meshListen.port,
        };
  return {
    place: { mesh: secret.mesh, ...(listen === null ? {} : { meshPort: listen.port }) },
    start: (record, onEvent) =>
      Server.start(
        {
          identity,
          secret,
          listen,
          peers: meshPeers,
          file: meshFile,
          maxRoomSize,
          bounds: boundsOf(config),
          log,
          onEvent,
        },
        record,
      ),
  };
}

function boundsOf(config: RelayConfig): MeshBounds {
  return {
    maxBytes: config.meshMemoryMb * 1_048_576,
    checksPerSecond: config.meshChecksPerSecond,
    socketsPerNetwork: config.meshSocketsPerNetwork,
  };
}
