-- Adds to the list of revoked logins, and drops from it what has expired.
-- KEYS: the list. ARGV: the time, then for each user: who, up to when their logins are ended, and
-- when the last of these would have expired. Times are milliseconds since 1970.
local list, now = KEYS[1], tonumber(ARGV[1])
for at = 2, #ARGV, 3 do
    local user, ended, expires = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local known = redis.call('HGET', list, user) or ''
    local before, until_then = string.match(known, '^(%d+) (%d+)$')
    if before then
        ended, expires = math.max(ended, tonumber(before)), math.max(expires, tonumber(until_then))
    end
    redis.call('HSET', list, user, string.format('%.0f %.0f', ended, expires))
end
-- An empty list lasts for a day, and is then published again.
local last, all = now + 86400000, redis.call('HGETALL', list)
for at = 1, #all, 2 do
    local expires = tonumber(string.match(all[at + 1], '^%d+ (%d+)$'))
    if expires and expires <= now then
        redis.call('HDEL', list, all[at])
    elseif expires then
        last = math.max(last, expires)
    end
end
local clock = redis.call('TIME')
redis.call('HSET', list, 'version', clock[1] .. '.' .. clock[2])
redis.call('PEXPIRE', list, last - now)
