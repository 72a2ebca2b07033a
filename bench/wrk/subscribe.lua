-- wrk: half of the requests subscribe one of the customers c1 … cEXISTING again, half a customer whom nobody knows.
local threads = 0
function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end
local existing = tonumber(os.getenv("BENCH_EXISTING"))
function init()
    math.randomseed(tonumber(os.getenv("BENCH_SEED")) * 100 + number)
end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
    local customer = math.random(1, existing)
    if math.random(2) == 2 then customer = customer + existing * math.random(1, 2 ^ 31) end
    return wrk.format(nil, nil, nil, string.format('{"customer_id":"c%.0f"}', customer))
end
