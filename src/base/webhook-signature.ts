import { createHmac } from 'node:crypto';

/** The headers that let a back end see that a call is ours and fresh: HMAC-SHA-256 over `<seconds>.<body>`. */
export function signatureHeaders(body: string, secret: Uint8Array, nowMs: number): Record<string, string> {
  const seconds = String(Math.floor(nowMs / 1000));
  const signature = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');
  return { 'X-Headwater-Timestamp': seconds, 'X-Headwater-Signature': `sha256=${signature}` };
}
