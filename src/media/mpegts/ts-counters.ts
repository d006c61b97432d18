/** What can be wrong with a transport stream, below the level of pictures and sound. A closed set: a metric label. */
export const TS_FAULTS = [
  /** No sync byte where a packet must begin. */
  'sync_loss',
  /** A packet with transport_error_indicator: dropped. */
  'transport_error',
  /** A scrambled packet or PES packet: dropped. */
  'scrambled',
  /** The continuity counter jumped without a discontinuity_indicator: packets are missing. */
  'continuity',
  /** The owner knows that bytes are missing (`TsDemuxer.gap`). */
  'gap',
  /** An adaptation field longer than its packet. */
  'adaptation_field',
  'section_crc',
  /** A section longer than 4096 bytes, or shorter than what it must have. */
  'section_size',
  /** A program map or PAT section whose CRC is right and whose content is not. */
  'section_syntax',
  /** More programs, or more streams in the program, than are looked at. */
  'program_limit',
  'stream_limit',
  'pes_header',
  /** A PES packet ended before its PES_packet_length. */
  'pes_truncated',
  /** More bytes of one PES packet or access unit than may be held. */
  'pes_too_large',
  /** A PES packet went on after its length or stuffing had said that it was over. */
  'end_hint_wrong',
] as const;
export type TsFault = (typeof TS_FAULTS)[number];

/** Why an access unit, an audio frame or an event was not handed on. A closed set: a metric label. */
export const TS_DROP_CAUSES = [
  /** Bytes of it are missing or wrong. */
  'damaged',
  /** No presentation time, and none could be worked out. */
  'no_timestamp',
  /** An access unit without a picture. */
  'no_picture',
  /** A picture before its random access point in presentation whose reference pictures were never received. */
  'leading',
  /** More NAL units than an access unit may have. */
  'too_many_units',
  /** A form of its codec that is not carried: ADTS with several blocks, LATM with several layers. */
  'unsupported_form',
  /** The frame in which the sound first has other parameters: dropped until a second one says the same. */
  'unconfirmed_config',
] as const;
export type TsDropCause = (typeof TS_DROP_CAUSES)[number];

export const TS_MEDIA_KINDS = ['video', 'audio', 'data'] as const;
export type TsMediaKind = (typeof TS_MEDIA_KINDS)[number];

/** Counts since the demuxer was made, for the owner to publish as metrics. They only grow. */
export class TsCounters {
  packets = 0;
  /** Bytes that were passed over in search of packets. */
  skippedBytes = 0;
  /** Packets sent twice, which is allowed (ISO/IEC 13818-1 2.4.3.3): the second is not used. */
  duplicatePackets = 0;
  /** Video access units handed on as soon as their last byte came, and those that waited for the next to begin. */
  earlyAccessUnits = 0;
  lateAccessUnits = 0;
  /** Parameter sets left inside a sample because they changed away from a key frame. */
  inBandParameterSets = 0;
  readonly faults: Record<TsFault, number> = zeros(TS_FAULTS);
  readonly dropped: Record<TsMediaKind, Record<TsDropCause, number>> = {
    video: zeros(TS_DROP_CAUSES),
    audio: zeros(TS_DROP_CAUSES),
    data: zeros(TS_DROP_CAUSES),
  };

  fault(fault: TsFault): void {
    this.faults[fault]++;
  }

  drop(kind: TsMediaKind, cause: TsDropCause): void {
    this.dropped[kind][cause]++;
  }
}

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}
