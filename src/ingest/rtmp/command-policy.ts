import { type Amf0Value, isAmf0Object } from '../../media/amf0.ts';
import type { CloseReason } from './close-reason.ts';
import type { RtmpCommand } from './command.ts';

/** What a peer has done so far, as far as it decides which commands it may send. */
export interface CommandPhase {
  /** The application it connected to; undefined before `connect`. */
  readonly app: string | undefined;
  /** Message streams it has created. */
  readonly streamCount: number;
  readonly publishing: boolean;
}

/** What to do about a command. */
export type CommandAction =
  /** `enhanced`: the peer said in its connect that it knows Enhanced RTMP. */
  | { readonly kind: 'connect'; readonly app: string; readonly enhanced: boolean }
  | { readonly kind: 'create-stream' }
  /** Answer `_result` with nothing in it. */
  | { readonly kind: 'acknowledge' }
  | { readonly kind: 'publish'; readonly app: string; readonly key: string; readonly query: string }
  | { readonly kind: 'unpublish' }
  | { readonly kind: 'refuse-play' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'ignore' }
  | { readonly kind: 'fail'; readonly reason: CloseReason };

type Decide = (phase: CommandPhase, command: RtmpCommand) => CommandAction;

/** Message streams one connection may create; senders need one. */
const MAX_STREAMS = 8;

const INVALID: CommandAction = { kind: 'fail', reason: 'command_invalid' };
const IGNORE: CommandAction = { kind: 'ignore' };
const REFUSE_PLAY: CommandAction = { kind: 'refuse-play' };

/** What a peer that knows Enhanced RTMP (v1 or v2) says of itself when it connects. */
const ENHANCED_PROPERTIES = ['fourCcList', 'videoFourCcInfoMap', 'audioFourCcInfoMap', 'capsEx'] as const;

/** A Map, so that a command called `constructor` is just an unknown one. */
const COMMANDS = new Map<string, Decide>([
  ['connect', decideConnect],
  ['releaseStream', () => ({ kind: 'acknowledge' })],
  ['FCPublish', () => ({ kind: 'acknowledge' })],
  ['createStream', decideCreateStream],
  ['publish', decidePublish],
  ['FCUnpublish', decideUnpublish],
  ['deleteStream', decideUnpublish],
  ['closeStream', decideUnpublish],
  ['play', () => REFUSE_PLAY],
  ['play2', () => REFUSE_PLAY],
  // Answers to calls we never make: answering them with an error could go round for ever.
  ['_result', () => IGNORE],
  ['_error', () => IGNORE],
  ['onStatus', () => IGNORE],
]);

/** Decides about one command. Pure. */
export function decideCommand(phase: CommandPhase, command: RtmpCommand): CommandAction {
  const decide = COMMANDS.get(command.name);
  return decide === undefined ? { kind: 'unknown' } : decide(phase, command);
}

function decideConnect(phase: CommandPhase, { args }: RtmpCommand): CommandAction {
  const [properties] = args;
  if (phase.app !== undefined || !isAmf0Object(properties)) return INVALID;
  const app = properties.get('app');
  if (typeof app !== 'string') return INVALID;
  const enhanced = ENHANCED_PROPERTIES.some((name) => properties.has(name));
  return { kind: 'connect', app: appName(app), enhanced };
}

/** `live/?token=…` is the application `live`: senders copy whatever follows the host into it. */
function appName(app: string): string {
  return (app.split('?', 1)[0] ?? '').replace(/\/+$/, '');
}

function decideCreateStream(phase: CommandPhase): CommandAction {
  return phase.app === undefined || phase.streamCount >= MAX_STREAMS ? INVALID : { kind: 'create-stream' };
}

function decidePublish(phase: CommandPhase, { args }: RtmpCommand): CommandAction {
  if (phase.publishing) return { kind: 'fail', reason: 'second_publish' };
  const name: Amf0Value = args[1];
  if (phase.app === undefined || phase.streamCount === 0 || typeof name !== 'string') return INVALID;
  const queryAt = name.indexOf('?');
  const key = queryAt < 0 ? name : name.slice(0, queryAt);
  return { kind: 'publish', app: phase.app, key, query: queryAt < 0 ? '' : name.slice(queryAt + 1) };
}

function decideUnpublish(phase: CommandPhase): CommandAction {
  return phase.publishing ? { kind: 'unpublish' } : IGNORE;
}
