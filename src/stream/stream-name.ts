const STREAM_NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** Whether `name` may name a stream: safe in a URL path, a file name and a log line as it is. */
export function isStreamName(name: string): boolean {
  return STREAM_NAME.test(name);
}
