import type { InitFacts } from '../contracts.ts';
import { uuidText } from '../media/system-header.ts';
import type { BehaviourRule } from './behaviour-rules.ts';
import type { Placed } from './mpd-query.ts';
import { commonOf, protectionsFor } from './protection.ts';

/** What the MPD says of a Representation's encryption that its initialization segment does not. */
export function checkKey(
  { set, representation }: Placed,
  { tracks }: InitFacts,
): { readonly rule: BehaviourRule; readonly message: string }[] {
  const { place } = representation;
  const protections = protectionsFor(set, representation);
  const common = commonOf(protections);
  const track = tracks.find(({ protection }) => protection);
  if (!track?.protection) {
    const [said] = protections;
    if (!said || tracks.length === 0) return [];
    const message = `${place} has ContentProtection ${said.scheme}, its initialization segment is that of clear media`;
    return [{ rule: 'dash-protection-on-clear', message }];
  }
  const { scheme, encryption } = track.protection;
  if (protections.length === 0) {
    const message = `${place} has no ContentProtection, its initialization segment says ${scheme ?? 'encrypted'}`;
    return [{ rule: 'dash-protection-missing', message }];
  }
  const faults: { rule: BehaviourRule; message: string }[] = [];
  if (scheme !== undefined && common?.value !== undefined && common.value !== scheme && !common.isReference) {
    const message = `${place} is ${common.value} by its ContentProtection, its initialization segment says ${scheme}`;
    faults.push({ rule: 'dash-protection-mismatch', message });
  }
  if (encryption?.isProtected && common?.kids && !common.kids.includes(encryption.kid)) {
    const message = `${place} has default_KID ${common.kids.map(uuidText).join(' ')}, tenc ${uuidText(encryption.kid)}`;
    faults.push({ rule: 'dash-kid-mismatch', message });
  }
  return faults;
}
