import { describe, expect, it } from 'vitest';
import { cpuMs } from '../../test/support/cpu-time.ts';
import { parseSubrip } from './subrip.ts';
import { parseSubstation } from './substation.ts';
import { parseTtml } from './ttml.ts';
import { type Cue, type CueOutcome, moveCues, parseWebvtt, writeWebvtt } from './webvtt.ts';

const LIMITS = { maxCharacters: 10_000, maxCues: 5 };

function cuesOf(outcome: CueOutcome): readonly Cue[] {
  if (outcome.kind !== 'cues') throw new Error(outcome.reason);
  return outcome.cues;
}

function cue(startMs: number, endMs: number, text: string, settings = ''): Cue {
  return { startMs, endMs, text, settings };
}

describe('parseSubrip', () => {
  it('reads numbered cues, whatever the ends of the lines are, with a byte order mark before them', () => {
    const text =
      '\uFEFF1\r\n00:00:01,500 --> 00:00:02,000\r\nOne\r\nline\r\n\r\n2\r\n00:01:00,000 --> 00:01:01,5\r\nTwo\r\n';
    expect(cuesOf(parseSubrip(text))).toEqual([cue(1500, 2000, 'One\nline'), cue(60_000, 61_500, 'Two')]);
  });

  it('reads cues without numbers and hours, and with empty lines in their text', () => {
    const text = '00:01,000 --> 00:02,000\nOne\n\nmore\n\n00:03,000 --> 00:04,000\nTwo';
    expect(cuesOf(parseSubrip(text))).toEqual([cue(1000, 2000, 'One\nmore'), cue(3000, 4000, 'Two')]);
  });

  it('keeps a line that is a number and no number of a cue', () => {
    const text = '1\n00:00:01,000 --> 00:00:02,000\nIn the year\n1984\n2\n00:00:03,000 --> 00:00:04,000\nTwo';
    expect(cuesOf(parseSubrip(text))[0]?.text).toBe('In the year\n1984\n2');
  });

  it('keeps italics, bold and underline, closes what is left open, drops other tags, escapes the rest', () => {
    const text =
      '1\n00:00:01,000 --> 00:00:02,000\n<font color="red">A <i>b <b>c</i> d</font> <3 & <u>e\n<script>x</script>';
    expect(cuesOf(parseSubrip(text))[0]?.text).toBe('A <i>b <b>c</b></i><b> d &lt;3 &amp; <u>e\nx</u></b>');
  });

  it('keeps whether a cue stands above, in the middle or at a side', () => {
    const at = (alignment: number): string =>
      cuesOf(parseSubrip(`1\n00:00:01,000 --> 00:00:02,000\n{\\an${alignment}}{\\fs20}Up`))[0]?.settings ??
      '';
    expect([8, 2, 5, 7, 3].map(at)).toEqual(['line:0', '', 'line:50%', 'line:0 align:left', 'align:right']);
  });

  it('drops cues that end before they begin, and those over the limit, and counts them', () => {
    const one = (n: number): string => `${n}\n00:00:0${n},000 --> 00:00:0${n},500\nText ${n}\n\n`;
    const text = `0\n00:00:05,000 --> 00:00:04,000\nback\n\n${[1, 2, 3, 4, 5, 6, 7].map(one).join('')}`;
    const outcome = parseSubrip(text, LIMITS);
    expect(outcome).toMatchObject({ kind: 'cues', dropped: 3 });
    expect(cuesOf(outcome).length).toBe(5);
  });

  it('says that a text without times is none', () => {
    expect(parseSubrip('Dear Sir,\n')).toEqual({ kind: 'unreadable', reason: 'it has no times' });
    expect(parseSubrip('x'.repeat(20_000), LIMITS).kind).toBe('unreadable');
  });
});

