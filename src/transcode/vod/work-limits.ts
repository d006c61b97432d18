/** Largest picture that is decoded, whatever the file says of itself later on: 8192 by 4320. */
export const MAX_WORK_PIXELS = 8192 * 4320;

/** Streams of a file that are looked at. */
export const MAX_WORK_STREAMS = 128;
