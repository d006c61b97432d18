/**
 * What every script begins with. All keys are below KEYS[1], which has a hash tag, so that they share one slot of a
 * Cluster. Of a flow with number n:
 *
 * `f:n` its own hash · `j:n` job's place in it → id and kind as JSON · `d:n` → data as JSON · `s:n` → its standing, none of
 * one that was never begun · `a:n` set of the active ones · `r:n` → result as JSON · `e:n` → error as JSON ·
 * `p:n` → progress
 *
 * and of all: `ids` id → n · `flows` by n · `ended` by when · `unissued` flows of which tickets may be missing, by since
 * when · `open` jobs that are not done, of flows that run · `seq` · `litter` numbers of flows that are being added.
 */
const PRELUDE = `
local p = KEYS[1]
local function standing(n, i)
  local text = redis.call('HGET', p .. ':s:' .. n, i)
  if not text then return nil end
  local state, attempt, forgiven, round, token = string.match(text, '^(%a+) (%d+) (%d+) (%d+) (%S*)$')
  return { state = state, attempt = tonumber(attempt), forgiven = tonumber(forgiven), round = tonumber(round), token = token }
end
local function put(n, i, s)
  local text = string.format('%s %d %d %d %s', s.state, s.attempt, s.forgiven, s.round, s.token)
  redis.call('HSET', p .. ':s:' .. n, i, text)
  if s.state == 'active' then
    redis.call('SADD', p .. ':a:' .. n, i)
  else
    redis.call('SREM', p .. ':a:' .. n, i)
    redis.call('HDEL', p .. ':p:' .. n, i)
  end
end
local function tell(message)
  redis.call('PUBLISH', p .. ':events', cjson.encode(message))
end
local function tellJob(n, i, s)
  local job = cjson.decode(redis.call('HGET', p .. ':j:' .. n, i))
  tell({
    k = 'job', n = tonumber(n), x = tonumber(i), f = redis.call('HGET', p .. ':f:' .. n, 'id'), i = job[1], d = job[2],
    s = s.state, a = s.attempt,
    p = redis.call('HGET', p .. ':p:' .. n, i) or nil,
    r = redis.call('HGET', p .. ':r:' .. n, i) or nil,
    e = redis.call('HGET', p .. ':e:' .. n, i) or nil,
  })
end
local function tellFlow(n, id, state, round)
  tell({ k = 'flow', n = tonumber(n), f = id, s = state, c = tonumber(round) })
end
local function endFlow(n, state, now)
  local f = redis.call('HMGET', p .. ':f:' .. n, 'id', 'round', 'left')
  redis.call('HSET', p .. ':f:' .. n, 'state', state, 'endedMs', now)
  redis.call('ZADD', p .. ':ended', now, f[1])
  redis.call('DECRBY', p .. ':open', f[3])
  tellFlow(n, f[1], state, f[2])
end
`;

/** Of a flow whose jobs are written: n, id, data, priority, attempts, jobs, now, most flows, most jobs. */
const COMMIT = `
local n, id, jobs = ARGV[1], ARGV[2], tonumber(ARGV[6])
if redis.call('HEXISTS', p .. ':ids', id) == 1 then return 'exists' end
if redis.call('HLEN', p .. ':ids') >= tonumber(ARGV[8]) then return 'flows' end
if tonumber(redis.call('GET', p .. ':open') or '0') + jobs > tonumber(ARGV[9]) then return 'jobs' end
if redis.call('ZREM', p .. ':litter', n) == 0 then return 'late' end
redis.call('HSET', p .. ':f:' .. n, 'id', id, 'state', 'running', 'data', ARGV[3], 'priority', ARGV[4],
  'attempts', ARGV[5], 'jobs', jobs, 'left', jobs, 'round', 1, 'addedMs', ARGV[7])
redis.call('HSET', p .. ':ids', id, n)
redis.call('ZADD', p .. ':flows', n, id)
redis.call('INCRBY', p .. ':open', jobs)
redis.call('ZADD', p .. ':unissued', ARGV[7], n)
tellFlow(n, id, 'running', 1)
return 'added'
`;

