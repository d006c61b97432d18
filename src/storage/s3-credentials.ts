import { AppError } from '../base/errors.ts';
import { readTextSecretFile } from '../base/secret-file.ts';

/** Who we are to the store. Goes into signatures only: never logged. */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of temporary credentials. */
  readonly sessionToken?: string | undefined;
}

/** Where credentials come from; asked again when the store does not take them any more. */
export interface S3CredentialSource {
  load(): Promise<S3Credentials>;
}

/** Shortest text that can hold an access key and a secret. */
const MIN_CHARACTERS = 5;

/** Credentials in a file that only its owner may read: access key, secret, perhaps a session token, white space between. */
export function credentialsInFile(path: string): S3CredentialSource {
  return {
    async load() {
      const credentials = parseS3Credentials(
        (await readTextSecretFile(path, MIN_CHARACTERS)).toString('utf8'),
      );
      if (credentials) return credentials;
      throw new AppError('SECRET_FILE_UNSAFE', `${path} does not hold an access key and its secret`);
    },
  };
}

/** Credentials that are given as they are. */
export function givenCredentials(credentials: S3Credentials): S3CredentialSource {
  return { load: () => Promise.resolve(credentials) };
}

/** Undefined: it is not two or three words. */
export function parseS3Credentials(text: string): S3Credentials | undefined {
  const [accessKeyId, secretAccessKey, sessionToken, ...more] = text.trim().split(/\s+/);
  if (!accessKeyId || !secretAccessKey || more.length > 0) return undefined;
  return { accessKeyId, secretAccessKey, sessionToken };
}
