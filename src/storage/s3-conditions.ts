import type { S3Address } from './s3-address.ts';
import { type S3Answer, type S3CallOptions, type S3Client, refused } from './s3-client.ts';
import { MultipartUpload } from './s3-multipart.ts';
import type { PutCondition } from './put-condition.ts';
import { plainEtag } from './s3-texts.ts';

/** Which conditions a store keeps; what it does not keep it ignores. */
export interface KeptConditions {
  /** If-None-Match and If-Match of a PUT. */
  readonly put: boolean;
  /** If-None-Match at the completion of a multipart upload. */
  readonly complete: boolean;
  /** How If-Match must give an entity tag: as RFC 9110 says, or without the quotes (radosgw 16). */
  readonly etagForm: EtagForm;
}

type EtagForm = 'quoted' | 'bare';

export type ProbeOutcome =
  | { readonly kind: 'known'; readonly kept: KeptConditions }
  /** The store does not let us: bucket, credentials or rights are wrong. */
  | { readonly kind: 'refused'; readonly answer: S3Answer };

/** Stays in the bucket: an object that comes and goes would mislead another server that looks at the same moment. */
const PROBE = '~headwater-probe';
const PROBE_BODY = Buffer.from('Headwater looks here whether conditional writes are kept.\n');
const OTHER_ETAG = '00000000000000000000000000000000';

/** The headers of a condition. */
export function conditionHeaders(condition: PutCondition, etagForm: EtagForm): Record<string, string> {
  if (condition.kind === 'absent') return { 'if-none-match': '*' };
  return condition.kind === 'match' ? { 'if-match': writeEtag(condition.etag, etagForm) } : {};
}

function writeEtag(etag: string, form: EtagForm): string {
  return form === 'quoted' ? `"${etag}"` : etag;
}

/** Finds out what a store keeps, on an object beside the keys. @throws AppError STORAGE_UNAVAILABLE */
export async function probeConditions(
  client: S3Client,
  address: S3Address,
  options: S3CallOptions,
): Promise<ProbeOutcome> {
  const url = address.objectUrl(PROBE);
  const get = await client.call({ method: 'GET', url }, options);
  if (get.status !== 200 && get.code !== 'NoSuchKey') return { kind: 'refused', answer: get };
  const there =
    get.status === 200 ? get : await client.call({ method: 'PUT', url, body: PROBE_BODY }, options);
  if (there.status !== 200) return { kind: 'refused', answer: there };
  const put = async (headers: Record<string, string>): Promise<number> =>
    (await client.call({ method: 'PUT', url, headers, body: PROBE_BODY }, options)).status;
  const etagForm = await etagFormOf(put, plainEtag(there.headers.etag ?? ''));
  const keepsPut = etagForm !== undefined && (await put({ 'if-none-match': '*' })) === 412;
  const complete = keepsPut && (await keepsCompletion(client, address));
  return { kind: 'known', kept: { put: keepsPut, complete, etagForm: etagForm ?? 'quoted' } };
}

/** Undefined: If-Match is ignored, or nothing satisfies it. The probe is the same whoever puts it. */
async function etagFormOf(
  put: (headers: Record<string, string>) => Promise<number>,
  etag: string,
): Promise<EtagForm | undefined> {
  if ((await put({ 'if-match': writeEtag(OTHER_ETAG, 'quoted') })) !== 412) return undefined;
  for (const form of ['quoted', 'bare'] as const) {
    if ((await put({ 'if-match': writeEtag(etag, form) })) === 200) return form;
  }
  return undefined;
}

async function keepsCompletion(client: S3Client, address: S3Address): Promise<boolean> {
  const upload = await MultipartUpload.begin(client, address, PROBE, {});
  let kept = false;
  try {
    const etag = await upload.putPart(1, PROBE_BODY, new AbortController().signal);
    const answer = await upload.complete([etag], { 'if-none-match': '*' });
    kept = answer.status === 412;
    if (!kept && answer.status !== 200 && answer.status !== 501) throw refused(answer);
  } finally {
    await upload.abort();
  }
  return kept;
}
