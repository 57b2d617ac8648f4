-- Takes tokens from several buckets, from all or from none; the time is the server's.
-- KEYS: one per bucket, and a second one (its failures) for an adaptive bucket.
-- ARGV: five per bucket: strategy, microseconds per token, tokens, wanted, least; for concurrency: microseconds a place
-- is held at most, places, the request's id, 1.
-- Returns four numbers per bucket: granted, left, and the microseconds until the next token and until it is full.
-- A bucket is one number: the moment when it will be full again (GCRA). An absent one is full.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function number(n) return string.format('%.0f', n) end

local buckets, answer, refused, k = {}, {}, false, 1
for i = 1, #ARGV, 5 do
  local strategy, interval, size = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local bucket = {strategy = strategy, key = KEYS[k], interval = interval}
  if strategy == 'concurrency' then
    redis.call('ZREMRANGEBYSCORE', KEYS[k], '-inf', number(now))
    local free = size - redis.call('ZCARD', KEYS[k])
    bucket.id, bucket.granted = ARGV[i + 3], math.min(1, math.max(0, free))
    if bucket.granted == 0 then refused = true end
    answer[#answer + 1] = {bucket.granted, math.max(0, free - bucket.granted), 1000000, 1000000}
  else
    local full_at = math.max(now, tonumber(redis.call('GET', KEYS[k]) or now))
    if strategy == 'adaptive' then
      k = k + 1
      -- Every failure of late slows the bucket down: as many as it has tokens double the interval; tenfold at most.
      local failures = redis.call('HMGET', KEYS[k], 'n', 'at')
      if failures[1] then
        local late = failures[1] * 0.5 ^ ((now - failures[2]) / (interval * size))
        bucket.interval = interval * math.min(10, 1 + late / size)
      end
    end
    local window = bucket.interval * size
    local free = math.max(0, math.floor((now + window - full_at) / bucket.interval + 0.000001))
    local wanted, least = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
    bucket.granted = math.min(wanted, free)
    if bucket.granted < least then
      refused, bucket.granted = true, 0
    end
    bucket.full_at = full_at + bucket.granted * bucket.interval
    local left = free - bucket.granted
    local next_in = math.max(0, bucket.full_at + bucket.interval * math.max(1, least - left) - now - window)
    answer[#answer + 1] = {bucket.granted, left, next_in, bucket.full_at - now}
  end
  buckets[#buckets + 1] = bucket
  k = k + 1
end

local flat = {}
for i, bucket in ipairs(buckets) do
  if not refused then
    if bucket.strategy == 'concurrency' then
      redis.call('ZADD', bucket.key, number(now + bucket.interval), bucket.id)
      redis.call('PEXPIRE', bucket.key, number(bucket.interval / 1000))
    elseif bucket.granted > 0 then
      redis.call('SET', bucket.key, number(bucket.full_at), 'PX', number(math.ceil((bucket.full_at - now) / 1000)))
    end
  end
  for j = 1, 4 do flat[#flat + 1] = answer[i][j] end
end
return flat
