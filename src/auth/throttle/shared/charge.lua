-- Charges an attempt to an account before it is made.
-- KEYS: the account. ARGV: the most failures; the window and the delay in microseconds.
-- Returns {1, the series that was charged}, or {0, the rest of the delay in microseconds}.
local account = KEYS[1]
local most, window, delay = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local seen = redis.call('HMGET', account, 'since', 'latest', 'charges')
local since, latest, charges = tonumber(seen[1]), tonumber(seen[2]), tonumber(seen[3])
if charges and charges >= most then
    local left = math.min(latest + delay - now, delay)
    if left > 0 then
        return {0, left}
    end
    charges = nil
elseif charges and now >= since + window then
    charges = nil
end
-- A series is known by the time of its first charge.
since, charges = charges and since or now, (charges or 0) + 1
redis.call('HSET', account, 'since', since, 'latest', now, 'charges', charges)
local rest = charges >= most and delay or math.min(since + window - now, window)
redis.call('PEXPIRE', account, math.ceil(rest / 1000))
return {1, since}
