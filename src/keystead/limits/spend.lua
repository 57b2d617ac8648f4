-- Takes tokens from several buckets, from all or from none; the time is the server's.
-- KEYS: one per bucket.
-- ARGV: five per bucket: strategy, microseconds per token, tokens, wanted, least; for concurrency: microseconds a place
-- is held at most, places, the request's id, 1.
-- Returns four numbers per bucket: granted, left, and the microseconds until the next token and until it is full.
-- A bucket is one number: the moment when it will be full again (GCRA). An adaptive one, whose rate changes, is the tokens
-- that are taken and since when, and the failures of late. An absent one is full.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function number(n) return string.format('%.0f', n) end

local buckets, answer, refused = {}, {}, false
for i = 1, #ARGV, 5 do
  local strategy, interval, size = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local key = KEYS[(i + 4) / 5]
  local bucket = {strategy = strategy, key = key, interval = interval}
  if strategy == 'concurrency' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', number(now))
    local free = size - redis.call('ZCARD', key)
    bucket.id, bucket.granted = ARGV[i + 3], math.min(1, math.max(0, free))
    if bucket.granted == 0 then refused = true end
    answer[#answer + 1] = {bucket.granted, math.max(0, free - bucket.granted), 1000000, 1000000}
  else
    local taken
    if strategy == 'adaptive' then
      local state = redis.call('HMGET', key, 'taken', 'since', 'failures', 'failed_at')
      if state[3] then
        -- Every failure of late slows the bucket down: as many as it has tokens double the interval; tenfold at most.
        local late = state[3] * 0.5 ^ ((now - state[4]) / (interval * size))
        bucket.interval = interval * math.min(10, 1 + late / size)
      end
      bucket.longest = 10 * interval * size
      taken = state[1] and math.max(0, state[1] - (now - state[2]) / bucket.interval) or 0
    else
      taken = math.max(0, tonumber(redis.call('GET', key) or now) - now) / interval
    end
    local free = math.max(0, math.floor(size - taken + 0.000001))
    local wanted, least = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
    bucket.granted = math.min(wanted, free)
    if bucket.granted < least then
      refused, bucket.granted = true, 0
    end
    bucket.taken = taken + bucket.granted
    bucket.full_in = bucket.taken * bucket.interval
    local left = free - bucket.granted
    local next_in = math.max(0, bucket.taken + math.max(1, least - left) - size) * bucket.interval
    answer[#answer + 1] = {bucket.granted, left, next_in, bucket.full_in}
  end
  buckets[#buckets + 1] = bucket
end

local flat = {}
for i, bucket in ipairs(buckets) do
  if not refused then
    if bucket.strategy == 'concurrency' then
      redis.call('ZADD', bucket.key, number(now + bucket.interval), bucket.id)
      redis.call('PEXPIRE', bucket.key, number(bucket.interval / 1000))
    elseif bucket.strategy == 'adaptive' then
      redis.call('HSET', bucket.key, 'taken', string.format('%.6f', bucket.taken), 'since', number(now))
      redis.call('PEXPIRE', bucket.key, number(bucket.longest / 1000))
    elseif bucket.granted > 0 then
      redis.call('SET', bucket.key, number(now + bucket.full_in), 'PX', number(math.ceil(bucket.full_in / 1000)))
    end
  end
  for j = 1, 4 do flat[#flat + 1] = answer[i][j] end
end
return flat
