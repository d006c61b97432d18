import { describe, expect, it } from 'vitest';
import { AMF0_LIMITS, type Amf0Value, amf0Object, writeAmf0 } from '../../media/amf0.ts';
import { parseCommand } from './command.ts';
import { type CommandPhase, decideCommand } from './command-policy.ts';
import { MESSAGE } from './protocol.ts';

const FRESH: CommandPhase = { app: undefined, streamCount: 0, publishing: false };
const CONNECTED: CommandPhase = { ...FRESH, app: 'live' };
const READY: CommandPhase = { ...CONNECTED, streamCount: 1 };
const PUBLISHING: CommandPhase = { ...READY, publishing: true };
const INVALID = { kind: 'fail', reason: 'command_invalid' };

function decide(phase: CommandPhase, name: string, ...args: Amf0Value[]) {
  return decideCommand(phase, { name, transactionId: 1, args });
}

describe('decideCommand', () => {
  it.each([
    ['live', 'live'],
    ['live/', 'live'],
    ['live?token=a/b', 'live'],
    ['live/sub', 'live/sub'],
    ['', ''],
  ])('connects to the application %j as %j', (app, name) => {
    expect(decide(FRESH, 'connect', amf0Object({ app }))).toEqual({
      kind: 'connect',
      app: name,
      enhanced: false,
    });
  });

  it.each(['fourCcList', 'videoFourCcInfoMap', 'audioFourCcInfoMap', 'capsEx'])(
    'knows by %s that the peer speaks Enhanced RTMP',
    (name) => {
      const action = decide(FRESH, 'connect', amf0Object({ app: 'live', [name]: null }));
      expect(action).toEqual({ kind: 'connect', app: 'live', enhanced: true });
    },
  );

  it.each<[string, CommandPhase, string, Amf0Value[]]>([
    ['connect without an object', FRESH, 'connect', []],
    ['connect with a string for an object', FRESH, 'connect', ['live']],
    ['connect without an application', FRESH, 'connect', [amf0Object({ tcUrl: 'rtmp://h/live' })]],
    ['connect with a number for an application', FRESH, 'connect', [amf0Object({ app: 7 })]],
    ['a second connect', CONNECTED, 'connect', [amf0Object({ app: 'live' })]],
    ['createStream before connect', FRESH, 'createStream', [null]],
    ['a ninth createStream', { ...CONNECTED, streamCount: 8 }, 'createStream', [null]],
    ['publish before connect', FRESH, 'publish', [null, 'key', 'live']],
    ['publish before createStream', CONNECTED, 'publish', [null, 'key', 'live']],
    ['publish without a name', READY, 'publish', [null]],
    ['publish with a number for a name', READY, 'publish', [null, 5]],
  ])('refuses %s', (_what, phase, name, args) => {
    expect(decide(phase, name, ...args)).toEqual(INVALID);
  });

  it('parts the publish key from its query', () => {
    const expected = { kind: 'publish', app: 'live', key: 'k', query: 'a=1?b' };
    expect(decide(READY, 'publish', null, 'k?a=1?b', 'live')).toEqual(expected);
    expect(decide(READY, 'publish', null, 'k')).toEqual({ ...expected, query: '' });
  });

  it('refuses a second publish on one connection', () => {
    expect(decide(PUBLISHING, 'publish', null, 'k')).toEqual({ kind: 'fail', reason: 'second_publish' });
  });

  it.each(['FCUnpublish', 'deleteStream', 'closeStream'])(
    'takes %s as the goodbye of a publisher only',
    (name) => {
      expect(decide(PUBLISHING, name, null, 1)).toEqual({ kind: 'unpublish' });
      expect(decide(READY, name, null, 1)).toEqual({ kind: 'ignore' });
    },
  );

  it.each(['getStreamLength', '_checkbw', '__proto__', 'constructor', 'toString', ''])(
    'does not know %j',
    (name) => {
      expect(decide(READY, name)).toEqual({ kind: 'unknown' });
    },
  );

  it.each(['_result', '_error', 'onStatus'])('lets the answer %s go by', (name) => {
    expect(decide(FRESH, name)).toEqual({ kind: 'ignore' });
  });
});

describe('parseCommand', () => {
  const values = ['play', 4, null, 'name'];
  function command(type: number, payload: Buffer, limits = AMF0_LIMITS) {
    return parseCommand({ type, streamId: 0, timestamp: 0, payload }, limits);
  }

  it('keeps to the limits it is given', () => {
    const payload = Buffer.from(writeAmf0(['play', 4, null, 'n'.repeat(300)]));
    expect(command(MESSAGE.command, payload)).toBeDefined();
    expect(command(MESSAGE.command, payload, { ...AMF0_LIMITS, maxStringBytes: 299 })).toBeUndefined();
  });

  it('reads AMF0 commands, and those wrapped in an AMF3 message', () => {
    const expected = { name: 'play', transactionId: 4, args: [null, 'name'] };
    expect(command(MESSAGE.command, writeAmf0(values))).toEqual(expected);
    expect(command(MESSAGE.commandAmf3, Buffer.concat([Buffer.from([0]), writeAmf0(values)]))).toEqual(
      expected,
    );
  });

  it.each<[string, number, Buffer]>([
    ['nothing at all', MESSAGE.command, Buffer.alloc(0)],
    ['an empty AMF3 message', MESSAGE.commandAmf3, Buffer.alloc(0)],
    ['an AMF3 body', MESSAGE.commandAmf3, Buffer.from([0x11, 0])],
    ['a name that is a number', MESSAGE.command, writeAmf0([1, 1])],
    ['no transaction id', MESSAGE.command, writeAmf0(['connect'])],
    ['a transaction id of NaN', MESSAGE.command, writeAmf0(['connect', Number.NaN])],
    ['a negative transaction id', MESSAGE.command, writeAmf0(['connect', -1])],
    ['a text for a transaction id', MESSAGE.command, writeAmf0(['connect', '1'])],
    [
      'bad AMF behind a good start',
      MESSAGE.command,
      Buffer.concat([writeAmf0(['connect', 1]), Buffer.from([0x42])]),
    ],
  ])('refuses %s', (_what, type, payload) => {
    expect(command(type, payload)).toBeUndefined();
  });
});
