/** The part of autocannon that the benches use; the package ships no types. */
declare module 'autocannon' {
  interface Options {
    readonly url: string;
    readonly connections: number;
    /** Seconds. */
    readonly duration: number;
    /** Requests a second, over all connections; without it as many as go. */
    readonly overallRate?: number;
  }
  interface Result {
    /** Seconds, as measured. */
    readonly duration: number;
    readonly errors: number;
    readonly timeouts: number;
    readonly non2xx: number;
    readonly '2xx': number;
    /** Milliseconds. */
    readonly latency: {
      readonly p50: number;
      readonly p90: number;
      readonly p99: number;
      readonly max: number;
    };
  }
  function autocannon(options: Options): Promise<Result>;
  // oxlint-disable-next-line import/no-default-export -- the package's own shape
  export default autocannon;
}
