import type { LiveState, LiveWindow, Period, Rendition } from '../stream/live-window.ts';
import type { Track } from '../stream/track.ts';

/** One stream as the control API needs it from the rest of the server. */
export interface StreamStatus {
  readonly id: string;
  /** `idle`: it has a publish key but nobody has published since the server started. */
  readonly state: LiveState | 'idle';
  /** The one on air, if any, first. */
  readonly publishers: readonly PublisherStatus[];
  readonly window: LiveWindow | undefined;
  /** Undefined when the stream has none. */
  readonly encoder: EncoderStatus | undefined;
}

/** What makes a stream's encoded rungs. */
export interface EncoderStatus {
  /** `degraded`: it failed again and again, and viewers have the source alone. `off`: nothing is to be encoded. */
  readonly state: 'running' | 'starting' | 'degraded' | 'off';
  /** Best first. */
  readonly rungs: readonly {
    readonly id: string;
    readonly width: number;
    readonly height: number;
    readonly bitrateBps: number;
  }[];
  /** Ids of rungs left out because encoding them was too slow. */
  readonly shed: readonly string[];
  readonly restarts: number;
  /** How far the slowest rung is behind the source, milliseconds. */
  readonly lagMs: number;
  /** Stable code of why nothing is encoded, or of why the last encoder was replaced. */
  readonly lastCode: string | undefined;
}

/** Who publishes now, and since when. */
export interface PublisherStatus {
  readonly protocol: string;
  readonly role: 'primary' | 'backup';
  /** Whether viewers get what it sends; else it warms up or stands by. */
  readonly onAir: boolean;
  /** As in the log. */
  readonly session: string;
  readonly remoteAddress: string;
  /** Wall-clock ms. */
  readonly sinceMs: number;
  /** How its connection does, when it comes over SRT. */
  readonly srt?: SrtLinkStatus | undefined;
}

/** An SRT connection from the side that receives. Counts since it began; rates of the last whole second. */
export interface SrtLinkStatus {
  /** Negotiated: how long a missing packet is waited for. */
  readonly latencyMs: number;
  readonly rttMs: number;
  /** Payload that comes, with what is sent again. */
  readonly bitrateBps: number;
  /** Acknowledgements and loss reports that go back. */
  readonly returnBitrateBps: number;
  readonly packets: number;
  readonly bytes: number;
  /** Packets that were found missing; most of them come when they are sent again. */
  readonly lost: number;
  readonly retransmitted: number;
  readonly duplicate: number;
  /** Came after they were needed. */
  readonly belated: number;
  /** Never came in time: holes in the stream. */
  readonly dropped: number;
  readonly undecrypted: number;
  readonly naksSent: number;
  /** Payload held behind missing packets. */
  readonly bufferedBytes: number;
}

/** What the control API asks the server about streams. */
export interface StreamDirectory {
  /** Every known stream, by id. */
  streams(): readonly StreamStatus[] | Promise<readonly StreamStatus[]>;
  /**
   * Disconnects the publisher of a stream.
   * @throws AppError STREAM_NOT_FOUND or STREAM_OFFLINE when nobody is publishing it
   */
  kick(stream: string): void;
}

/** Changes publish keys. Whoever publishes by a key that stops counting is disconnected by it. */
export interface KeyKeeper {
  /** Gives a stream a new publish key. @throws AppError STREAM_NOT_FOUND */
  rotate(stream: string): Promise<string>;
  /** Takes a stream's publish key back. @throws AppError STREAM_NOT_FOUND */
  revoke(stream: string): Promise<void>;
  /** The SRT passphrase of a stream that has a publish key. */
  srtPassphrase(stream: string): Promise<string | undefined>;
}

/** The JSON of one stream, `Stream` in the OpenAPI document. */
export function renderStream(status: StreamStatus): object {
  const { id, state, publishers, window, encoder } = status;
  const [publisher] = publishers;
  const period = window?.periods.at(-1);
  return {
    id,
    state,
    playable: window?.published ?? false,
    publisher: publisher ? renderPublisher(publisher) : null,
    publishers: publishers.map(renderPublisher),
    tracks: sourceTracks(period).map(renderTrack),
    renditions: (window?.renditions ?? []).map((rendition) => renderRendition(rendition, period)),
    encoder: encoder ? renderEncoder(encoder) : null,
    urls: { page: `/live/${id}/`, hls: `/live/${id}/index.m3u8`, dash: `/live/${id}/index.mpd` },
  };
}

/** What the publisher sends now; encoded rungs are renditions only. */
function sourceTracks(period: Period | undefined): Track[] {
  return ['video', 'audio'].map((id) => period?.tracks.get(id)).filter((track) => track !== undefined);
}

function renderPublisher({
  protocol,
  role,
  onAir,
  session,
  remoteAddress,
  sinceMs,
  srt,
}: PublisherStatus): object {
  return { protocol, role, onAir, session, remoteAddress, sinceMs, ...(srt && { srt: renderSrtLink(srt) }) };
}

function renderSrtLink(link: SrtLinkStatus): object {
  return {
    latencyMs: link.latencyMs,
    rttMs: Math.round(link.rttMs * 10) / 10,
    receiveBps: Math.round(link.bitrateBps),
    sendBps: Math.round(link.returnBitrateBps),
    receivedPackets: link.packets,
    receivedBytes: link.bytes,
    lostPackets: link.lost,
    retransmittedPackets: link.retransmitted,
    duplicatePackets: link.duplicate,
    belatedPackets: link.belated,
    droppedPackets: link.dropped,
    undecryptedPackets: link.undecrypted,
    lossReportsSent: link.naksSent,
    bufferedBytes: link.bufferedBytes,
  };
}

function renderTrack(track: Track): object {
  if (track.kind === 'audio') {
    return { kind: 'audio', codec: track.codecString, sampleRate: track.timescale, channels: track.channels };
  }
  const { frameTicks } = track.cadence;
  return {
    kind: 'video',
    codec: track.codecString,
    width: track.width,
    height: track.height,
    frameRate: frameTicks === undefined ? null : Math.round((track.timescale / frameTicks) * 1000) / 1000,
  };
}

function renderEncoder({ state, rungs, shed, restarts, lagMs, lastCode }: EncoderStatus): object {
  return {
    state,
    rungs: rungs.map(({ id, width, height, bitrateBps }) => ({ id, width, height, bitrateBps })),
    shed,
    restarts,
    lagMs,
    lastCode: lastCode ?? null,
  };
}

function renderRendition(rendition: Rendition, period: Period | undefined): object {
  return {
    id: rendition.id,
    codec: period?.tracks.get(rendition.id)?.codecString ?? null,
    firstNumber: rendition.firstListed,
    lastNumber: rendition.segments.at(-1)?.number ?? rendition.firstListed,
    averageBps: rendition.averageBps,
    peakBps: rendition.peakBps,
  };
}
