import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ResumeRecord } from '../../state/resume-store.ts';
import {
  type DeviceReport,
  isHardlyBegun,
  isHeldBack,
  judgeReport,
  offlineEventMs,
  type ResumeRules,
  toContinue,
} from './resume-policy.ts';

const RULES: ResumeRules = { minWatchedMs: 10_000, completedPercent: 95 };
const NOW_MS = 1_795_348_800_000;

function report(more: Partial<DeviceReport> = {}): DeviceReport {
  return {
    ...{ title: 'film', device: 'tv', epoch: 5, seq: 2, positionMs: 60_000, durationMs: 100_000 },
    ...{ state: 'playing', force: false },
    ...more,
  };
}

function record(more: Partial<ResumeRecord> = {}): ResumeRecord {
  return {
    ...{ title: 'film', device: 'tv', epoch: 3, seq: 9, positionMs: 50_000, durationMs: 100_000 },
    ...{ state: 'paused', eventMs: NOW_MS, version: 1, isDeleted: false },
    ...more,
  };
}

describe('a report', () => {
  it.each([
    ['in the middle', { positionMs: 60_000 }, undefined, 'playing', 60_000],
    ['just before 95 %', { positionMs: 94_999 }, undefined, 'playing', 94_999],
    ['at 95 %', { positionMs: 95_000 }, undefined, 'completed', 0],
    ['at the credits', { positionMs: 80_000 }, 80_000, 'completed', 0],
    ['before the credits, past 95 %', { positionMs: 97_000 }, 98_000, 'playing', 97_000],
    ['that says so', { positionMs: 5, state: 'completed' }, undefined, 'completed', 0],
    ['past the end', { positionMs: 170_000 }, undefined, 'completed', 0],
    ['of unknown duration', { durationMs: 0, positionMs: 170_000 }, undefined, 'playing', 170_000],
  ] as const)('%s is stored as the table says', (_name, more, creditsMs, state, positionMs) => {
    const judged = judgeReport(report(more), { creditsMs }, RULES, NOW_MS);
    expect([judged.state, judged.positionMs, judged.eventMs]).toEqual([state, positionMs, NOW_MS]);
  });

  it.each([
    ['of a new gesture at the beginning', {}, record(), true],
    ['that was forced', { force: true }, record(), false],
    ['ten seconds in', { positionMs: 10_000 }, record(), false],
    ['of the same gesture: the viewer went back', { epoch: 3, seq: 10 }, record(), false],
    ['where nothing was', {}, undefined, false],
    ['where what was is deleted', {}, record({ isDeleted: true }), false],
    ['that stops', { state: 'stopped' }, record(), true],
    ['that is completed', { state: 'completed' }, record(), false],
  ] as const)('%s is opened and closed or not', (_name, more, current, held) => {
    const given = report({ positionMs: 4000, ...more });
    const judged = judgeReport(given, { creditsMs: undefined }, RULES, NOW_MS);
    expect(isHardlyBegun(judged, given, RULES) && isHeldBack(judged, current)).toBe(held);
  });

  it('of an offline device is never from the future, nor from before its claim, whatever clocks say', () => {
    const ms = fc.integer({ min: 0, max: 4e12 });
    fc.assert(
      fc.property(ms, ms, ms, fc.option(ms, { nil: undefined }), (atMs, clientNowMs, nowMs, claimedMs) => {
        const eventMs = offlineEventMs({ atMs, claimedMs }, clientNowMs, nowMs);
        expect(eventMs).toBeLessThanOrEqual(nowMs);
        expect(eventMs).toBeGreaterThanOrEqual(Math.min(claimedMs ?? 0, nowMs));
        const moved = atMs + nowMs - clientNowMs;
        if (moved <= nowMs && moved >= (claimedMs ?? 0)) expect(eventMs).toBe(moved);
      }),
    );
  });

  it('is always within its title, and never completed with a position', () => {
    const count = fc.integer({ min: 0, max: 1e9 });
    fc.assert(
      fc.property(count, count, fc.option(count, { nil: undefined }), (positionMs, durationMs, creditsMs) => {
        const judged = judgeReport(report({ positionMs, durationMs }), { creditsMs }, RULES, NOW_MS);
        if (durationMs > 0) expect(judged.positionMs).toBeLessThanOrEqual(durationMs);
        if (judged.state === 'completed') expect(judged.positionMs).toBe(0);
      }),
    );
  });
});

describe('what to continue', () => {
  it('is the newest first, without what is deleted, completed or hardly begun', () => {
    const records = [
      record({ title: 'old', eventMs: 1 }),
      record({ title: 'gone', isDeleted: true }),
      record({ title: 'done', state: 'completed', positionMs: 0 }),
      record({ title: 'opened', positionMs: 9_999 }),
      record({ title: 'new', eventMs: 2 }),
    ];
    expect(toContinue(records, RULES).map(({ title }) => title)).toEqual(['new', 'old']);
  });
});
