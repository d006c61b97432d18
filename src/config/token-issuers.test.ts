import { describe, expect, it } from 'vitest';
import { parseTokenIssuers } from './token-issuers.ts';

describe('the list of token issuers', () => {
  it('is none, or issuers with their keys', () => {
    expect(parseTokenIssuers('none')).toEqual({ issuers: [] });
    const given =
      'iss=https://id.example,aud=tv,jwks=https://id.example/keys.json iss=shop,aud=tv,key=/etc/shop.secret,alg=HS256+HS512,use=login+playback';
    expect(parseTokenIssuers(given)).toEqual({
      issuers: [
        {
          issuer: 'https://id.example',
          audience: 'tv',
          algorithms: ['ES256', 'EdDSA', 'RS256'],
          uses: ['login'],
          jwksUrl: 'https://id.example/keys.json',
          keyPath: undefined,
        },
        {
          issuer: 'shop',
          audience: 'tv',
          algorithms: ['HS256', 'HS512'],
          uses: ['login', 'playback'],
          jwksUrl: undefined,
          keyPath: '/etc/shop.secret',
        },
      ],
    });
  });

  it.each([
    '',
    'https://id.example',
    'iss=a,aud=b',
    'iss=a,jwks=https://id.example/k',
    'aud=b,jwks=https://id.example/k',
    'iss=a,aud=b,jwks=https://x/k,key=/k',
    'iss=a,aud=b,jwks=ftp://x/k',
    'iss=a,aud=b,key=',
    'iss=a,aud=b,key=/k,alg=none',
    'iss=a,aud=b,key=/k,alg=HS256+ES256',
    'iss=a,aud=b,jwks=https://x/k,alg=HS256',
    'iss=a,aud=b,key=/k,use=everything',
    'iss=a,iss=b,aud=b,key=/k',
    'iss=a,aud=b,key=/k,color=red',
    'iss=headwater,aud=b,key=/k',
    'iss=a,aud=b,key=/k iss=a,aud=c,key=/k',
  ])('is refused when it is %j', (given) => {
    expect(parseTokenIssuers(given)).toEqual({ problem: expect.stringMatching(/./) });
  });
});
