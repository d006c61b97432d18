import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { validateXML } from 'xmllint-wasm';
import { decidePatch, MpdHistory, type MpdSnapshot } from '../../src/packager/dash/mpd-history.ts';
import { DEFAULT_AUDIO, DEFAULT_VIDEO, type ModelOptions, WindowModel } from '../support/window-model.ts';

/**
 * Every MPD and patch of a stream's life against our own schemas, by libxml2, and against MPEG's as well when
 * MPEG_DASH_XSD names a folder that has them (test/support/xsd/README.md).
 */

interface SchemaFile {
  readonly fileName: string;
  readonly contents: string;
}

interface Schema {
  readonly main: SchemaFile;
  /** What the main file imports or includes; libxml2 finds them by their file names. */
  readonly imports: readonly SchemaFile[];
}

function ownSchema(fileName: string): Schema {
  const url = new URL(`../support/xsd/${fileName}`, import.meta.url);
  return { main: { fileName, contents: readFileSync(url, 'utf8') }, imports: [] };
}

/** A schema of MPEG's, or undefined when the folder has no such file. Its imports are looked for beside it, not on the net. */
function mpegSchema(folder: string, fileName: string): Schema | undefined {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.xsd'))
    .map((name) => ({ fileName: name, contents: localImports(readFileSync(join(folder, name), 'utf8')) }));
  const main = files.find((file) => file.fileName === fileName);
  return main && { main, imports: files.filter((file) => file !== main) };
}

function localImports(xsd: string): string {
  return xsd.replaceAll(/(\bschemaLocation\s*=\s*["'])[^"']*\/([^"'/]+)/g, '$1$2');
}

const MPD_SCHEMA = ownSchema('mpd-subset.xsd');
const PATCH_SCHEMA = ownSchema('mpd-patch-subset.xsd');

async function errors(schema: Schema, documents: readonly string[]): Promise<string[]> {
  const xml = documents.map((contents, i) => ({ fileName: `${i}.xml`, contents }));
  const result = await validateXML({ xml, schema: [schema.main], preload: schema.imports });
  return result.errors.map((error) => error.message);
}

const BROADCASTS: readonly (readonly [string, ModelOptions])[] = [
  ['video and audio', { video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO, windowSeconds: 24 }],
  [
    '59.94 fps and 44.1 kHz',
    {
      video: { frameTicks: 1501.5, segmentFrames: 119, partFrames: 20 },
      audio: { sampleRate: 44_100, partFrames: 14 },
      windowSeconds: 24,
    },
  ],
  ['a variable frame rate', { video: { ...DEFAULT_VIDEO, variable: true }, windowSeconds: 24 }],
  ['audio alone', { audio: DEFAULT_AUDIO, windowSeconds: 24 }],
];

/** All MPDs that a run publishes, and a patch from each to each of the next few. */
function publish(options: ModelOptions): { mpds: string[]; patches: string[] } {
  const window = new WindowModel(options);
  const history = new MpdHistory({ clockUrl: '/time', patch: { name: 'patch.mpp', ttlSeconds: 60 } });
  const snapshots: MpdSnapshot[] = [];
  const patches: string[] = [];
  window.onChange = () => {
    if (!window.published) return;
    const now = history.current(window);
    if (now === snapshots.at(-1)) return;
    for (const old of snapshots.slice(-3)) {
      const decision = decidePatch(history, window, old.publishTime);
      if (decision.kind === 'patch') patches.push(decision.xml);
    }
    snapshots.push(now);
  };
  window
    .run(9000)
    .splice(4000, { plannedSeconds: 30 })
    .run(2000)
    .away()
    .run(5000)
    .resume(640)
    .run(7000)
    .reanchor(2)
    .splice(0, { durationSeconds: 5 })
    .run(6000);
  window.dependentNext = true;
  window.run(5000).away().run(33_000).resume().run(30_000).end();
  return { mpds: snapshots.map((snapshot) => snapshot.xml), patches };
}

describe.each(BROADCASTS)('the MPDs of %s', (_name, options) => {
  it('keep to the schema over the life of the stream, and so do their patches', async () => {
    const { mpds, patches } = publish(options);
    expect(mpds.length).toBeGreaterThan(5);
    expect(patches.length).toBeGreaterThan(10);
    expect(await errors(MPD_SCHEMA, mpds)).toEqual([]);
    expect(await errors(PATCH_SCHEMA, patches)).toEqual([]);
  });
});

describe('the schema', () => {
  it.each([
    [
      'elements out of order',
      (xml: string) =>
        xml.replace(
          /( <ServiceDescription[\s\S]*?<\/ServiceDescription>\n)([\s\S]*?)( <UTCTiming)/,
          '$2$1$3',
        ),
    ],
    [
      'an infinite availabilityTimeOffset',
      (xml: string) => xml.replace(/availabilityTimeOffset="[^"]*"/, 'availabilityTimeOffset="INF"'),
    ],
    [
      'a missing availabilityTimeComplete',
      (xml: string) => xml.replace(' availabilityTimeComplete="false"', ''),
    ],
    [
      'a duration in minutes',
      (xml: string) => xml.replace(/timeShiftBufferDepth="[^"]*"/, 'timeShiftBufferDepth="PT1M"'),
    ],
    [
      'a fractional segment duration',
      (xml: string) => xml.replace(/ duration="180000"/, ' duration="180000.5"'),
    ],
    ['a period twice', (xml: string) => xml.replace(/( <Period [\s\S]*?<\/Period>\n)/, '$1$1')],
  ])('refuses %s', async (_what, spoil) => {
    const [good] = publish({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO }).mpds;
    const spoilt = spoil(good ?? '');
    expect(spoilt).not.toBe(good);
    expect(await errors(MPD_SCHEMA, [spoilt])).not.toEqual([]);
  });
});

const MPEG_FOLDER = process.env['MPEG_DASH_XSD'];

if (MPEG_FOLDER) {
  const mpdSchema = mpegSchema(MPEG_FOLDER, 'DASH-MPD.xsd');
  const patchSchema = mpegSchema(MPEG_FOLDER, 'DASH-MPD-PATCH.xsd');
  if (!mpdSchema) throw new Error(`MPEG_DASH_XSD: ${MPEG_FOLDER} has no DASH-MPD.xsd`);

  describe("MPEG's schema", () => {
    it.each(BROADCASTS)('accepts every MPD of %s', async (_name, options) => {
      expect(await errors(mpdSchema, publish(options).mpds)).toEqual([]);
    });

    it('refuses elements out of order and a missing required attribute', async () => {
      const [good = ''] = publish({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO }).mpds;
      const reordered = good.replace(/( <Period [\s\S]*<\/Period>\n)([\s\S]*)(<\/MPD>)/, '$2$1$3');
      const incomplete = good.replace(/ minBufferTime="[^"]*"/, '');
      for (const bad of [reordered, incomplete]) {
        expect(bad).not.toBe(good);
        expect(await errors(mpdSchema, [bad])).not.toEqual([]);
      }
    });

    if (patchSchema) {
      it.each(BROADCASTS)('accepts every patch of %s', async (_name, options) => {
        expect(await errors(patchSchema, publish(options).patches)).toEqual([]);
      });
    }
  });
}
