-- What a request that is over gives back: its tokens, its place, or its failure, which an adaptive bucket remembers.
-- KEYS: one per entry. ARGV: three per entry: what ('refund', 'leave'; 'return' and 'failure' of an adaptive bucket),
-- microseconds per token, then the tokens to give back, the id of who leaves, or the size of the bucket.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i, key in ipairs(KEYS) do
  local what, interval, more = ARGV[3 * i - 2], tonumber(ARGV[3 * i - 1]), ARGV[3 * i]
  if what == 'leave' then
    redis.call('ZREM', key, more)
  elseif what == 'refund' then
    local full_at = tonumber(redis.call('GET', key) or now) - interval * more
    if full_at > now then
      redis.call('SET', key, string.format('%.0f', full_at), 'PX', string.format('%.0f', math.ceil((full_at - now) / 1000)))
    else
      redis.call('DEL', key)
    end
  elseif what == 'return' then
    local taken = redis.call('HGET', key, 'taken')
    if taken then redis.call('HSET', key, 'taken', string.format('%.6f', math.max(0, taken - more))) end
  else
    local half_life = interval * more
    local state = redis.call('HMGET', key, 'failures', 'failed_at')
    local late = state[1] and state[1] * 0.5 ^ ((now - state[2]) / half_life) or 0
    redis.call('HSET', key, 'failures', string.format('%.6f', late + 1), 'failed_at', string.format('%.0f', now))
    redis.call('PEXPIRE', key, string.format('%.0f', half_life / 100)) -- ten of them
  end
end
return redis.status_reply('OK')
