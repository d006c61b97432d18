import { AppError } from '../base/errors.ts';
import type { ContentKey, KeyDirectory } from '../drm/content-key.ts';
import type { Route, RouteHandler } from '../http/router.ts';
import type { HttpAnswer, HttpResponse } from '../http/types.ts';
import type { GrantedKey, LicenseGate, LicenseVerdict } from './authorised-request.ts';
import { parseClearKeyRequest, parseUrlKid, renderClearKeyLicense } from './clearkey-message.ts';
import { licenseHeaders, licenseProblem, timeText } from './license-problem.ts';

/** Largest licence request. */
export const MAX_LICENSE_BODY_BYTES = 16 * 1024;

const JSON_HEADERS = licenseHeaders('application/json');
const KEY_HEADERS = licenseHeaders('application/octet-stream');

/** ClearKey licences, and single keys for HLS players that fetch them (KEYFORMAT="identity"). */
export function clearKeyRoutes(gate: LicenseGate, keys: KeyDirectory): Route[] {
  const license: RouteHandler = async (request, response) => {
    const credentials = gate.credentials(request);
    const ask = parseClearKeyRequest(await request.body(MAX_LICENSE_BODY_BYTES));
    if (ask === undefined) return response.send(licenseProblem(new AppError('LICENSE_REQUEST_MALFORMED')));
    if (ask.type !== 'temporary') {
      const what = 'only licences of type "temporary" are given out';
      return response.send(licenseProblem(new AppError('LICENSE_REQUEST_MALFORMED', what)));
    }
    const verdict = await gate.authorise(credentials, {
      system: 'clearkey',
      kids: ask.kids,
      robustness: 'L3',
      renewal: false,
    });
    await answer(
      response,
      verdict,
      (granted) => granted,
      keys,
      (contentKeys) => ({
        headers: JSON_HEADERS,
        body: renderClearKeyLicense(contentKeys),
      }),
    );
  };

  const key: RouteHandler = async (request, response, { kid: text = '' }) => {
    const credentials = gate.credentials(request);
    const kid = parseUrlKid(text);
    if (kid === undefined) return response.send(licenseProblem(new AppError('LICENSE_REQUEST_MALFORMED')));
    const verdict = await gate.authorise(credentials, {
      system: 'clearkey',
      kids: [kid],
      robustness: 'L3',
      renewal: false,
    });
    const only = (granted: readonly GrantedKey[]): readonly GrantedKey[] =>
      granted.filter(({ entry }) => Buffer.from(entry.kid).equals(kid));
    await answer(response, verdict, only, keys, ([found]) => ({
      headers: KEY_HEADERS,
      body: found?.key ?? new Uint8Array(0),
    }));
  };

  return [
    { method: 'POST', path: '/license/clearkey', handler: license },
    { method: 'GET', path: '/license/key/:kid', handler: key },
  ];
}

async function answer(
  response: HttpResponse,
  verdict: LicenseVerdict,
  choose: (granted: readonly GrantedKey[]) => readonly GrantedKey[],
  directory: KeyDirectory,
  render: (keys: readonly ContentKey[]) => Pick<HttpAnswer, 'headers' | 'body'>,
): Promise<void> {
  if (!verdict.granted) return response.send(licenseProblem(verdict.error, verdict.headers));
  const chosen = choose(verdict.keys);
  if (chosen.length === 0) return response.send(licenseProblem(new AppError('LICENSE_NOT_ENTITLED')));
  try {
    const contentKeys = await Promise.all(chosen.map(({ entry }) => directory.unwrap(entry)));
    const extra = [['X-License-Expires', timeText(verdict.expiresMs)]] as const;
    response.send({ status: 200, ...render(contentKeys), extra });
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    response.send(licenseProblem(error, [['Retry-After', '2']]));
  }
}
