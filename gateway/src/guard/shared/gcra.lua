-- Admits one request by all limits at once, or by none of them.
--
-- KEYS: one for each limit. ARGV: for each limit its emission interval in ns and its burst.
-- Answers with whole numbers: the limit that refuses (counted from 1; 0 = admitted), how long it still refuses
-- in ns, and then for each limit how far it is charged ahead of now in ns, after this request.
--
-- A key holds "SECONDS NANOSECONDS INTERVAL": when all that was spent is back (the theoretical arrival time of
-- GCRA), and the interval it was spent at. Seconds and nanoseconds stand apart because a number here is a double:
-- nanoseconds since 1970 do not fit in its 53 bits, and rates above a million in a second need them. What is
-- calculated with is only the distance from now, which is exact up to 104 days.
local now = redis.call('TIME')
local now_s, now_ns = tonumber(now[1]), tonumber(now[2]) * 1000

local refusing, wait_max = 0, 0
local intervals, aheads = {}, {}
for i = 1, #KEYS do
  local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local span = interval * burst
  local ahead = 0
  -- Whatever else somebody has put there counts as nothing, and is replaced.
  local held = redis.pcall('GET', KEYS[i])
  local s, ns, spent_at = string.match(type(held) == 'string' and held or '', '^(%d+) (%d+) ([1-9]%d*)$')
  if s then
    ahead = math.max(0, (tonumber(s) - now_s) * 1e9 + (tonumber(ns) - now_ns))
    -- Counted at another rate: as many requests are spent at this one.
    if tonumber(spent_at) ~= interval then
      ahead = math.ceil(ahead * interval / tonumber(spent_at))
    end
    -- More than everything cannot be spent: the burst is another one now, or the clock was set back.
    ahead = math.min(ahead, span)
  end
  local wait = ahead + interval - span
  if wait > wait_max then
    refusing, wait_max = i, wait
  end
  intervals[i], aheads[i] = interval, ahead
end

if refusing == 0 then
  for i = 1, #KEYS do
    local ahead = aheads[i] + intervals[i]
    aheads[i] = ahead
    local s, ns = now_s + math.floor(ahead / 1e9), now_ns + ahead % 1e9
    if ns >= 1e9 then
      s, ns = s + 1, ns - 1e9
    end
    -- One more than it takes: the server counts expiry from the beginning of a millisecond.
    local expiry_ms = math.ceil(ahead / 1e6) + 1
    -- '%.0f', because a number turns into text with 14 digits by itself.
    redis.call('SET', KEYS[i], string.format('%.0f %.0f %.0f', s, ns, intervals[i]),
      'PX', string.format('%.0f', expiry_ms))
  end
end

local answer = { refusing, wait_max }
for i = 1, #KEYS do
  answer[i + 2] = aheads[i]
end
return answer
