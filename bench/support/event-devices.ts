import { until } from '../../test/support/until.ts';
import { openConnections, type RawConnection } from './raw-connection.ts';

/** A record that a device was told of. */
export interface ToldRecord {
  readonly epoch: number;
  readonly seq: number;
}

const EVENTS_PATH = '/v1/resume/events';
/** Event streams begun at once. */
const AT_ONCE = 250;
const PATIENCE_MS = 30_000;
const RECORD = /event: record\ndata: (\{[^\n]*\})\n\n/g;
/** What of one event may be still to come. */
const MAX_REST = 4096;
const MAX_TURNS = 50;
const RETRY_MS = 200;

/** One device that listens to the events of its user, and costs its process as little as one can. */
export class EventDevice {
  /** Is told of each record with the time of its arrival (`performance.now()`). */
  onRecord: (record: ToldRecord, atMs: number) => void = () => undefined;
  /** The state of before has come: whatever comes now is new. */
  isReady = false;
  /** The answer that was no stream of events. */
  refusal: string | undefined;
  readonly #connection: RawConnection;
  #authorization = '';
  #turns = 0;
  #rest = '';

  constructor(connection: RawConnection) {
    this.#connection = connection;
    connection.onBytes = (bytes) => this.#received(Buffer.from(bytes).toString('latin1'));
  }

  listen(authorization: string): void {
    this.#authorization = authorization;
    this.#connection.get(EVENTS_PATH, `Authorization: ${authorization}\r\n`);
  }

  close(): void {
    this.#connection.close();
  }

  #received(text: string): void {
    const atMs = performance.now();
    const all = this.#rest + text;
    if (!this.isReady) {
      if (!'HTTP/1.1 200'.startsWith(all.slice(0, 12))) return this.#refused(all);
      this.isReady = all.includes('event: sessions\n');
    }
    let end = 0;
    for (const match of all.matchAll(RECORD)) {
      end = match.index + match[0].length;
      this.onRecord(JSON.parse(match[1] ?? '{}') as ToldRecord, atMs);
    }
    this.#rest = this.isReady ? all.slice(end).slice(-MAX_REST) : all;
  }

  /** Comes again where the state was too busy, as every client should. */
  #refused(answer: string): void {
    this.#rest = answer;
    if (!answer.endsWith('}')) return;
    this.#rest = '';
    this.#turns += 1;
    if (!answer.startsWith('HTTP/1.1 503') || this.#turns > MAX_TURNS) this.refusal = answer;
    else setTimeout(() => this.listen(this.#authorization), RETRY_MS);
  }
}

/** @throws Error when it was refused */
function hasBegun({ isReady, refusal }: EventDevice): boolean {
  if (refusal !== undefined) throw new Error(`no events: ${refusal}`);
  return isReady;
}

/** Connects one device for each of these users; the caller closes them. */
export async function connectDevices(url: string, authorizations: readonly string[]): Promise<EventDevice[]> {
  const devices: EventDevice[] = [];
  for (let start = 0; start < authorizations.length; start += AT_ONCE) {
    const batch = authorizations.slice(start, start + AT_ONCE);
    const connections = await openConnections(url, batch.length);
    const joining = connections.map((connection) => new EventDevice(connection));
    devices.push(...joining);
    for (const [i, device] of joining.entries()) device.listen(batch[i] ?? '');
    await until(() => joining.every(hasBegun), 'all devices listen', PATIENCE_MS);
  }
  return devices;
}
