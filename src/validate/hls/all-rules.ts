import { ANSWER_RULES } from './answer-rules.ts';
import { BANDWIDTH_RULES } from './bandwidth.ts';
import { DATE_BOARD_RULE } from './date-board.ts';
import { DATE_RANGE_RULES } from './date-range-rules.ts';
import { KEY_CHANGE_RULES, KEY_MEDIA_RULES, KEY_TEXT_RULES } from './key-rules.ts';
import { LIVE_RULES } from './live-rules.ts';
import { READER_RULES } from './media-reader.ts';
import { MEDIA_RULES } from './media-rules.ts';
import { MULTIVARIANT_RULES } from './multivariant-rules.ts';
import { PART_RULES } from './part-rules.ts';
import { PRESENTATION_RULES } from './presentation-rules.ts';
import { RELOAD_RULES } from './reload-rules.ts';
import { PART_MEDIA_RULES, SEGMENT_MEDIA_RULES } from './segment-rules.ts';
import { TEXT_RULES } from './text-rules.ts';

/** Names of every rule that an HLS presentation is judged by, those of its media bytes (`media-…`) left out. */
export const HLS_RULE_NAMES: readonly string[] = [
  ...TEXT_RULES,
  ...MULTIVARIANT_RULES,
  ...MEDIA_RULES,
  ...KEY_TEXT_RULES,
  ...KEY_MEDIA_RULES,
  ...KEY_CHANGE_RULES,
  ...PART_RULES,
  ...DATE_RANGE_RULES,
  ...RELOAD_RULES,
  ...PRESENTATION_RULES,
  ...ANSWER_RULES,
  ...SEGMENT_MEDIA_RULES,
  ...PART_MEDIA_RULES,
  ...Object.values(LIVE_RULES),
  ...Object.values(READER_RULES),
  ...BANDWIDTH_RULES,
  DATE_BOARD_RULE,
].map(({ rule }) => rule);
