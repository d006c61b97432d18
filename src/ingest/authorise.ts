import type { PublishProtocol } from '../stream/publisher.ts';
import { isStreamName } from '../stream/stream-name.ts';
import { presentedToken } from './jwt-presented.ts';

/**
 * Somebody asks to publish. Everything but `protocol`, `session` and `remoteAddress` is as the peer sent it, unchecked;
 * `key`, `query`, `password` and `token` are secrets.
 */
export interface PublishRequest {
  readonly protocol: PublishProtocol;
  /** Our id of the connection, random. */
  readonly session: string;
  /** The RTMP application; `live` where the protocol has none. */
  readonly app: string;
  /** What was asked to be published: a publish key or, by the kind of authorisation, a stream's name. */
  readonly key: string;
  /** What followed `?` behind the key, without the `?`; empty when there was none. */
  readonly query: string;
  /** User and password, where the protocol carries them beside the key. */
  readonly user?: string;
  readonly password?: string;
  /** A bearer token, where the protocol has a place of its own for it. */
  readonly token?: string;
  readonly remoteAddress: string;
}

/** Why somebody may not publish: for our log and metrics, never told to the peer. */
export type PublishRefusal =
  | 'app_unknown'
  | 'name_invalid'
  | 'key_unknown'
  | 'token_missing'
  | 'token_invalid'
  | 'token_expired'
  | 'stream_not_in_token'
  | 'denied';

export type PublishDecision = PublishGrant | { readonly allow: false; readonly code: PublishRefusal };

/** What let a publisher in, and so what can take it back. */
export type AdmittedBy = 'key' | 'token' | 'webhook' | 'nobody';

export interface PublishGrant {
  readonly allow: true;
  readonly stream: string;
  /** SRT: what unwraps the peer's stream key. `required`: the name alone is no proof, the peer must encrypt with it. */
  readonly encryption?: { readonly passphrase: string; readonly required: boolean };
  /** `nobody` when left out: nothing can take the grant back but an operator. */
  readonly admittedBy?: AdmittedBy;
  /** Wall-clock ms at which the publisher is to be cut; left out: never. */
  readonly untilMs?: number;
}

/** Decides who may publish what. A rejection of the promise counts as no. */
export interface Authoriser {
  /** `signal` aborts when the answer is not wanted any more: the peer left or the time is up. */
  authorise(request: PublishRequest, signal: AbortSignal): Promise<PublishDecision>;
}

/** What is known of publish keys. */
export interface KeyLookup {
  /** The stream of a publish key. */
  find(key: string): Promise<string | undefined>;
  /** The SRT passphrase of a stream that has a key. */
  srtPassphrase(stream: string): Promise<string | undefined>;
}

/** The RTMP application, and the first level of every live URL. */
export const APP = 'live';

/** A refusal. */
export function refuse(code: PublishRefusal): PublishDecision {
  return { allow: false, code };
}

/**
 * Publish keys say which stream. The key stands where the name should, or beside the stream's name as the password, or,
 * over SRT, nowhere: then the passphrase, which only the key's owner has, is the proof.
 */
export function createKeyAuthoriser(keys: KeyLookup): Authoriser {
  return {
    async authorise({ app, key, password, protocol }) {
      if (app !== APP) return refuse('app_unknown');
      const found = (await keys.find(key)) ?? (await ownerOf(password, key, keys));
      if (protocol !== 'srt') {
        return found === undefined
          ? refuse('key_unknown')
          : { allow: true, stream: found, admittedBy: 'key' };
      }
      const stream = found ?? key;
      const passphrase = await keys.srtPassphrase(stream);
      if (passphrase === undefined) return refuse('key_unknown');
      const encryption = { passphrase, required: found === undefined };
      return { allow: true, stream, admittedBy: 'key', encryption };
    },
  };
}

/** The stream named, when the password is its key. */
async function ownerOf(
  password: string | undefined,
  name: string,
  keys: KeyLookup,
): Promise<string | undefined> {
  if (password === undefined || password === '') return undefined;
  return (await keys.find(password)) === name ? name : undefined;
}

/** Anybody may publish anything that has a valid name (`ingest.auth: none`). */
export function createOpenAuthoriser(): Authoriser {
  return {
    async authorise({ app, key }) {
      if (app !== APP) return refuse('app_unknown');
      return isStreamName(key) ? { allow: true, stream: key, admittedBy: 'nobody' } : refuse('name_invalid');
    },
  };
}

/**
 * Keys and tokens side by side: who shows a token is judged by it alone, so that a bad token is never saved by a key
 * and the other way round.
 */
export function createKeyOrTokenAuthoriser(keys: Authoriser, tokens: Authoriser): Authoriser {
  return {
    authorise: (request, signal) =>
      (presentedToken(request) === undefined ? keys : tokens).authorise(request, signal),
  };
}

/** Over SRT a publisher let in by other means may still encrypt with the passphrase of the stream's key. */
export function withSrtPassphrase(inner: Authoriser, keys: KeyLookup): Authoriser {
  return {
    async authorise(request, signal) {
      const decision = await inner.authorise(request, signal);
      if (!decision.allow || request.protocol !== 'srt' || decision.encryption !== undefined) return decision;
      const passphrase = await keys.srtPassphrase(decision.stream);
      return passphrase === undefined
        ? decision
        : { ...decision, encryption: { passphrase, required: false } };
    },
  };
}
