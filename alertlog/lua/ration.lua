-- The fleet's ration of mails: a token bucket. Negative `wanted` gives tokens back.
--
-- KEYS[1] the bucket: tokens, at (ms).
-- ARGV    wanted; size of the bucket; tokens gained in a second; what the caller believes is left; "1" if its belief is
--         a limit, because it has mailed without asking; how long to keep the key, in ms.

local wanted, size, gain = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local believed, keep = tonumber(ARGV[4]), tonumber(ARGV[6])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local tokens = tonumber(redis.call('HGET', KEYS[1], 'tokens') or '')
local at = tonumber(redis.call('HGET', KEYS[1], 'at') or '') or now

if tokens then
  tokens = tokens + math.max(0, now - at) * gain / 1000
  if ARGV[5] == '1' then tokens = math.min(tokens, believed) end
else
  tokens = believed -- a server that has forgotten: the hosts have not
end
tokens = math.min(size, tokens)
local granted = math.max(-size, math.min(wanted, math.floor(tokens)))
tokens = math.min(size, tokens - granted)
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], keep)
return cjson.encode({ granted = granted, tokens = tokens })