/** Who has a ticket may begin its job, or not: n, place, round, token. The same token again gets the same answer. */
const BEGIN = `
local n, i, round, token, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local f = redis.call('HMGET', p .. ':f:' .. n, 'state', 'attempts', 'round')
if not f[1] then return nil end
local s = standing(n, i) or { state = 'waiting', attempt = 0, forgiven = 0, round = tonumber(f[3]), token = '' }
if s.round ~= round or s.state == 'done' or s.state == 'failed' then return nil end
local isLost = s.state == 'active' and s.token ~= token
if isLost then
  redis.call('HSET', p .. ':e:' .. n, i, ARGV[6])
  local isFinal = f[1] == 'running' and s.attempt - s.forgiven >= tonumber(f[2])
  s.state = isFinal and 'failed' or 'waiting'
  put(n, i, s)
  if isFinal or f[1] ~= 'running' then tellJob(n, i, s) end
  if isFinal then
    endFlow(n, 'failed', now)
    return { 'failed' }
  end
end
if s.state == 'waiting' then
  if f[1] ~= 'running' then return nil end
  s.state = 'active'
  s.attempt = s.attempt + 1
  s.token = token
  put(n, i, s)
  tellJob(n, i, s)
end
return { isLost and 'lost' or 'begun', s.attempt, redis.call('HGET', p .. ':j:' .. n, i), redis.call('HGET', p .. ':d:' .. n, i) }
`;

/** How an attempt ended: n, place, attempt, done | failed | retry, result or error, now. */
const FINISH = `
local n, i, how, now = ARGV[1], ARGV[2], ARGV[4], ARGV[6]
local s = standing(n, i)
if not s or s.state ~= 'active' or s.attempt ~= tonumber(ARGV[3]) then return { 'refused' } end
local f = redis.call('HMGET', p .. ':f:' .. n, 'state', 'attempts')
if how == 'done' then
  s.state = 'done'
  redis.call('HSET', p .. ':r:' .. n, i, ARGV[5])
  redis.call('HDEL', p .. ':e:' .. n, i)
  put(n, i, s)
  tellJob(n, i, s)
  local left = redis.call('HINCRBY', p .. ':f:' .. n, 'left', -1)
  if f[1] == 'running' then
    redis.call('DECR', p .. ':open')
    if left == 0 then endFlow(n, 'done', now) end
  end
  return { 'done' }
end
redis.call('HSET', p .. ':e:' .. n, i, ARGV[5])
local tries = s.attempt - s.forgiven
local isFinal = how == 'failed' or tries >= tonumber(f[2])
s.state = isFinal and 'failed' or 'waiting'
put(n, i, s)
tellJob(n, i, s)
if isFinal then
  if f[1] == 'running' then
    endFlow(n, 'failed', now)
    return { 'failed', 1 }
  end
  return { 'failed', 0 }
end
return { 'waiting', tries }
`;

/** Of a worker that closes, or cannot do it: n, place, attempt, error or nothing. */
const GIVE_BACK = `
local n, i = ARGV[1], ARGV[2]
local s = standing(n, i)
if not s or s.state ~= 'active' or s.attempt ~= tonumber(ARGV[3]) then return 0 end
s.state = 'waiting'
s.forgiven = s.forgiven + 1
if ARGV[4] ~= '' then redis.call('HSET', p .. ':e:' .. n, i, ARGV[4]) end
put(n, i, s)
tellJob(n, i, s)
return 1
`;

/** Whether an attempt still counts: n, place, attempt, and what it says of its progress, or nothing. */
const HOLD = `
local n, i = ARGV[1], ARGV[2]
local s = standing(n, i)
if not s or s.state ~= 'active' or s.attempt ~= tonumber(ARGV[3]) then return 0 end
if ARGV[4] ~= '' then
  redis.call('HSET', p .. ':p:' .. n, i, ARGV[4])
  tellJob(n, i, s)
end
return 1
`;

/** id, now. */
const CANCEL = `
local n = redis.call('HGET', p .. ':ids', ARGV[1])
if not n or redis.call('HGET', p .. ':f:' .. n, 'state') ~= 'running' then return nil end
for _, i in ipairs(redis.call('SMEMBERS', p .. ':a:' .. n)) do
  local s = standing(n, i)
  s.state = 'waiting'
  put(n, i, s)
  tellJob(n, i, s)
end
endFlow(n, 'cancelled', ARGV[2])
return n
`;

