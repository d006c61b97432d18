import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { PublishRequest } from './authorise.ts';
import type { WebhookFormat } from './ingest-options.ts';
import { signatureHeaders } from '../base/webhook-signature.ts';
import { WEBHOOK_SHAPES, type WebhookAnswer, type WebhookSetting } from './webhook-formats.ts';

/** 2026-11-22T12:00:00Z */
const NOW_MS = 1_795_348_800_000;
const SECRET = Buffer.from('s'.repeat(32));
const SETTING: WebhookSetting = {
  app: 'live',
  publicHost: 'ingest.example',
  pathPrefix: '',
  serverId: '0a1b2c3d',
  secret: SECRET,
};
const REQUEST: PublishRequest = {
  protocol: 'rtmps',
  session: '0123456789ab',
  app: 'live',
  key: 'studio',
  query: 'user=u&pass=p%26w&x=1',
  remoteAddress: '::ffff:192.0.2.7',
};
const ENDED = { request: REQUEST, stream: 'main', lastedMs: 61_500.4 };

function published(format: WebhookFormat, fields: Partial<PublishRequest> = {}, setting = SETTING) {
  return WEBHOOK_SHAPES[format].publish({ ...REQUEST, ...fields }, setting, NOW_MS);
}

function ended(format: WebhookFormat) {
  const request = WEBHOOK_SHAPES[format].unpublish?.(ENDED, SETTING, NOW_MS);
  if (request === undefined) throw new Error(`${format} tells no end`);
  return request;
}

function verdict(format: WebhookFormat, answer: Partial<WebhookAnswer>) {
  return WEBHOOK_SHAPES[format].verdict(
    { status: 200, location: undefined, body: '', ...answer },
    REQUEST,
    SETTING,
  );
}

const yes = (stream = 'studio', more: object = {}) => ({ kind: 'allow', stream, ...more });
const NO = { kind: 'deny' };
const BROKEN = { kind: 'broken' };

