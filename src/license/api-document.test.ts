import { describe, expect, it } from 'vitest';
import { LICENSE_CALLS, LICENSE_SCHEMAS } from './api-document.ts';

describe('what is documented of the licence server', () => {
  it('names schemas that are there', () => {
    const used = LICENSE_CALLS.flatMap((call) => [
      ...('requestSchema' in call ? [call.requestSchema] : []),
      ...Object.values(call.responses).flatMap((response) => ('schema' in response ? [response.schema] : [])),
    ]);
    expect(used.filter((name) => name !== 'Problem' && !(name in LICENSE_SCHEMAS))).toEqual([]);
  });
});
