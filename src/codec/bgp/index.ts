/** The BGP-4 codec: bytes to typed messages and back, without state. */
export * from './constants.ts';
export { frameBgp, notificationForError } from './frame.ts';
export { decodeBgp, encodeKeepalive, INITIAL_CONTEXT } from './message.ts';
export { addPathFamilies, type Negotiated, negotiate, receiveContext, sendContext } from './negotiate.ts';
export { decodeNotification, encodeNotification } from './notification.ts';
export { decodeOpen, encodeOpen } from './open.ts';
export { encodeRouteRefresh } from './route-refresh.ts';
export type * from './types.ts';
export { decodeUpdate, encodeEndOfRib, encodeUpdate, type UpdateParts } from './update.ts';
