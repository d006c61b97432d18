import { describe, expect, it } from 'vitest';
import { LICENSE_CALLS, LICENSE_SCHEMAS } from './api-document.ts';
import { RESUME_CALLS, RESUME_SCHEMAS } from './resume/api-document.ts';

describe('what is documented of the licence server', () => {
  it('names schemas that are there', () => {
    const known = { ...LICENSE_SCHEMAS, ...RESUME_SCHEMAS };
    const used = [...LICENSE_CALLS, ...RESUME_CALLS].flatMap((call) => [
      ...('requestSchema' in call ? [call.requestSchema] : []),
      ...Object.values(call.responses).flatMap((response) => ('schema' in response ? [response.schema] : [])),
    ]);
    expect(used.filter((name) => name !== 'Problem' && !(name in known))).toEqual([]);
  });
});
