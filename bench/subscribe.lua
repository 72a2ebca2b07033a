-- wrk: every request subscribes a customer that nobody has subscribed before.
local thread_number = 0
function setup(thread)
    thread:set("number", thread_number)
    thread_number = thread_number + 1
end
local count = 0
local run = os.getenv("BENCH_RUN") or "0"
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
    count = count + 1
    return wrk.format(nil, nil, nil, string.format('{"customer_id":"w%s-%d-%d"}', run, number, count))
end
