-- wrk: gives one of the subscriptions 1 … BENCH_LAST another status.
local threads = 0
function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end
local last = tonumber(os.getenv("BENCH_LAST"))
function init()
    math.randomseed(tonumber(os.getenv("BENCH_SEED")) * 100 + number)
end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
    local path = string.format("/subscription/00000000-0000-4000-8000-1%011.0f/status/", math.random(1, last))
    return wrk.format(nil, path, nil, string.format('{"status_id":%d}', math.random(3)))
end
