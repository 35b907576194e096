-- Reads the list of revoked logins, unless it is the one that the replica knows.
-- KEYS: the list. ARGV: the version that is known.
if redis.call('HGET', KEYS[1], 'version') == ARGV[1] then
    return false
end
return redis.call('HGETALL', KEYS[1])
