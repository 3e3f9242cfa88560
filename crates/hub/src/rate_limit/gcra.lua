-- The generic cell rate algorithm of gcra.rs, run inside Redis so that reading, deciding and
-- writing are one step for all replicas, on Redis's own clock.
-- KEYS[1]: the client's key. ARGV: interval and window in microseconds.
-- Answers {1 or 0, microseconds that the TAT is ahead of now}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local stored = redis.call('GET', KEYS[1])
local tat = stored and tonumber(stored) or now
tat = math.min(math.max(tat, now), now + window)
local following = tat + interval
if following - now > window then
  return {0, tat - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', following), 'PX', math.ceil((following - now) / 1000))
return {1, following - now}
