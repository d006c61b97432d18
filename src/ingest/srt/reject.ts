/**
 * Why a caller is turned away, as the wire has it: codes of SRT itself (1000 and up) and those for access control, which
 * follow HTTP (1400 and up). libsrt: rejection-codes.md.
 */
export const REJECT = {
  peer: 1002,
  rogue: 1004,
  closing: 1007,
  version: 1008,
  badSecret: 1010,
  unsecure: 1011,
  messageApi: 1012,
  congestion: 1013,
  filter: 1014,
  group: 1015,
  crypto: 1017,
  badRequest: 1400,
  unauthorised: 1401,
  overload: 1402,
  forbidden: 1403,
  notFound: 1404,
  badMode: 1405,
  conflict: 1409,
  serverError: 1500,
  down: 1503,
} as const;

export type RejectCode = (typeof REJECT)[keyof typeof REJECT];
