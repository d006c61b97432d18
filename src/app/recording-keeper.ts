import type { RecordingKeeper } from '../control/recording-status.ts';
import type { Recorder } from '../vod/recorder.ts';
import { titleStatus } from './title-keeper.ts';

/** What the control API may do with recordings. */
export function recordingKeeper(recorder: Recorder): RecordingKeeper {
  return {
    record: async (recording) => titleStatus(await recorder.record(recording)),
  };
}
