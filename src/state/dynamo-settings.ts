import { AppError } from '../base/errors.ts';
import { readTextSecretFile } from '../base/secret-file.ts';
import type { DynamoCredentials, DynamoOptions } from './dynamo-client.ts';

/** Where resume positions are when they are in DynamoDB. */
export interface DynamoStateOptions {
  readonly endpoint: string;
  readonly region: string;
  readonly table: string;
  /** File with access key, secret and, if there is one, session token; empty: those in `credentials`. */
  readonly credentialsPath: string;
  readonly credentials: string;
}

const MIN_CREDENTIALS_BYTES = 3;
const TABLE = /^[A-Za-z0-9_.-]{3,255}$/;

/** @throws AppError STATE_OPTIONS_UNUSABLE, SECRET_FILE_UNSAFE; neither has a credential in it */
export async function readDynamoSettings(options: DynamoStateOptions): Promise<DynamoOptions> {
  const { endpoint, region, table, credentialsPath } = options;
  if (!URL.canParse(endpoint)) throw unusable('the endpoint of DynamoDB is not given');
  if (!TABLE.test(table)) throw unusable('the table of DynamoDB has no name that may be');
  const words =
    credentialsPath === ''
      ? options.credentials
      : (await readTextSecretFile(credentialsPath, MIN_CREDENTIALS_BYTES)).toString('utf8');
  return { endpoint, region, table, credentials: parseCredentials(words) };
}

function parseCredentials(words: string): DynamoCredentials {
  const [accessKeyId, secretAccessKey, sessionToken, ...rest] = words.trim().split(/\s+/);
  if (!accessKeyId || !secretAccessKey || rest.length > 0) {
    throw unusable('the credentials of DynamoDB are not an access key, a secret and perhaps a session token');
  }
  return { accessKeyId, secretAccessKey, sessionToken };
}

function unusable(what: string): AppError {
  return new AppError('STATE_OPTIONS_UNUSABLE', what);
}
