-- wrk: orders as the charge function sends them, each on a connection of its own.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Connection"] = "close"
wrk.body = '{"customer_id":"c1","sku_id":1}'
