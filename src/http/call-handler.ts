import type { AppError } from '../base/errors.ts';
import { headerBlock } from './header-block.ts';
import { problemAnswer } from './problem.ts';
import type { HttpAnswer, HttpHandler, HttpRequest } from './types.ts';

/** What a part that does not know of HTTP answers says to a request: well done, or the error that refuses it. */
export interface CallReply {
  readonly error?: AppError | undefined;
  readonly headers?: HttpAnswer['extra'];
}

const NO_CONTENT_HEADERS = headerBlock([['Cache-Control', 'no-store']]);

/** Serves calls whose success has nothing to tell: 200 without a body, or a problem. */
export function createCallHandler(call: (request: HttpRequest) => Promise<CallReply>): HttpHandler {
  return async (request, response) => {
    const { error, headers = [] } = await call(request);
    if (error) response.send(problemAnswer(error, headers));
    else response.send({ status: 200, headers: NO_CONTENT_HEADERS, extra: headers });
  };
}