describe('parseWebvtt', () => {
  it('reads cues with and without identifiers, and skips notes, styles and regions', () => {
    const text =
      'WEBVTT - a title\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\nSTYLE\n::cue { color: red }\n\nNOTE\na --> b\n\nREGION\nid:r\n\nintro\n00:01.000 --> 00:02.000 line:0 position:20%,line-left region:r align:left bogus:1\nHello\n\n00:00:03.000 --> 01:00:00.000\n<v Anna><c.loud>Hi</c> &amp; <00:00:03.500><b>bye</b> &lt;x&gt;&#33;</v>';
    expect(cuesOf(parseWebvtt(text))).toEqual([
      cue(1000, 2000, 'Hello', 'line:0 position:20%,line-left align:left'),
      cue(3000, 3_600_000, 'Hi &amp; <b>bye</b> &lt;x&gt;!'),
    ]);
  });

  it('refuses what does not begin as WebVTT does', () => {
    expect(parseWebvtt('WEBVTTX\n').kind).toBe('unreadable');
    expect(parseWebvtt('#EXTM3U\n').kind).toBe('unreadable');
    expect(parseWebvtt('\uFEFFWEBVTT').kind).toBe('cues');
  });

  it('reads its own writing as it was', () => {
    const cues = [cue(0, 500, 'a\n<i>b</i> &amp; &lt;', 'line:0'), cue(250, 36_000_999, 'c')];
    const text = writeWebvtt(cues);
    expect(text).toBe(
      'WEBVTT\n\n00:00:00.000 --> 00:00:00.500 line:0\na\n<i>b</i> &amp; &lt;\n\n00:00:00.250 --> 10:00:00.999\nc\n',
    );
    expect(cuesOf(parseWebvtt(text))).toEqual(cues);
  });
});

describe('parseTtml', () => {
  const tt = (inner: string, attributes = ''): string =>
    `<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" xmlns:s="http://www.w3.org/ns/ttml#styling" ${attributes}>${inner}</tt>`;

  it('reads times of all kinds, counted from those of the elements around', () => {
    const body = `<body begin="10s"><div><p begin="00:00:01.5" end="00:00:02:12">a</p><p begin="50f" dur="1000ms">b</p>
      <p begin="3.5s" end="1h">c</p><p begin="90000t" end="0.1m">d</p></div></body>`;
    expect(cuesOf(parseTtml(tt(body, 'ttp:frameRate="25" ttp:tickRate="30000"')))).toEqual([
      cue(11_500, 12_480, 'a'),
      cue(12_000, 13_000, 'b'),
      cue(13_000, 16_000, 'd'),
      cue(13_500, 3_610_000, 'c'),
    ]);
  });

  it('keeps the words in their order with their styles, own, inherited and by reference', () => {
    const head =
      '<head><styling><style xml:id="s1" s:fontStyle="italic"/><style xml:id="s2" style="s1"/></styling></head>';
    const body =
      '<body s:fontWeight="bold"><div><p begin="1s" end="2s">One <span style="s2">two</span>\n  <span s:fontWeight="normal">three</span><br/>four<metadata>no</metadata></p></div></body>';
    expect(cuesOf(parseTtml(tt(head + body)))[0]?.text).toBe('<b>One <i>two</i> </b>three<b>\nfour</b>');
  });

  it('gives a timed span a cue of its own, and puts those of an upper region above', () => {
    const head =
      '<head><layout><region xml:id="up" s:displayAlign="before"/><region xml:id="down" s:origin="10% 80%"/></layout></head>';
    const body =
      '<body><div region="up"><p begin="1s"><span begin="0s" end="1s">a</span><span begin="1s" end="2s">b</span></p><p region="down" begin="4s" end="5s">c</p></div></body>';
    expect(cuesOf(parseTtml(tt(head + body)))).toEqual([
      cue(1000, 2000, 'a', 'line:0'),
      cue(2000, 3000, 'b', 'line:0'),
      cue(4000, 5000, 'c'),
    ]);
  });

  it('refuses other XML, entities and what is no XML', () => {
    expect(parseTtml('<MPD/>').kind).toBe('unreadable');
    expect(parseTtml('<!DOCTYPE tt [<!ENTITY a "aaaa">]><tt/>').kind).toBe('unreadable');
    expect(parseTtml('<tt>'.repeat(100)).kind).toBe('unreadable');
    expect(parseTtml('WEBVTT').kind).toBe('unreadable');
  });
});

