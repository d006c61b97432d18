import { loadUws } from '../http/uws-native.ts';
import type { DoctorInput, Finding } from './doctor-checks.ts';

/** Which HTTP engine the media server will run on. */
export async function checkHttpEngine({ config }: DoctorInput): Promise<Finding[]> {
  const { driver, maxHeaderBytes } = config.http;
  const name = 'http engine';
  if (driver === 'node') return [{ status: 'ok', name, detail: 'node:http (http.driver is node)' }];
  if ('module' in loadUws(maxHeaderBytes)) return [{ status: 'ok', name, detail: 'uWebSockets.js' }];
  return driver === 'uws'
    ? [{ status: 'fail', name, detail: 'http.driver is uws, but uWebSockets.js does not load here' }]
    : [
        {
          status: 'warn',
          name,
          detail: 'node:http, as uWebSockets.js does not load here; it serves fewer viewers',
        },
      ];
}
