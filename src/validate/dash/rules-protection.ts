import { uuidText } from '../media/system-header.ts';
import { type DocumentRule, when } from './document-rule.ts';
import type { Mpd } from './mpd-model.ts';
import { placedRepresentations, placedSets } from './mpd-query.ts';
import {
  COMMON_SCHEME,
  commonOf,
  type ContentProtection,
  protectionsFor,
  protectionsOf,
} from './protection.ts';

const SCHEMES = ['cenc', 'cbc1', 'cens', 'cbcs'];

/** ContentProtection of one level, and where that is. */
interface Said {
  readonly place: string;
  readonly protections: readonly ContentProtection[];
}

/** Every AdaptationSet and Representation that says something of its encryption. */
function everySaid(mpd: Mpd): Said[] {
  const sets = placedSets(mpd).map(({ set, place }) => ({ place, protections: protectionsOf(set) }));
  const own = placedRepresentations(mpd).map(({ representation }) => ({
    place: representation.place,
    protections: protectionsOf(representation),
  }));
  return [...sets, ...own].filter(({ protections }) => protections.length > 0);
}

/** Each common descriptor that is written out here. */
function everyCommon(mpd: Mpd): { place: string; common: ContentProtection }[] {
  return everySaid(mpd).flatMap(({ place, protections }) =>
    protections
      .filter(({ scheme, isReference }) => scheme === COMMON_SCHEME && !isReference)
      .map((common) => ({ place, common })),
  );
}

/** Rules about ContentProtection. */
export const PROTECTION_RULES: readonly DocumentRule[] = [
  {
    rule: 'dash-default-kid',
    severity: 'error',
    clause: 'ISO/IEC 23001-7 11.2.1; DASH-IF IOP 7.5.2',
    find: (mpd) =>
      everyCommon(mpd).flatMap(({ place, common: { defaultKid, kids } }) => {
        if (defaultKid === undefined) return [`${place} has mp4protection without cenc:default_KID`];
        return when(kids === undefined, `${place} has cenc:default_KID ${defaultKid}, which is no UUID`);
      }),
  },
  {
    rule: 'dash-protection-scheme',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.8.5.2; ISO/IEC 23001-7 11.1',
    find: (mpd) =>
      everyCommon(mpd).flatMap(({ place, common: { value } }) =>
        when(
          value === undefined || !SCHEMES.includes(value),
          `${place} has mp4protection with the value ${value ?? '(none)'}, which is no scheme of Common Encryption`,
        ),
      ),
  },
  {
    rule: 'dash-protection-common-missing',
    severity: 'error',
    clause: 'ISO/IEC 23009-1 5.8.5.2; DASH-IF IOP 7.5.2',
    find: (mpd) =>
      placedRepresentations(mpd).flatMap(({ set, representation }) => {
        const all = protectionsFor(set, representation);
        const system = all.find(({ systemId }) => systemId !== undefined);
        return when(
          system !== undefined && !commonOf(all),
          `${representation.place} has ContentProtection ${system?.scheme}, but none of ${COMMON_SCHEME}`,
        );
      }),
  },
  {
    rule: 'dash-set-kids',
    severity: 'error',
    clause: 'DASH-IF IOP 7.5.2, 7.7',
    find: (mpd) =>
      placedSets(mpd).flatMap(({ set, place }) => {
        const kids = new Set(set.representations.map((each) => kidText(commonOf(protectionsFor(set, each)))));
        return when(
          kids.size > 1,
          `${place} has Representations with different keys: ${[...kids].join(', ')}`,
        );
      }),
  },
  {
    rule: 'dash-pssh',
    severity: 'error',
    clause: 'ISO/IEC 23001-7 8.1, 11.2.2',
    find: (mpd) => everySaid(mpd).flatMap(({ place, protections }) => findBadHeaders(place, protections)),
  },
  {
    rule: 'dash-protection-differs',
    severity: 'warning',
    clause: 'DASH-IF IOP 7.7.1',
    find: (mpd) => findDifferent(mpd),
  },
];

function kidText(common: ContentProtection | undefined): string {
  return common?.kids?.map(uuidText).join(' ') ?? common?.defaultKid ?? 'none';
}

function findBadHeaders(place: string, protections: readonly ContentProtection[]): string[] {
  const kids = commonOf(protections)?.kids;
  return protections.flatMap(({ headers, systemId, scheme }) =>
    headers.flatMap((header) => {
      const what = `${place}: the cenc:pssh of ${scheme}`;
      if (typeof header === 'string') return [`${what} ${header}`];
      if (systemId !== undefined && header.systemId !== systemId) {
        return [`${what} is of the system ${uuidText(header.systemId)}`];
      }
      const lacking = kids?.find((kid) => header.kids !== undefined && !header.kids.includes(kid));
      if (lacking === undefined) return [];
      return [
        `${what} is for ${header.kids?.map(uuidText).join(', ')}, not for default_KID ${uuidText(lacking)}`,
      ];
    }),
  );
}

/** Sets of one Period with one key must name the same systems with the same data: a player asks once. */
function findDifferent(mpd: Mpd): string[] {
  return mpd.periods.flatMap((period) => {
    const first = new Map<string, { place: string; said: string }>();
    return placedSets({ ...mpd, periods: [period] }).flatMap(({ set, place }) => {
      const protections = protectionsOf(set);
      const common = commonOf(protections);
      if (!common?.kids) return [];
      const key = common.kids.join(' ');
      const said = JSON.stringify(
        protections.map(({ scheme, data }) => JSON.stringify([scheme, data])).toSorted(),
      );
      const known = first.get(key);
      if (!known) first.set(key, { place, said });
      return when(
        known !== undefined && known.said !== said,
        `${place} has the key of ${known?.place}, but other systems or data`,
      );
    });
  });
}
