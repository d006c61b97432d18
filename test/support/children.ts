import { readdirSync, readFileSync } from 'node:fs';

/** Process ids of this process's living children (and theirs) whose command line has `part`. Linux. */
export function childrenWith(part: string): number[] {
  return descendants(process.pid).filter((pid) => commandLine(pid).includes(part));
}

function descendants(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendants(child)]);
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
        .trim()
        .split(' ')
        .filter(Boolean)
        .map(Number),
    );
  } catch {
    // Gone meanwhile.
    return [];
  }
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** Command lines of a process's living children, and theirs. */
export function commandLinesBelow(pid: number): string[] {
  return descendants(pid).map(commandLine);
}
