import type { PatSection, PmtSection } from './psi.ts';
import { streamKind } from './stream-kind.ts';
import type { TsCounters } from './ts-counters.ts';

/** Programs of a transport stream that are looked at; the rest are counted and passed over. */
export const MAX_PROGRAMS = 64;
/** How often a program without video may come before it is judged although other programs have not been seen. */
const PATIENCE = 3;

interface Program {
  readonly number: number;
  readonly pmtPid: number;
  map: PmtSection | undefined;
  /** The section {@link map} was read from. */
  section: Uint8Array | undefined;
  /** How often its map came. */
  seen: number;
}

/**
 * Follows the tables and says which program is taken: the one asked for, else the first whose map has a picture that
 * is carried, else the first with sound. A program once taken stays until it is gone from the association table.
 */
export class ProgramSelector {
  readonly #wanted: number | undefined;
  readonly #counters: TsCounters;
  #version: number | undefined;
  #transportStream: number | undefined;
  /** Sections of the association table under way. */
  #sections = new Map<number, PatSection>();
  #programs: Program[] = [];
  #selected: Program | undefined;

  constructor(wanted: number | undefined, counters: TsCounters) {
    this.#wanted = wanted;
    this.#counters = counters;
  }

  /** The map in force, once there is one. */
  get selected(): PmtSection | undefined {
    return this.#selected?.map;
  }

  /** The maps there are, once it is clear that none of them has anything that is carried. */
  get passedOver(): readonly PmtSection[] {
    if (this.#selected) return [];
    const maps = this.#programs.flatMap(({ map }) => map ?? []);
    const waited = this.#programs.some(({ seen }) => seen >= PATIENCE);
    return waited || maps.length === this.#programs.length ? maps : [];
  }

  /** PIDs on which program maps come. */
  get mapPids(): ReadonlySet<number> {
    return new Set(this.#programs.map(({ pmtPid }) => pmtPid));
  }

  /** Takes a section of the association table. True when the programs changed. */
  associate(pat: PatSection): boolean {
    if (pat.version !== this.#version || pat.transportStream !== this.#transportStream) {
      this.#version = pat.version;
      this.#transportStream = pat.transportStream;
      this.#sections = new Map();
    }
    const known = this.#sections.has(pat.section);
    this.#sections.set(pat.section, pat);
    if (known || this.#sections.size <= pat.lastSection) return false;
    this.#replacePrograms([...this.#sections.values()].flatMap(({ programs }) => programs));
    return true;
  }

  #replacePrograms(listed: readonly { readonly number: number; readonly pmtPid: number }[]): void {
    if (listed.length > MAX_PROGRAMS) this.#counters.fault('program_limit');
    this.#programs = listed.slice(0, MAX_PROGRAMS).map(
      ({ number, pmtPid }) =>
        this.#programs.find((program) => program.number === number && program.pmtPid === pmtPid) ?? {
          number,
          pmtPid,
          map: this.#programs.find((program) => program.number === number)?.map,
          section: undefined,
          seen: 0,
        },
    );
    const selected = this.#selected?.number;
    this.#selected = this.#programs.find(({ number }) => number === selected);
    this.#select();
  }

  /** Takes a program map that came on `pid`, and the section it was read from. True when the map in force changed. */
  map(pid: number, map: PmtSection, section: Uint8Array): boolean {
    const program = this.#programs.find(({ number, pmtPid }) => number === map.program && pmtPid === pid);
    if (!program) return false;
    const before = this.selected;
    if (!program.section || Buffer.compare(program.section, section) !== 0) {
      program.map = map;
      program.section = new Uint8Array(section);
    }
    program.seen++;
    this.#select();
    return this.selected !== before;
  }

  #select(): void {
    if (this.#selected) return;
    this.#selected =
      this.#wanted === undefined
        ? (this.#programs.find((program) => carries(program, 'video')) ?? this.#soundOnly())
        : this.#programs.find(({ number, map }) => number === this.#wanted && map !== undefined);
  }

  #soundOnly(): Program | undefined {
    const complete = this.#programs.every(({ map }) => map !== undefined);
    return this.#programs.find(
      (program) => carries(program, 'audio') && (complete || program.seen >= PATIENCE),
    );
  }
}

function carries({ map }: Program, kind: 'video' | 'audio'): boolean {
  return map?.streams.some((stream) => streamKind(stream).kind === kind) ?? false;
}