describe('what back ends are asked', () => {
  it('in our own format', () => {
    const { headers, body } = published('headwater', { token: 't', user: 'me', password: 'pw' });
    expect(headers).toEqual({ 'Content-Type': 'application/json' });
    expect(body).toBe(
      '{"event":"publish","protocol":"rtmps","session":"0123456789ab","address":"192.0.2.7","app":"live",' +
        '"key":"studio","query":"user=u&pass=p%26w&x=1","user":"me","password":"pw","token":"t"}',
    );
    expect(ended('headwater').body).toBe(
      '{"event":"unpublish","protocol":"rtmps","session":"0123456789ab","address":"192.0.2.7","app":"live",' +
        '"stream":"main","lastedMs":61500}',
    );
  });

  it('as MediaMTX asks, which takes user and password of an RTMP publisher from the query', () => {
    expect(JSON.parse(published('mediamtx').body)).toEqual({
      ip: '192.0.2.7',
      user: 'u',
      password: 'p&w',
      token: '',
      action: 'publish',
      path: 'studio',
      protocol: 'rtmp',
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      query: 'user=u&pass=p%26w&x=1',
    });
    const srt = published('mediamtx', { protocol: 'srt', user: 'me', password: 'pw', query: '' });
    expect(JSON.parse(srt.body)).toMatchObject({ protocol: 'srt', user: 'me', password: 'pw', query: '' });
    expect(JSON.parse(published('mediamtx').body).id).toBe(JSON.parse(published('mediamtx').body).id);
    const prefixed = published('mediamtx', {}, { ...SETTING, pathPrefix: 'live/' });
    expect(JSON.parse(prefixed.body)).toMatchObject({ path: 'live/studio' });
    expect(WEBHOOK_SHAPES.mediamtx.unpublish).toBeUndefined();
  });

  it('as SRS asks', () => {
    const common = {
      server_id: '0a1b2c3d',
      client_id: '0123456789ab',
      ip: '192.0.2.7',
      vhost: '__defaultVhost__',
      app: 'live',
      tcUrl: 'rtmp://ingest.example/live',
      param: '?user=u&pass=p%26w&x=1',
      stream_id: '0123456789ab',
    };
    expect(JSON.parse(published('srs').body)).toEqual({
      ...common,
      action: 'on_publish',
      stream: 'studio',
      stream_url: '/live/studio',
    });
    expect(JSON.parse(ended('srs').body)).toEqual({
      ...common,
      action: 'on_unpublish',
      stream: 'main',
      stream_url: '/live/main',
    });
    expect(JSON.parse(published('srs', { query: '' }).body)).toMatchObject({ param: '' });
  });

  it('as nginx-rtmp asks', () => {
    const { headers, body } = published('nginx-rtmp');
    expect(headers).toEqual({ 'Content-Type': 'application/x-www-form-urlencoded' });
    expect(body).toMatch(
      /^app=live&flashver=&swfurl=&tcurl=rtmp%3A%2F%2Fingest\.example%2Flive&pageurl=&addr=192\.0\.2\.7&clientid=\d+&call=publish&name=studio&type=live&user=u&pass=p%26w&x=1$/,
    );
    expect(ended('nginx-rtmp').body).toMatch(/&call=publish_done&name=main&user=u&pass=p%26w&x=1$/);
  });

  it('as nginx-rtmp asks, where no argument of the publisher can pass for one of ours', () => {
    const { body } = published('nginx-rtmp', {
      query: 'name=other&call=update&Addr=10.0.0.1&type=x&ok=1',
      key: 'a&name=b',
    });
    const fields = new URLSearchParams(body);
    expect([fields.getAll('name'), fields.getAll('call'), fields.getAll('addr')]).toEqual([
      ['a&name=b'],
      ['publish'],
      ['192.0.2.7'],
    ]);
    expect([fields.get('Addr'), fields.getAll('type'), fields.get('ok')]).toEqual([null, ['live'], '1']);
  });

  it('as OvenMediaEngine asks, signed as openssl signs', () => {
    const opening = published('ome');
    expect(JSON.parse(opening.body)).toEqual({
      client: { address: '192.0.2.7', port: 0, real_ip: '192.0.2.7' },
      request: {
        direction: 'incoming',
        protocol: 'rtmp',
        status: 'opening',
        url: 'rtmp://ingest.example/live/studio?user=u&pass=p%26w&x=1',
        time: '2026-11-22T12:00:00.000Z',
      },
    });
    expect(opening.headers).toEqual({
      'Content-Type': 'application/json',
      Accept: 'application/json',
      'X-OME-Signature': opensslHmac('sha1', opening.body).toString('base64url'),
    });
    expect(JSON.parse(ended('ome').body)).toMatchObject({
      request: {
        status: 'closing',
        url: expect.stringContaining('/live/studio?'),
        new_url: 'rtmp://ingest.example/live/main?user=u&pass=p%26w&x=1',
      },
    });
  });

  it('signs its calls as openssl does, over the time and the body', () => {
    const body = '{"ä":1}';
    expect(signatureHeaders(body, SECRET, NOW_MS + 999)).toEqual({
      'X-Headwater-Timestamp': '1795348800',
      'X-Headwater-Signature': `sha256=${opensslHmac('sha256', `1795348800.${body}`).toString('hex')}`,
    });
  });
});

