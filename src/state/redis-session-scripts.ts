/*
 * The sessions of a viewer are a hash: id → `<ended at, or 0> <alive until> <ends> <device> <JSON>`. The times stand
 * before the JSON so that scripts need not read it.
 */
const COMMON = `
local function parse(raw)
  local ended, alive, ends, device, json = string.match(raw, '^(%d+) (%d+) (%d+) (%S*) (.*)$')
  return { ended = tonumber(ended), alive = tonumber(alive), ends = tonumber(ends), device = device, json = json }
end
local function format(s)
  return string.format('%.0f %.0f %.0f ', s.ended, s.alive, s.ends) .. s.device .. ' ' .. s.json
end
local function isAlive(s, now) return s.ended == 0 and s.alive > now and s.ends > now end
local function overSince(s) return s.ended > 0 and s.ended or math.min(s.alive, s.ends) end
`;

/**
 * KEYS: the viewer. ARGV: time, most alive at once, id that is replaced or '', how long ended ones are kept, id, the
 * session, ids that were taken away. Answers the kind of outcome and, at the limit, the sessions in the way.
 */
const CREATE = `${COMMON}
local now, limit, replaces, keep, id = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5]
local session = parse(ARGV[6])
local taken = {}
for i = 7, #ARGV do taken[ARGV[i]] = true end
local all = redis.call('HGETALL', KEYS[1])
local staying, replaced, last = {}, nil, session.ends
for i = 1, #all, 2 do
  local name, other = all[i], parse(all[i + 1])
  if isAlive(other, now) then
    last = math.max(last, other.ends)
    if name == id then
      if other.device ~= session.device then return { 'refused' } end
    elseif name == replaces then
      replaced = other
    elseif not taken[name] then
      table.insert(staying, all[i + 1])
    end
  elseif overSince(other) + keep <= now then
    redis.call('HDEL', KEYS[1], name)
  end
end
if #staying >= limit then
  table.insert(staying, 1, 'limit')
  return staying
end
redis.call('HSET', KEYS[1], id, format(session))
if replaced then
  replaced.ended = now
  redis.call('HSET', KEYS[1], replaces, format(replaced))
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(1, last - now + keep)))
return { 'created' }
`;

/** KEYS: the viewer. ARGV: id, time, alive until. */
const HEARTBEAT = `${COMMON}
local raw = redis.call('HGET', KEYS[1], ARGV[1])
if not raw then return 0 end
local session = parse(raw)
if not isAlive(session, tonumber(ARGV[2])) then return 0 end
session.alive = math.min(tonumber(ARGV[3]), session.ends)
redis.call('HSET', KEYS[1], ARGV[1], format(session))
return 1
`;

/** KEYS: the viewer. ARGV: id, time. */
const END = `${COMMON}
local raw = redis.call('HGET', KEYS[1], ARGV[1])
if not raw then return 0 end
local session = parse(raw)
if not isAlive(session, tonumber(ARGV[2])) then return 0 end
session.ended = tonumber(ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], format(session))
return 1
`;

/** KEYS: the viewer. Ids and sessions in turn. */
const READ_ALL = `return redis.call('HGETALL', KEYS[1])`;

/** KEYS: an id. ARGV: viewer, time it is kept, the viewer that it may be taken from or ''. The viewer whose it is now. */
const POINT = `
local viewer = redis.call('GET', KEYS[1])
if viewer and viewer ~= ARGV[1] and viewer ~= ARGV[3] then return viewer end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`;

/** KEYS: what was taken away. ARGV: things that may have been. Until when each is, or ''. */
const TAKEN = `
local found = {}
for i, thing in ipairs(ARGV) do found[i] = redis.call('ZSCORE', KEYS[1], thing) or '' end
return found
`;

/** KEYS: what may be used once. ARGV: until when it counts, time, how long it is kept. */
const CLAIM_ONCE = `
local old = redis.call('GET', KEYS[1])
if old and tonumber(old) > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
`;

export const SESSION_SCRIPTS = {
  sessionCreate: { lua: CREATE },
  sessionHeartbeat: { lua: HEARTBEAT },
  sessionEnd: { lua: END },
  sessionReadAll: { lua: READ_ALL },
  sessionPoint: { lua: POINT },
  sessionTaken: { lua: TAKEN },
  sessionClaimOnce: { lua: CLAIM_ONCE },
} as const;
