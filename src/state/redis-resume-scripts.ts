import { MAX_MARKS } from './resume-entry.ts';
import { MAX_PROFILES, MAX_RECORDS } from './resume-store.ts';

/*
 * A profile is a hash: a field for each title, `#v` for the last number given out, `#h` for the version of the newest
 * mark thrown away. A field holds numbers in base 36, later ones as what they are above earlier ones, so that it stays
 * below 64 bytes and the hash compact (hash-max-listpack-value):
 * kind and state, epoch, claimed - epoch, seq, version - epoch, eventMs, positionMs, durationMs, device.
 * The rules are those of resume-entry.ts.
 */
const COMMON = `
local DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'
local function text(number)
  -- What is no number of ours would keep Redis busy for ever.
  if not (number >= 0 and number < 2 ^ 53) then error('a number of a profile is damaged') end
  local out = ''
  repeat
    local digit = number % 36
    out = string.sub(DIGITS, digit + 1, digit + 1) .. out
    number = (number - digit) / 36
  until number == 0
  return out
end
local function number(given) return tonumber(given, 36) end
local function parse(raw)
  if not raw then return nil end
  local kind, state, epoch, claimed, seq, version, event, rest =
    string.match(raw, '^(%l)(%l),(%w+),(%w+),(%w+),(%w+),(%w+),(.*)$')
  epoch = number(epoch)
  return { kind = kind, state = state, epoch = epoch, claimed = epoch + number(claimed), seq = number(seq),
    version = epoch + number(version), event = event, rest = rest }
end
local function format(e)
  return table.concat({ e.kind .. e.state, text(e.epoch), text(e.claimed - e.epoch), text(e.seq),
    text(e.version - e.epoch), e.event, e.rest }, ',')
end
local function read(title) return parse(redis.call('HGET', KEYS[1], title)) end
local function write(title, entry)
  local raw = format(entry)
  redis.call('HSET', KEYS[1], title, raw)
  return raw
end
-- The last number given out, and the next one.
local function last()
  local raw = redis.call('HGET', KEYS[1], '#v')
  return raw and number(raw) or 0
end
-- With the first one a profile begins: what devices hold of one before it, which was erased, is gone.
local function nextNumber(now)
  local before = last()
  local value = math.max(before + 1, now)
  redis.call('HSET', KEYS[1], '#v', text(value))
  if before == 0 then redis.call('HSET', KEYS[1], '#h', text(value)) end
  return value
end
local function deleted(e, version, event)
  local seq = e.claimed == e.epoch and e.seq + 1 or 0
  local device = string.match(e.rest, '[^,]*$')
  return { kind = 'd', state = 's', epoch = e.claimed, claimed = e.claimed, seq = seq, version = version,
    event = event, rest = '0,0,' .. device }
end
-- Of the records, or of the rest: how many there are, and the one unchanged for longest.
local function survey(records)
  local count, oldest, title, age = 0, nil, nil, nil
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 1) ~= '#' then
      local e = parse(all[i + 1])
      if (e.kind == 'l') == records then
        local changed = records and e.version or math.max(e.version, e.claimed)
        count = count + 1
        if not age or changed < age then oldest, title, age = e, all[i], changed end
      end
    end
  end
  return count, oldest, title
end
local function crowded(limit) return redis.call('HLEN', KEYS[1]) > limit end
local function dropMarks()
  if not crowded(${MAX_MARKS}) then return end
  local count, oldest, title = survey(false)
  if count <= ${MAX_MARKS} then return end
  redis.call('HDEL', KEYS[1], title)
  local horizon = redis.call('HGET', KEYS[1], '#h')
  if oldest.kind == 'd' and (not horizon or number(horizon) < oldest.version) then
    redis.call('HSET', KEYS[1], '#h', text(oldest.version))
  end
end
`;

/** KEYS: the profile, the user's other profiles than main, the profile main. ARGV: title, profile, seconds. */
const CLAIM = `${COMMON}
local title, profile, now = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('EXISTS', KEYS[1]) == 0 then
  if redis.call('SCARD', KEYS[2]) + redis.call('EXISTS', KEYS[3]) >= ${MAX_PROFILES} then return 'full' end
  if profile ~= 'main' then redis.call('SADD', KEYS[2], profile) end
end
local old = read(title)
local epoch = nextNumber(now)
local entry = old
if old then
  old.claimed = epoch
else
  entry = { kind = 'c', state = 's', epoch = epoch - 1, claimed = epoch, seq = 0, version = epoch, event = '0', rest = '0,0,-' }
end
local raw = write(title, entry)
if not old then dropMarks() end
return { epoch, raw }
`;

/** KEYS: the profile. ARGV: title, seconds, offline, epoch, seq, eventMs, state, the rest of the field, the time. */
const PUT = `${COMMON}
local title, now, offline, state, rest = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', ARGV[7], ARGV[8]
local epoch, seq, event = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local raw = redis.call('HGET', KEYS[1], title)
local old = parse(raw)
if not old then return { 'conflict', '' } end
local accepted = epoch <= old.claimed
  and (epoch > old.epoch or (old.kind == 'l' and epoch == old.epoch and seq > old.seq))
if accepted and offline then
  accepted = epoch == old.claimed and (old.kind ~= 'l' or number(event) > number(old.event))
end
if not accepted then return { 'conflict', raw } end
if old.kind ~= 'l' and crowded(${MAX_RECORDS}) then
  local count, oldest, evicted = survey(true)
  if count >= ${MAX_RECORDS} then write(evicted, deleted(oldest, nextNumber(now), ARGV[9])) end
end
local entry = { kind = 'l', state = state, epoch = epoch, claimed = old.claimed, seq = seq, version = nextNumber(now),
  event = event, rest = rest }
return { 'stored', write(title, entry) }
`;

/** KEYS: the profile. ARGV: title, seconds, eventMs. */
const REMOVE = `${COMMON}
local title, now, event = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local old = read(title)
if not old or old.kind ~= 'l' then return '' end
local raw = write(title, deleted(old, nextNumber(now), event))
dropMarks()
return raw
`;

/** KEYS: the profile. Fields and values in turn. */
const LIST = `return redis.call('HGETALL', KEYS[1])`;

/**
 * KEYS: the user's other profiles than main, and all profiles. ARGV: the names of those others. All are gone in one step;
 * -1 when there is one more by now.
 */
const ERASE = `${COMMON}
if redis.call('SCARD', KEYS[1]) ~= #ARGV then return -1 end
for _, profile in ipairs(ARGV) do
  if redis.call('SISMEMBER', KEYS[1], profile) == 0 then return -1 end
end
local erased = 0
for i = 2, #KEYS do
  for _, raw in ipairs(redis.call('HVALS', KEYS[i])) do
    if string.sub(raw, 1, 1) == 'l' and string.find(raw, ',', 1, true) then erased = erased + 1 end
  end
end
redis.call('DEL', unpack(KEYS))
return erased
`;

export const RESUME_SCRIPTS = {
  resumeClaim: { lua: CLAIM },
  resumePut: { lua: PUT },
  resumeRemove: { lua: REMOVE },
  resumeList: { lua: LIST },
  resumeErase: { lua: ERASE },
} as const;
