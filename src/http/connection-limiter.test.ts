import { describe, expect, it } from 'vitest';
import { ConnectionLimiter } from './connection-limiter.ts';

describe('ConnectionLimiter', () => {
  it('refuses past the total, then past the address, and counts neither', () => {
    const limiter = new ConnectionLimiter({ maxConnections: 3, maxConnectionsPerAddress: 2 });
    expect(limiter.admit('a')).toBeUndefined();
    expect(limiter.admit('a')).toBeUndefined();
    expect(limiter.admit('a')).toBe('per_address');
    expect(limiter.admit('b')).toBeUndefined();
    expect(limiter.admit('c')).toBe('total');
    expect(limiter.total).toBe(3);
  });

  it('takes new connections when old ones are released', () => {
    const limiter = new ConnectionLimiter({ maxConnections: 2, maxConnectionsPerAddress: 1 });
    limiter.admit('a');
    limiter.release('a');
    expect(limiter.total).toBe(0);
    expect(limiter.admit('a')).toBeUndefined();
    expect(limiter.admit('b')).toBeUndefined();
  });

  it('takes a /64 of IPv6 as one address: a single host can have all of it', () => {
    const limiter = new ConnectionLimiter({ maxConnections: 9, maxConnectionsPerAddress: 2 });
    expect(limiter.admit('2001:db8::1')).toBeUndefined();
    expect(limiter.admit('2001:db8::2')).toBeUndefined();
    expect(limiter.admit('2001:db8::3')).toBe('per_address');
    expect(limiter.admit('2001:db8:0:1::3')).toBeUndefined();
    limiter.release('2001:db8::1');
    expect(limiter.admit('2001:db8::3')).toBeUndefined();
  });

  it('keeps no limit for addresses with 0', () => {
    const limiter = new ConnectionLimiter({ maxConnections: 100, maxConnectionsPerAddress: 0 });
    for (let i = 0; i < 100; i++) expect(limiter.admit('a')).toBeUndefined();
    expect(limiter.admit('a')).toBe('total');
  });
});
