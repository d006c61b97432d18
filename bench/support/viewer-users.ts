import { createHmac, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ISSUER = 'bench';
const TOKEN_SECONDS = 3600;

/** Logins of as many users as a bench needs, of an issuer of its own. */
export class ViewerUsers {
  /** What the server must know of the issuer. */
  readonly setting: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'headwater-bench-users-'));
  readonly #secret = randomBytes(32).toString('hex');

  constructor() {
    const path = join(this.#folder, 'issuer.secret');
    writeFileSync(path, this.#secret, { mode: 0o600 });
    this.setting = `auth.issuers=iss=${ISSUER},aud=${ISSUER},alg=HS256,key=${path}`;
  }

  /** A value for the header `Authorization`. */
  authorization(user: string): string {
    const exp = Math.floor(Date.now() / 1000) + TOKEN_SECONDS;
    const data = `${encode({ alg: 'HS256' })}.${encode({ iss: ISSUER, aud: ISSUER, sub: user, exp })}`;
    return `Bearer ${data}.${createHmac('sha256', this.#secret).update(data).digest('base64url')}`;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
