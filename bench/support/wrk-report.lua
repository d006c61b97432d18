-- Prints what a run gave as one line of JSON, the last one of wrk's output. Times in microseconds.
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"bytes":%d,"durationMicros":%d,"p50Micros":%d,"p99Micros":%d,"maxMicros":%d,"socketErrors":%d,"badStatuses":%d,"timeouts":%d}\n',
    summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(99), latency.max,
    e.connect + e.read + e.write, e.status, e.timeout))
end
