export {
  LumameshProvider,
  type ProviderEvents,
  type ProviderOptions,
  type RoomToJoin,
} from './provider.ts';
