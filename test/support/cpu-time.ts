/** CPU time that some work takes, ms: unlike time on the clock, hardly more when the machine does other things, too. */
export function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
