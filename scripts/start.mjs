// `npm start`: from a fresh checkout to a running server with a test broadcast. Arguments after `--` go to `serve`.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { buildIfStale } from './build.mjs';
import { fail, ROOT, setUp } from './setup.mjs';

setUp('start');
buildIfStale();

const main = join(ROOT, 'dist', 'main.js');
const server = spawn(
  process.execPath,
  ['--disable-proto=delete', main, 'serve', '--demo', ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => server.kill(signal));
server.on('error', (error) => fail(1, `cannot start the server: ${error.message}`));
server.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + (signal ? constants.signals[signal] : 0);
});
