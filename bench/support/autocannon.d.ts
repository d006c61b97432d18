/** The part of autocannon that the benches use; the package ships no types. */
declare module 'autocannon' {
  interface Options {
    readonly url: string;
    readonly connections: number;
    /** Seconds. */
    readonly duration: number;
    /** Requests a second, over all connections; without it as many as go. */
    readonly overallRate?: number;
    /** Sent in turn on each connection. */
    readonly requests?: readonly RequestTemplate[];
    /** Seconds that an answer may take. */
    readonly timeout?: number;
  }
  interface RequestTemplate {
    readonly method: 'GET' | 'POST' | 'PUT';
    readonly path: string;
    readonly body?: string;
    /** Makes the request that is sent out of the template, each time. */
    setupRequest?(
      request: RequestTemplate & { readonly headers?: Readonly<Record<string, string>> },
    ): RequestTemplate & { readonly headers: Readonly<Record<string, string>> };
  }
  /** A run: its result when it is awaited, and each answer as it comes. */
  interface Run extends PromiseLike<Result> {
    on(
      event: 'response',
      listener: (client: unknown, status: number, bytes: number, milliseconds: number) => void,
    ): this;
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
  function autocannon(options: Options): Run;
  // oxlint-disable-next-line import/no-default-export -- the package's own shape
  export default autocannon;
}
