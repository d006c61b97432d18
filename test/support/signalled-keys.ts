import type { ContentKey } from '../../src/drm/content-key.ts';
import { type SignallingOptions, signalledSystems } from '../../src/drm/signalling.ts';
import type { TrackProtection } from '../../src/media/protection.ts';
import { FakeKeys } from './fake-keys.ts';

const SIGNALLING: SignallingOptions = {
  systems: ['clearkey', 'widevine', 'playready', 'fairplay'],
  licenseUrls: { clearkey: '/license/clearkey', widevine: '/license/widevine' },
  widevineProvider: '',
};

/** Keys that can be told, with all that players of each DRM system are told of them. */
export class SignalledKeys extends FakeKeys {
  override protection(key: ContentKey): TrackProtection {
    const { scheme } = this;
    return {
      ...super.protection(key),
      systems: signalledSystems({ scheme, kid: key.kid, contentId: 'film' }, SIGNALLING),
    };
  }
}