describe('parseSubstation', () => {
  const file = (...lines: string[]): string =>
    `[Script Info]\n[V4+ Styles]\nFormat: Name, Fontname, Alignment\nStyle: Default,Arial,2\nStyle: Sign,Arial,8\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n${lines.join('\n')}`;
  const dialogue = (text: string, style = 'Default'): string =>
    `Dialogue: 0,0:00:01.00,0:00:02.50,${style},,0,0,0,,${text}`;

  it('keeps the words, with commas, line breaks, styles and place, and drops drawings and effects', () => {
    const text = file(
      dialogue('{\\i1\\pos(1,2)}Yes, {\\b700}sir{\\b0}{\\i0}.\\NNow\\h{\\k20}go{\\r}'),
      dialogue('{\\p1}m 0 0 l 100 0{\\p0}'),
      dialogue('Above', 'Sign'),
      dialogue('{\\an7}Corner {not me}'),
      'Comment: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,never',
    );
    expect(cuesOf(parseSubstation(text))).toEqual([
      cue(1000, 2500, '<i>Yes, <b>sir</b></i>.\nNow\u00A0go'),
      cue(1000, 2500, 'Above', 'line:0'),
      cue(1000, 2500, 'Corner', 'line:0 align:left'),
    ]);
  });

  it('shows what layers say twice only once', () => {
    expect(cuesOf(parseSubstation(file(dialogue('{\\blur3}Glow'), dialogue('Glow')))).length).toBe(1);
  });
});

describe('moveCues', () => {
  it('cuts at the beginning and the end, and leaves out what is outside', () => {
    const cues = [
      cue(0, 900, 'a'),
      cue(500, 1500, 'b'),
      cue(1200, 1300.4, 'c'),
      cue(4000, 9000, 'd'),
      cue(6000, 7000, 'e'),
    ];
    expect(moveCues(cues, -1000, 4000)).toEqual([cue(0, 500, 'b'), cue(200, 300, 'c'), cue(3000, 4000, 'd')]);
  });
});

describe('all parsers of subtitles', () => {
  const PARSERS = { parseSubrip, parseWebvtt, parseTtml, parseSubstation };
  const SEEDS: Readonly<Record<string, string>> = {
    parseSubrip: '1\n00:00:01,000 --> 00:00:02,000\n<i>a{\\an8}\n\n',
    parseWebvtt: 'WEBVTT\n\n00:01.000 --> 00:02.000 line:0\n<v x>&amp;&#x41;\n\n',
    parseTtml: '<tt xmlns="a"><body><div><p begin="1s" end="2s">a<span>b</span></p></div></body></tt>',
    parseSubstation: '[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,{\\i1}a\\N\n',
  };
  /** Numbers that look random and are the same each time. */
  const next = (state: number): number => (state * 1_103_515_245 + 12_345) % 2_147_483_648;

  it.each(Object.entries(PARSERS))(
    '%s never throws, and what it gives can be written and read',
    (name, parse) => {
      let state = 1;
      for (let round = 0; round < 1500; round++) {
        const seed = SEEDS[name] ?? '';
        let text = round % 3 === 0 ? seed.repeat(1 + (round % 5)) : seed;
        for (let change = 0; change <= round % 6; change++) {
          state = next(state);
          const at = state % (text.length + 1);
          state = next(state);
          const piece =
            ['<', '>', '-->', '&', '\n', '\r', '\0', '{', '}', '\u2028', '\uD800', ',', '9'][state % 13] ??
            '';
          text = text.slice(0, at) + piece + text.slice(at + (state % 4));
        }
        const outcome = parse(text);
        if (outcome.kind !== 'cues') continue;
        const written = writeWebvtt(outcome.cues);
        expect(cuesOf(parseWebvtt(written)).map((each) => each.text)).toEqual(
          outcome.cues.map((each) => each.text),
        );
      }
    },
  );

  it.each([
    ['parseSubrip', `1\n00:00:01,000 --> 00:00:02,000\n${'<'.repeat(200_000)}`],
    ['parseSubrip', `1\n00:00:01,000 --> 00:00:02,000\n${'<b'.repeat(100_000)}`],
    ['parseSubrip', '00:00:01,000 --> 00:00:02,000\n'.repeat(50_000)],
    ['parseSubrip', `${' '.repeat(400_000)}-->`],
    ['parseWebvtt', `WEBVTT\n\n00:01.000 --> 00:02.000\n${'&#'.repeat(200_000)}`],
    ['parseWebvtt', `WEBVTT\n\n00:01.000 --> 00:02.000 ${'line:0 '.repeat(50_000)}\nx`],
    ['parseSubstation', `[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,${'{'.repeat(200_000)}`],
    ['parseSubstation', `[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,${'{\\'.repeat(200_000)}}`],
    ['parseTtml', `<tt>${'<p begin="'.repeat(50_000)}`],
  ] as const)('%s takes no time with text made to take it', (name, text) => {
    expect(cpuMs(() => PARSERS[name](text))).toBeLessThan(2000);
  });
});
