import { AppError, type ErrorCode } from '../base/errors.ts';
import type { HttpAnswer } from '../http/types.ts';
import type { Credentials } from './authorised-request.ts';
import type { DeviceProofs } from './device-proof.ts';
import type { IssuerTokens, TokenUse, VerifiedToken } from './issuer-tokens.ts';
import { isThumbprint } from './jwk-thumbprint.ts';
import type { ProofNonces } from './proof-nonces.ts';

/** Whether devices must prove themselves: always, where a token is bound to one, or (for new sessions) never. */
export type DeviceProofPolicy = 'required' | 'optional' | 'off';

export interface TokenGuardDeps {
  readonly tokens: IssuerTokens;
  readonly proofs: DeviceProofs;
  readonly nonces: ProofNonces | undefined;
}

export type GuardOutcome =
  | {
      readonly ok: true;
      readonly token: VerifiedToken;
      /** Thumbprint of the key that was proven; undefined when no proof came. */
      readonly device: string | undefined;
    }
  | { readonly ok: false; readonly error: AppError; readonly headers: NonNullable<HttpAnswer['extra']> };

const AUTHORIZATION = /^(Bearer|DPoP) +([A-Za-z0-9._~+/-]+=*) *$/i;

/** Checks the token of a request, and the proof of the device that goes with it. */
export class TokenGuard {
  readonly #deps: TokenGuardDeps;

  constructor(deps: TokenGuardDeps) {
    this.#deps = deps;
  }

  /** @throws AppError LICENSE_STATE_UNAVAILABLE */
  async check(credentials: Credentials, use: TokenUse): Promise<GuardOutcome> {
    const [, scheme = '', text] = AUTHORIZATION.exec(credentials.authorization) ?? [];
    if (text === undefined) return this.#refuse('TOKEN_MISSING');
    const outcome = await this.#deps.tokens.verify(text, use);
    if (outcome.kind === 'refused') return this.#refuse(outcome.refusal);
    const { token } = outcome;
    const bound = boundDevice(token);
    if (bound === UNKNOWN) return this.#refuse('TOKEN_INVALID');
    if (credentials.proof === '') {
      // A token that names a device is held to it, whatever the policy and whatever the scheme.
      if (bound !== undefined || scheme.toLowerCase() === 'dpop') return this.#refuse('TOKEN_PROOF_MISSING');
      return { ok: true, token, device: undefined };
    }
    return this.#checkProof(credentials, text, token, bound);
  }

  async #checkProof(
    { proof, method, url }: Credentials,
    text: string,
    token: VerifiedToken,
    bound: string | undefined,
  ): Promise<GuardOutcome> {
    const { proofs } = this.#deps;
    const judged = proofs.judge({ proof, method, url, token: text });
    if (judged.kind === 'refused') {
      return this.#refuse(judged.refusal === 'nonce' ? 'TOKEN_PROOF_NONCE' : 'TOKEN_PROOF_INVALID');
    }
    if (bound !== undefined && bound !== judged.thumbprint) return this.#refuse('TOKEN_PROOF_INVALID');
    if (!(await proofs.use(judged.thumbprint, judged.jti))) return this.#refuse('TOKEN_PROOF_USED');
    return { ok: true, token, device: judged.thumbprint };
  }

  #refuse(code: ErrorCode): GuardOutcome {
    return { ok: false, error: new AppError(code), headers: this.#headers(code) };
  }

  /** RFC 6750 3, RFC 9449 7.1 and 8. */
  #headers(code: ErrorCode): NonNullable<HttpAnswer['extra']> {
    switch (code) {
      case 'TOKEN_MISSING':
        return [['WWW-Authenticate', 'Bearer, DPoP algs="ES256"']];
      case 'TOKEN_PROOF_MISSING':
      case 'TOKEN_PROOF_INVALID':
      case 'TOKEN_PROOF_USED':
        return [['WWW-Authenticate', 'DPoP error="invalid_dpop_proof", algs="ES256"'], ...this.#nonce()];
      case 'TOKEN_PROOF_NONCE':
        return [['WWW-Authenticate', 'DPoP error="use_dpop_nonce", algs="ES256"'], ...this.#nonce()];
      case 'TOKEN_ISSUER_UNAVAILABLE':
        return [['Retry-After', '2']];
      default:
        return [['WWW-Authenticate', 'Bearer error="invalid_token"']];
    }
  }

  #nonce(): NonNullable<HttpAnswer['extra']> {
    return this.#deps.nonces ? [['DPoP-Nonce', this.#deps.nonces.current()]] : [];
  }
}

const UNKNOWN = Symbol('a confirmation that cannot be checked');

/** `cnf.jkt`; UNKNOWN for a confirmation that cannot be checked, which must not count as none. */
function boundDevice({ claims }: VerifiedToken): string | typeof UNKNOWN | undefined {
  const { cnf } = claims;
  if (cnf === undefined) return undefined;
  if (typeof cnf !== 'object' || cnf === null || !('jkt' in cnf)) return UNKNOWN;
  return isThumbprint(cnf.jkt) ? cnf.jkt : UNKNOWN;
}