describe('what their answers mean', () => {
  it.each([
    [{ body: '{"allow":true}' }, yes()],
    [
      { status: 201, body: '{"allow":true,"stream":"main","lifetimeMs":5000}' },
      yes('main', { lifetimeMs: 5000 }),
    ],
    [{ body: '{"allow":true,"passphrase":"0123456789"}' }, yes('studio', { passphrase: '0123456789' })],
    [{ body: '{"allow":false,"reason":"no"}' }, NO],
    [{ status: 403, body: '{"allow":true}' }, NO],
    [{ status: 401 }, NO],
    [{ body: '' }, BROKEN],
    [{ body: 'true' }, BROKEN],
    [{ body: '[{"allow":true}]' }, BROKEN],
    [{ body: '{"allow":"true"}' }, BROKEN],
    [{ body: '{"allow":1}' }, BROKEN],
    [{ body: '{"allow":true' }, BROKEN],
    [{ body: '{"allow":true,"stream":7}' }, BROKEN],
    [{ body: '{"allow":true,"lifetimeMs":"1"}' }, BROKEN],
    [{ body: '{"allow":true,"lifetimeMs":-1}' }, BROKEN],
    [{ body: '{"allow":true,"passphrase":"short"}' }, BROKEN],
    [{ status: 500, body: '{"allow":true}' }, BROKEN],
    [{ status: 302, location: 'http://127.0.0.1/', body: '{"allow":true}' }, BROKEN],
  ])('in our own format %j: %j', (answer, expected) => {
    expect(verdict('headwater', answer)).toEqual(expected);
  });

  it.each([
    [{ status: 200 }, yes()],
    [{ status: 204, body: 'garbage' }, yes()],
    [{ status: 401 }, NO],
    [{ status: 302, location: 'other' }, BROKEN],
    [{ status: 500 }, BROKEN],
    [{ status: 100 }, BROKEN],
  ])('of a back end for MediaMTX %j: %j', (answer, expected) => {
    expect(verdict('mediamtx', answer)).toEqual(expected);
  });

  it.each([
    [{ body: '0' }, yes()],
    [{ body: '{"code":0,"data":null}' }, yes()],
    [{ body: '{"code":0,"msg":"OK"}' }, yes()],
    [{ body: '1' }, NO],
    [{ body: '{"code":1}' }, NO],
    [{ body: '"0"' }, BROKEN],
    [{ body: '' }, BROKEN],
    [{ body: 'OK' }, BROKEN],
    [{ body: '{"code":"0"}' }, BROKEN],
    [{ status: 201, body: '0' }, BROKEN],
    [{ status: 404, body: '0' }, NO],
  ])('of a back end for SRS %j: %j', (answer, expected) => {
    expect(verdict('srs', answer)).toEqual(expected);
  });

  it.each([
    [{ status: 200 }, yes()],
    [{ status: 302, location: 'main' }, yes('main')],
    [{ status: 301 }, yes()],
    [{ status: 302, location: 'rtmp://elsewhere/live/x' }, yes('rtmp://elsewhere/live/x')],
    [{ status: 404 }, NO],
    [{ status: 503 }, BROKEN],
  ])('of a back end for nginx-rtmp %j: %j (names are judged afterwards)', (answer, expected) => {
    expect(verdict('nginx-rtmp', answer)).toEqual(expected);
  });

  it.each([
    [{ body: '{"allowed":true}' }, yes()],
    [{ body: '{"allowed":true,"lifetime":0}' }, yes()],
    [{ body: '{"allowed":true,"lifetime":3600000}' }, yes('studio', { lifetimeMs: 3_600_000 })],
    [{ body: '{"allowed":true,"new_url":"rtmp://h:1935/live/main?x=1"}' }, yes('main')],
    [{ body: '{"allowed":true,"new_url":"rtmp://h/other/main"}' }, BROKEN],
    [{ body: '{"allowed":true,"new_url":"nonsense"}' }, BROKEN],
    [{ body: '{"allowed":false,"reason":"no"}' }, NO],
    [{ body: '{"allowed":"yes"}' }, BROKEN],
    [{ body: '{}' }, BROKEN],
    [{ status: 403, body: '{"allowed":true}' }, NO],
    [{ status: 201, body: '{"allowed":true}' }, BROKEN],
  ])('of a back end for OvenMediaEngine %j: %j', (answer, expected) => {
    expect(verdict('ome', answer)).toEqual(expected);
  });
});

/** The same HMAC by another program. */
function opensslHmac(hash: 'sha1' | 'sha256', text: string): Buffer {
  return execFileSync(
    'openssl',
    ['dgst', `-${hash}`, '-mac', 'HMAC', '-macopt', `hexkey:${SECRET.toString('hex')}`, '-binary'],
    {
      input: text,
    },
  );
}
