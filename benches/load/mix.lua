-- For wrk: the paths of this folder in turn, and at the end how many answers were errors. As fast as it goes, so what it
-- says of latencies is what they are under more than can be served: for latencies take a scenario.
--
--   wrk -t1 -c64 -d10s --latency -s benches/load/mix.lua http://127.0.0.1:8080

local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local requests, nth = {}, 0

function init()
  for path in io.lines(folder .. "paths") do
    if path ~= "" then
      requests[#requests + 1] = wrk.format("GET", path)
    end
  end
end

function request()
  nth = nth % #requests + 1
  return requests[nth]
end

function done(summary, latency)
  local failed = summary.errors
  local errors = failed.status + failed.connect + failed.read + failed.write + failed.timeout
  io.write(string.format("p95 %.2f ms, p99 %.2f ms, errors %.2f %%\n", latency:percentile(95) / 1000,
    latency:percentile(99) / 1000, 100 * errors / math.max(1, summary.requests)))
end
