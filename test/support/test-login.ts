import { randomBytes } from 'node:crypto';
import { systemClock } from '../../src/base/clock.ts';
import { type LoginClaims, mintLoginToken } from '../../src/license/login-token.ts';
import { openTokenRing } from '../../src/license/license-service.ts';
import type { TestServer } from './server.ts';

/** A login token of a test server's own issuer. */
export async function loginAt(
  server: Pick<TestServer, 'dataDir'>,
  user: string,
  limits: Partial<LoginClaims> = {},
): Promise<string> {
  const deps = { clock: systemClock, randomBytes };
  const ring = await openTokenRing({ dataDir: server.dataDir, tokenAlgorithm: 'EdDSA' }, deps);
  const none = { device: undefined, content: undefined, tiers: undefined, maxSessions: undefined };
  return mintLoginToken(ring, { ...none, user, seconds: 3600, ...limits }, systemClock, randomBytes);
}