/** id, now. */
const RETRY = `
local n = redis.call('HGET', p .. ':ids', ARGV[1])
if not n then return nil end
local f = redis.call('HMGET', p .. ':f:' .. n, 'state', 'left')
if f[1] ~= 'failed' and f[1] ~= 'cancelled' then return nil end
local round = redis.call('HINCRBY', p .. ':f:' .. n, 'round', 1)
for _, i in ipairs(redis.call('HKEYS', p .. ':s:' .. n)) do
  local s = standing(n, i)
  if s.state == 'failed' or s.state == 'waiting' then
    local wasFailed = s.state == 'failed'
    s.state = 'waiting'
    s.forgiven = s.attempt
    s.round = round
    put(n, i, s)
    if wasFailed then tellJob(n, i, s) end
  end
end
redis.call('HSET', p .. ':f:' .. n, 'state', 'running')
redis.call('HDEL', p .. ':f:' .. n, 'endedMs')
redis.call('ZREM', p .. ':ended', ARGV[1])
redis.call('INCRBY', p .. ':open', f[2])
redis.call('ZADD', p .. ':unissued', ARGV[2], n)
tellFlow(n, ARGV[1], 'running', round)
return n
`;

/** id. */
const REMOVE = `
local n = redis.call('HGET', p .. ':ids', ARGV[1])
if not n or redis.call('HGET', p .. ':f:' .. n, 'state') == 'running' then return 0 end
redis.call('HDEL', p .. ':ids', ARGV[1])
redis.call('ZREM', p .. ':flows', ARGV[1])
redis.call('ZREM', p .. ':ended', ARGV[1])
redis.call('ZREM', p .. ':unissued', n)
for _, kind in ipairs({ 'f', 'j', 'd', 's', 'a', 'r', 'e', 'p' }) do redis.call('UNLINK', p .. ':' .. kind .. ':' .. n) end
tell({ k = 'gone', n = tonumber(n) })
return 1
`;

/** What a caller sees of some jobs of a flow, all of one moment: id, n or nothing, first, how many, with results or not. */
const READ = `
local n = redis.call('HGET', p .. ':ids', ARGV[1])
if not n or (ARGV[2] ~= '' and ARGV[2] ~= n) then return nil end
local f = redis.call('HMGET', p .. ':f:' .. n, 'state', 'data', 'addedMs', 'endedMs', 'jobs', 'round', 'priority')
local first, last = tonumber(ARGV[3]), math.min(tonumber(f[5]), tonumber(ARGV[3]) + tonumber(ARGV[4])) - 1
local rows = {}
for i = first, last do
  local s = redis.call('HGET', p .. ':s:' .. n, i)
  rows[#rows + 1] = {
    redis.call('HGET', p .. ':j:' .. n, i),
    s or '',
    s and ARGV[5] == '1' and redis.call('HGET', p .. ':r:' .. n, i) or '',
    s and redis.call('HGET', p .. ':e:' .. n, i) or '',
    s and redis.call('HGET', p .. ':p:' .. n, i) or '',
  }
end
if first > 0 then f[2] = '' end
return { n, f[1], f[2], f[3], f[4] or '', f[5], f[6], f[7], rows }
`;

/** Rows of a flow that was never added: n. */
const DROP = `
if redis.call('ZREM', p .. ':litter', ARGV[1]) == 0 then return 0 end
redis.call('UNLINK', p .. ':j:' .. ARGV[1], p .. ':d:' .. ARGV[1])
return 1
`;

/** All of them, as the client library takes them. */
export const JOB_SCRIPTS = Object.fromEntries(
  Object.entries({
    jobCommit: COMMIT,
    jobDrop: DROP,
    jobBegin: BEGIN,
    jobFinish: FINISH,
    jobGiveBack: GIVE_BACK,
    jobHold: HOLD,
    jobCancel: CANCEL,
    jobRetry: RETRY,
    jobRemove: REMOVE,
    jobRead: READ,
  }).map(([name, lua]) => [name, { lua: PRELUDE + lua, numberOfKeys: 1 }]),
);
