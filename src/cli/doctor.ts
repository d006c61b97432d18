import { systemClock } from '../base/clock.ts';
import {
  CONFIG_HELP,
  CONFIG_OPTIONS,
  EXIT_CODES,
  parseCommandArgs,
  requireConfig,
  type Command,
} from './command.ts';
import {
  checkClock,
  checkDataDir,
  checkEncoders,
  checkFfmpeg,
  checkNode,
  checkOpenFiles,
  checkPackages,
  checkPorts,
  checkSecrets,
  type DoctorCheck,
  type Finding,
} from './doctor-checks.ts';
import { checkHttpEngine } from './doctor-http.ts';
import { checkRtmpsCertificate } from './doctor-rtmps.ts';

const CHECKS: readonly DoctorCheck[] = [
  checkNode,
  checkHttpEngine,
  checkFfmpeg,
  checkEncoders,
  checkPackages,
  checkPorts,
  checkDataDir,
  checkSecrets,
  checkRtmpsCertificate,
  checkClock,
  checkOpenFiles,
];

/** Looks at everything Headwater stands on. Exit code 1 when something is broken or unsafe. */
export const doctor: Command = {
  name: 'doctor',
  usage: '[--config FILE] [--set KEY=VALUE]',
  summary: 'check this machine: programs, ports, disk, clock, file modes',
  help: [...CONFIG_HELP, '', 'Exit code 1 when a line says fail.'],
  async run(args, context) {
    const { values } = parseCommandArgs(args, CONFIG_OPTIONS);
    const { config } = requireConfig(values, context);
    const input = { config, cwd: context.cwd, wallMs: systemClock.wallMs(), nodeVersion: process.version };
    const findings = (await Promise.all(CHECKS.map((check) => check(input)))).flat();
    for (const line of renderFindings(findings)) context.out(line);
    return findings.some((finding) => finding.status === 'fail') ? EXIT_CODES.failed : EXIT_CODES.ok;
  },
};

/** A table, a finding a line. */
export function renderFindings(findings: readonly Finding[]): string[] {
  const width = Math.max(...findings.map((finding) => finding.name.length));
  return findings.map(({ status, name, detail }) => `${status.padEnd(4)}  ${name.padEnd(width)}  ${detail}`);
}
