-- The requests of one measurement, for wrk: wrk … -s requests.lua URL -- METHOD TOKEN PATHS [BODY]
-- PATHS is a file with one path a line, taken in turn from a random start; BODY a file with the body.

local method, token, paths, body, at

function init(arguments)
   method, token = arguments[1], arguments[2]
   paths = {}
   for line in io.lines(arguments[3]) do paths[#paths + 1] = line end
   if arguments[4] then body = io.open(arguments[4]):read("a") end
   math.randomseed(os.time())
   at = math.random(#paths)
   wrk.headers["X-Auth-Token"] = token
   wrk.headers["Accept"] = "application/json"
   wrk.headers["Content-Type"] = "application/json"
end

function request()
   at = at % #paths + 1
   return wrk.format(method, paths[at], nil, body)
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format("result %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
