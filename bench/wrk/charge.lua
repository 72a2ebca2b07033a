-- wrk: charges any of the subscriptions 1 … BENCH_LAST, or, with BENCH_FIRST, each of those after it once.
local threads = 0
function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end
local every = tonumber(os.getenv("BENCH_THREADS"))
local first, last, count = tonumber(os.getenv("BENCH_FIRST") or ""), tonumber(os.getenv("BENCH_LAST") or ""), 0
function init()
    math.randomseed(tonumber(os.getenv("BENCH_SEED")) * 100 + number)
end
wrk.method = "POST"
function request()
    local n
    if first then
        n = first + every * count + number
        count = count + 1
    else
        n = math.random(1, last)
    end
    return wrk.format(nil, string.format("/subscription/00000000-0000-4000-8000-1%011.0f/charge/bench-%.0f", n, n))
end
