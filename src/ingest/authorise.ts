import { isStreamName } from '../stream/stream-name.ts';

/** Somebody asks to publish. Everything but `remoteAddress` is as the peer sent it, unchecked; `key` is a secret. */
export interface PublishRequest {
  readonly protocol: 'rtmp';
  readonly app: string;
  readonly key: string;
  /** What followed `?` behind the key, without the `?`; empty when there was none. */
  readonly query: string;
  readonly remoteAddress: string;
}

/** Why somebody may not publish: for our log and metrics, never told to the peer. */
export type PublishRefusal = 'app_unknown' | 'name_invalid' | 'key_unknown' | 'denied';

export type PublishDecision =
  | { readonly allow: true; readonly stream: string }
  | { readonly allow: false; readonly code: PublishRefusal };

/** Decides who may publish what. A rejection of the promise counts as no. */
export interface Authoriser {
  /** `signal` aborts when the answer is not wanted any more: the peer left or the time is up. */
  authorise(request: PublishRequest, signal: AbortSignal): Promise<PublishDecision>;
}

/** Finds the stream of a publish key. */
export interface KeyLookup {
  find(key: string): Promise<string | undefined>;
}

/** The RTMP application, and the first level of every live URL. */
const APP = 'live';

/** The name sent to publish is a publish key; the key says which stream. */
export function createKeyAuthoriser(keys: KeyLookup): Authoriser {
  return {
    async authorise({ app, key }) {
      if (app !== APP) return { allow: false, code: 'app_unknown' };
      const stream = await keys.find(key);
      return stream === undefined ? { allow: false, code: 'key_unknown' } : { allow: true, stream };
    },
  };
}

/** Anybody may publish anything that has a valid name (`ingest.auth: none`). */
export function createOpenAuthoriser(): Authoriser {
  return {
    async authorise({ app, key }) {
      if (app !== APP) return { allow: false, code: 'app_unknown' };
      return isStreamName(key) ? { allow: true, stream: key } : { allow: false, code: 'name_invalid' };
    },
  };
}
