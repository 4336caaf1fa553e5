-- What one host says of one incident, and what the fleet answers it. See alertlog.sharing for the rules.
--
-- KEYS[1]   the incident's desk: whose story it is and who tells it. Fields: story, ended, teller, until, heard,
--           resolved, level, levelname, mails, mailed, thread; told:<member>, host:<name>.
-- KEYS[2]   this member's own tray: what others hand to it. Fields, each by member: offered, first, last, taken,
--           withdrawn; and final, once it takes no more.
-- KEYS[3..] the trays of those to whom this member hands alerts, in the order of `handed`.
-- ARGV[1]   the offer, as JSON.  ARGV[2] the lease, ARGV[3] how long to keep the keys, in ms.
--
-- Every number is cumulative and only ever raised, so that a word may be said twice, or go lost, or be said to a
-- server that has forgotten all. All times are this server's: hosts send and are sent ages, in ms.

local said = cjson.decode(ARGV[1])
local lease, keep = tonumber(ARGV[2]), tonumber(ARGV[3])
local desk, tray = KEYS[1], KEYS[2]
local me = said.member
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local HOSTS = 64

local function get(key, field) return redis.call('HGET', key, field) or '' end
local function number(key, field) return tonumber(get(key, field)) or 0 end
local function put(key, field, value) redis.call('HSET', key, field, value) end
local function put_number(key, field, value) put(key, field, string.format('%.0f', value)) end
local function raise(key, field, value)
  if value > number(key, field) then put_number(key, field, value) end
end
local function lower(key, field, value)
  local known = number(key, field)
  if known == 0 or value < known then put_number(key, field, value) end
end

-- Hand over, and learn what was taken.
local acks = {}
for i, row in ipairs(said.handed) do
  local key = KEYS[2 + i]
  if row.offered > number(key, 'offered:' .. me) then
    put_number(key, 'offered:' .. me, row.offered)
    lower(key, 'first:' .. me, now - said.first_age)
    raise(key, 'last:' .. me, now - said.last_age)
  end
  local taken = number(key, 'taken:' .. me)
  local final = get(key, 'final') ~= ''
  if row.withdrawn then
    if get(key, 'withdrawn:' .. me) == '' then put_number(key, 'withdrawn:' .. me, taken) end
    final = true
  end
  redis.call('PEXPIRE', key, keep)
  acks[i] = { taken = taken, final = final }
end

-- Say what has been taken of the own tray, and look what else is in it.
for member, taken in pairs(said.taken) do raise(tray, 'taken:' .. member, taken) end
local offered = {}
local fields = redis.call('HGETALL', tray)
for i = 1, #fields, 2 do
  local member = string.match(fields[i], '^offered:(.*)$')
  if member then
    local withdrawn = tonumber(get(tray, 'withdrawn:' .. member))
    local count = tonumber(fields[i + 1])
    offered[member] = {
      count = withdrawn and math.min(withdrawn, count) or count,
      first_age = now - number(tray, 'first:' .. member),
      last_age = now - number(tray, 'last:' .. member),
    }
  end
end

local story, teller = get(desk, 'story'), get(desk, 'teller')
local held = teller ~= '' and number(desk, 'until') > now
local ended = get(desk, 'ended') ~= ''
local over = false

if said.standing ~= 'open' then
  -- It takes no more. Whoever tells the story can end it for all; anybody can, if there is nobody who tells it.
  if said.asked or teller == me or #fields > 0 then put(tray, 'final', 1) end
  if said.standing == 'over' and story ~= '' and story == said.story and (teller == me or not held) then
    put(desk, 'ended', 1)
  end
  if teller == me then redis.call('HDEL', desk, 'teller', 'until') end
  teller = ''
else
  local forgotten = not held and now - number(desk, 'heard') >= said.quiet_after
  if ended and said.bare then
    over = true -- several hosts see the same end; one mail tells it
  elseif story == '' or (said.story == '' and (ended or forgotten)) then
    redis.call('DEL', desk)
    story, teller, held, ended = said.story ~= '' and said.story or me, '', false, false
    put(desk, 'story', story)
  elseif said.story ~= '' and (ended or said.story ~= story) then
    over = true
  end
end

local mine = story ~= '' and (story == said.story or said.standing == 'open') and not (over or ended)
if mine then
  raise(desk, 'heard', now - said.last_age)
  for member, told in pairs(said.told) do raise(desk, 'told:' .. member, told) end
  if said.mails > 0 then
    raise(desk, 'mails', said.mails)
    raise(desk, 'mailed', now - said.mailed_age)
  end
  if said.thread ~= '' then redis.call('HSETNX', desk, 'thread', said.thread) end
  if said.level > number(desk, 'level') then
    put_number(desk, 'level', said.level)
    put(desk, 'levelname', said.levelname)
  end
  if said.resolved and said.standing == 'open' then put(desk, 'resolved', 1) end
  if redis.call('HLEN', desk) < 4 * HOSTS then redis.call('HSETNX', desk, 'host:' .. said.host, 1) end
  redis.call('PEXPIRE', desk, keep)
end
if mine and said.standing == 'open' then
  if said.able and (teller == me or not held) then
    teller = me
    put(desk, 'teller', me)
    put_number(desk, 'until', now + lease)
  elseif teller == me or not held then
    teller = ''
    redis.call('HDEL', desk, 'teller', 'until')
  end
end
redis.call('PEXPIRE', tray, keep)

local told, hosts = {}, {}
fields = redis.call('HGETALL', desk)
for i = 1, #fields, 2 do
  local member, host = string.match(fields[i], '^told:(.*)$'), string.match(fields[i], '^host:(.*)$')
  if member then told[member] = tonumber(fields[i + 1]) end
  if host and #hosts < HOSTS then hosts[#hosts + 1] = host end
end

return cjson.encode({
  story = story,
  over = over,
  teller = over and '' or teller,
  lease = math.max(0, number(desk, 'until') - now),
  resolved = get(desk, 'resolved') ~= '',
  level = number(desk, 'level'),
  levelname = get(desk, 'levelname'),
  mails = number(desk, 'mails'),
  mailed_age = now - number(desk, 'mailed'),
  thread = get(desk, 'thread'),
  told = told,
  hosts = hosts,
  acks = acks,
  offered = offered,
})
