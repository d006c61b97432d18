import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestServer } from './server.ts';

/** Calls the control API with the admin token; throws with status and text when it is not a success. */
export async function callControl(server: TestServer, method: string, path: string): Promise<unknown> {
  const token = (await readFile(join(server.dataDir, 'secrets', 'admin.token'), 'utf8')).trim();
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(server.controlUrl + path, { method, headers });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} for ${method} ${path}: ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}
