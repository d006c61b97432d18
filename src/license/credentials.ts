import { isIP } from 'node:net';
import type { AddressBlocks } from '../base/address-blocks.ts';
import type { HttpRequest } from '../http/types.ts';
import type { Credentials } from './authorised-request.ts';

export interface CredentialsOptions {
  /** Peers whose `X-Forwarded-*` headers and country header are believed. */
  readonly trustedProxies: AddressBlocks;
  /** Lower-case header with the viewer's country that trusted proxies set; '' for none. */
  readonly countryHeader: string;
  /** Where players reach this server: scheme, host and perhaps a path, no slash at the end; '' = as they ask. */
  readonly publicUrl: string;
}

const HOST = /^[A-Za-z0-9.:[\]-]{1,255}$/;

/** Reads who asks off a request; to be called before anything is awaited. */
export function readCredentials(request: HttpRequest, options: CredentialsOptions): Credentials {
  const trusted = options.trustedProxies.has(request.remoteAddress);
  return {
    method: request.method,
    url: baseUrl(request, trusted, options) + request.path,
    authorization: request.header('authorization'),
    proof: request.header('dpop'),
    address: trusted ? forwardedFor(request, options) : request.remoteAddress,
    country: trusted ? countryOf(request, options.countryHeader) : undefined,
  };
}

/** Scheme and host as the player sees them, without a slash at the end. '' when the request has no usable host. */
function baseUrl(request: HttpRequest, trusted: boolean, options: CredentialsOptions): string {
  if (options.publicUrl !== '') return options.publicUrl;
  const forwardedHost = trusted ? firstOf(request.header('x-forwarded-host')) : '';
  const host = forwardedHost || request.header('host');
  const scheme = trusted && firstOf(request.header('x-forwarded-proto')) === 'https' ? 'https' : 'http';
  return HOST.test(host) ? `${scheme}://${host}` : '';
}

/**
 * The last address that a trusted proxy did not add itself: what stands left of it the viewer may have made up. The
 * connection's own when there is none.
 */
function forwardedFor(request: HttpRequest, { trustedProxies }: CredentialsOptions): string {
  const hops = request
    .header('x-forwarded-for')
    .split(',')
    .map((hop) => hop.trim())
    .filter((hop) => isIP(hop) !== 0);
  return hops.findLast((hop) => !trustedProxies.has(hop)) ?? hops[0] ?? request.remoteAddress;
}

function countryOf(request: HttpRequest, header: string): string | undefined {
  const value = header === '' ? '' : request.header(header).trim().toUpperCase();
  return /^[A-Z]{2}$/.test(value) ? value : undefined;
}

function firstOf(list: string): string {
  return list.split(',', 1)[0]?.trim() ?? '';
}
