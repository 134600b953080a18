export {
  type RelayConfig,
  type SettingName,
  listSettings,
  readConfig,
} from './io/config/config.ts';
export { type Identity, type IdentityFiles, loadIdentity } from './io/identity.ts';
export { type Logger, makeLogger, silentLogger } from './io/log.ts';
export { RelayServer } from './io/relay-server.ts';
