import type { Config } from '../config.ts';
import { reachableHost } from './reachable-host.ts';

/** The stream of the test broadcast, and the one made for whoever tries the demo. */
export const DEMO_STREAM = 'demo';
export const OWN_STREAM = 'my-stream';

/** The part of `PublishKeys` that a demo needs. */
export interface DemoKeys {
  list(): Promise<readonly { readonly stream: string }[]>;
  create(stream: string): Promise<string>;
  rotate(stream: string): Promise<string>;
}

/** Publish keys for a demo. */
export interface PreparedKeys {
  /** Key of the test broadcast: new at every start, as only its hash was kept. */
  readonly demo: string;
  /** Key of the visitor's own stream; undefined when it was made, and shown, at an earlier start. */
  readonly own: string | undefined;
}

/** Makes what is missing; the visitor's key is never changed behind their back. */
export async function prepareKeys(keys: DemoKeys): Promise<PreparedKeys> {
  const known = new Set((await keys.list()).map(({ stream }) => stream));
  return {
    demo: known.has(DEMO_STREAM) ? await keys.rotate(DEMO_STREAM) : await keys.create(DEMO_STREAM),
    own: known.has(OWN_STREAM) ? undefined : await keys.create(OWN_STREAM),
  };
}

interface BannerInput {
  readonly config: Config;
  /** The real ports. */
  readonly ports: { readonly rtmp: number; readonly http: number };
  /** Of an encrypted demo: the port that gives licences, and a login for whoever tries it. */
  readonly login?: { readonly controlPort: number; readonly token: string } | undefined;
  /** Where to push the visitor's own stream; `undefined` when its key was shown at an earlier start. */
  readonly ownKey: string | undefined;
}

/** What `serve --demo` tells people, a line each. */
export function renderBanner({ config, ports, ownKey, login }: BannerInput): string[] {
  const web = `http://${reachableHost(config.http.host)}:${ports.http}/live`;
  const rtmp = `rtmp://${reachableHost(config.rtmp.host)}:${ports.rtmp}/live`;
  const publish =
    ownKey === undefined
      ? [
          `  publish   ${rtmp}/<the key shown at the first start>`,
          `            (lost it? node dist/main.js stream rotate-key ${OWN_STREAM})`,
        ]
      : [
          `  publish   ${rtmp}/${ownKey}`,
          ...(config.ingest.auth !== 'none' ? ['            (the key is shown this once)'] : []),
        ];
  return [
    '',
    'Headwater is running, with a test broadcast.',
    '',
    ...(login ? protectedLines(config, login) : [`  watch     ${web}/${DEMO_STREAM}/`]),
    `  LL-HLS    ${web}/${DEMO_STREAM}/index.m3u8`,
    `  LL-DASH   ${web}/${DEMO_STREAM}/index.mpd`,
    '',
    'A stream of your own:',
    '',
    ...publish,
    login
      ? `  watch     ${pageOf(config, login.controlPort, OWN_STREAM)} (in the same tab, for the login)`
      : `  watch     ${web}/${OWN_STREAM}/`,
    '',
    'Ctrl-C stops it.',
    '',
  ];
}

/** The login stands in the fragment of the address: browsers keep it to themselves. */
function protectedLines(
  config: Config,
  { controlPort, token }: { readonly controlPort: number; readonly token: string },
): string[] {
  return [
    `Encrypted (${config.drm.scheme}, new keys every ${config.drm.rotationSeconds} s). Whoever has this address may watch for 12 hours:`,
    '',
    `  watch     ${pageOf(config, controlPort, DEMO_STREAM)}#login=${token}`,
  ];
}

/** Of an encrypted stream: on the port that gives licences. */
function pageOf({ control }: Config, controlPort: number, stream: string): string {
  return `http://${reachableHost(control.host)}:${controlPort}/live/${stream}/`;
}
