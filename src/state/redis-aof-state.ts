/** What Redis says of its append-only file (`INFO persistence`). */
export interface AofState {
  readonly isEnabled: boolean;
  /** Sizes compare only within one: a rewrite makes the file smaller. */
  readonly generation: string;
  /** What is in the file, so in the hands of the kernel: it outlives the process. */
  readonly writtenBytes: number;
  /** What waits in the process to be written. */
  readonly bufferedBytes: number;
}

/** How far the file must be. */
export interface AofMark {
  readonly generation: string;
  readonly bytes: number;
}

/** Undefined: it does not say what is needed. */
export function parseAofState(info: string): AofState | undefined {
  const fields = new Map(
    info.split(/\r?\n/).map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, Math.max(0, colon)), line.slice(colon + 1)];
    }),
  );
  const enabled = fields.get('aof_enabled');
  if (enabled === undefined) return undefined;
  if (enabled !== '1') return { isEnabled: false, generation: '', writtenBytes: 0, bufferedBytes: 0 };
  const writtenBytes = sizeOf(fields.get('aof_current_size'));
  const bufferedBytes = sizeOf(fields.get('aof_buffer_length'));
  if (writtenBytes === undefined || bufferedBytes === undefined) return undefined;
  // The one changes when a rewrite ends, the other when it begins.
  const generation = `${fields.get('aof_base_size')} ${fields.get('aof_rewrites')}`;
  return { isEnabled: true, generation, writtenBytes, bufferedBytes };
}

/** Where all that was done before `state` was asked for is in the file. */
export function markOf({ generation, writtenBytes, bufferedBytes }: AofState): AofMark {
  return { generation, bytes: writtenBytes + bufferedBytes };
}

/** Whether all that was done before the mark was asked for is in the file now; undefined: nothing is known of before. */
export function isWritten(mark: AofMark | undefined, state: AofState): boolean {
  if (state.bufferedBytes === 0) return true;
  return mark?.generation === state.generation && state.writtenBytes >= mark.bytes;
}

function sizeOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
