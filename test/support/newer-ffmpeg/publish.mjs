// Publishes a file over RTMP in its own time with FFmpeg's libraries of a version that speaks Enhanced RTMP: every track
// of it, nothing encoded again. Usage: publish.mjs FILE URL. Exit code 1 and FFmpeg's words when it fails.
import { createRequire } from 'node:module';
import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';

const { FFmpegError, FormatContext, Packet } = createRequire(import.meta.url)(
  `@seydx/node-av-${process.platform}-${process.arch}`,
);
const END_OF_FILE = 'End of file';

const [file, url] = process.argv.slice(2);
const input = new FormatContext();
must(await input.openInput(file, null, null), 'open the file');
must(await input.findStreamInfo(null), 'read the file');
const output = new FormatContext();
must(output.allocOutputContext2(null, 'flv', url), 'make FLV');
const tracks = input.streams.map((from) => ({ from, to: addTrack(from.codecpar) }));
must(await output.openOutput(), 'connect');
must(await output.writeHeader(null), 'publish');
await sendAll();
must(await output.writeTrailer(), 'end');
await output.closeOutput();
await input.closeInput();

function must(code, what) {
  if (code >= 0) return;
  process.stderr.write(`cannot ${what}: ${new FFmpegError(code).message}\n`);
  process.exit(1);
}

function addTrack(parameters) {
  const track = output.newStream(null);
  track.codecpar = parameters;
  // The tag is the source's: FLV has its own.
  track.codecpar.codecTag = 0;
  return track;
}

async function sendAll() {
  const packet = new Packet();
  packet.alloc();
  const startMs = performance.now();
  for (;;) {
    const code = await input.readFrame(packet);
    if (code < 0 && new FFmpegError(code).message === END_OF_FILE) return;
    must(code, 'read a packet');
    const { from, to } = tracks[packet.streamIndex];
    const dtsMs = (Number(packet.dts) * 1000 * from.timeBase.num) / from.timeBase.den;
    const leftMs = startMs + dtsMs - performance.now();
    if (leftMs > 1) await wait(leftMs);
    packet.rescaleTs(from.timeBase, to.timeBase);
    must(await output.interleavedWriteFrame(packet), 'send a packet');
    packet.unref();
  }
}
