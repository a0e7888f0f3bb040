/** The BMP codec: bytes to typed messages and back, without state. */
export { monitoringContext, omitsPathIds, withoutPathIds } from './context.ts';
export { decodeBmp } from './decode.ts';
export {
  encodeInitiation,
  encodePeerDown,
  encodePeerUp,
  encodeRouteMirroring,
  encodeRouteMonitoring,
  encodeStats,
  encodeTermination,
} from './encode.ts';
export { bmpFramer } from './frame.ts';
export * from './names.ts';
export { isIpv6Peer, type PeerInput, peerIdentity, peerKey, type RibView, ribView } from './peer.ts';
export * from './types.ts';
