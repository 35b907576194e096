-- Gives a charge back, unless another series has begun.
-- KEYS: the account. ARGV: the series; the most failures; the window in microseconds.
local account, series = KEYS[1], tonumber(ARGV[1])
local most, window = tonumber(ARGV[2]), tonumber(ARGV[3])
local seen = redis.call('HMGET', account, 'since', 'charges')
local since, charges = tonumber(seen[1]), tonumber(seen[2])
if since ~= series then
    return 0
end
local clock = redis.call('TIME')
local rest = math.min(since + window - (clock[1] * 1000000 + clock[2]), window)
if charges <= 1 or (charges == most and rest <= 0) then
    return redis.call('DEL', account)
end
redis.call('HINCRBY', account, 'charges', -1)
if charges == most then
    -- The delay that it began is over.
    redis.call('PEXPIRE', account, math.ceil(rest / 1000))
end
return 1
