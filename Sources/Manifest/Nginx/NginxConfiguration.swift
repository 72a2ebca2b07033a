extension Manifest {
    /// The whole `nginx.conf` of the gateway. Whoever starts nginx chooses `daemon on` or `off`; the folders of
    /// `deployment` must exist.
    public func nginxConfiguration(_ deployment: Deployment) -> String {
        let locations = Location.all(of: functions)
        let hasCors = locations.contains { !$0.corsMethods.isEmpty }
        let server = """
            # Without reuseport, which would let a second gateway take half of these connections in place of failing.
            listen 127.0.0.1:\(deployment.gatewayPort) default_server backlog=4096;

            \(headers(hasCors: hasCors))
            \(errorPages(hasCors: hasCors))
            \(locations.flatMap(\.blocks).joined(separator: "\n"))
            \(documentLocations(deployment))\
            location / { return 404; }
            """
        let http = """
            \(logging(deployment))
            \(variables(hasCors: hasCors))
            \(client(deployment))
            \(fastcgi())
            \(functions.filter { !$0.routes.isEmpty }.map { upstream($0, deployment) }.joined(separator: "\n"))
            server {
            \(indented(server))
            }
            """
        return """
            # Rendered from functions.yml by "taproom render"; edit that file instead.

            \(process(deployment))
            http {
            \(indented(http))
            }

            """
    }

    private func process(_ deployment: Deployment) -> String {
        let user = deployment.user.map { user in
            "user \(nginxWord(user))\(deployment.group.map { " \(nginxWord($0))" } ?? "");\n"
        }
        return """
            \(user ?? "")worker_processes auto;
            worker_rlimit_nofile 16384;
            worker_shutdown_timeout 30s;
            pcre_jit on;
            pid \(nginxWord(deployment.pidFolder + "/nginx.pid"));
            error_log \(nginxWord(deployment.log(of: "nginx"))) warn;
            events { worker_connections 4096; }

            """
    }

    private func logging(_ deployment: Deployment) -> String {
        """
        # $request_method and $uri become those of the error location, and a query may hold secrets.
        map $request $log_method { "~^(?<verb>[A-Za-z]+) " $verb; default ""; }
        # Bytes that are not ASCII would be logged as they came, in UTF-8 or not.
        map $request_uri $log_path { "~^(?<raw_path>[^?\\x80-\\xff]*)(?:\\?|\\z)" $raw_path; default "(not ASCII)"; }
        log_format json escape=json '{"time":"$time_iso8601","request_id":"$rid","client":"$remote_addr",'
            '"method":"$log_method","uri":"$log_path","status":$status,"bytes":$body_bytes_sent,'
            '"request_time":$request_time,"function":"$function","upstream_status":"$upstream_status",'
            '"upstream_connect_time":"$upstream_connect_time","upstream_response_time":"$upstream_response_time"}';
        access_log \(nginxWord(deployment.logFolder + "/access.log")) json buffer=64k flush=1s;

        """
    }

    private func variables(hasCors: Bool) -> String {
        let used = Set(functions.flatMap { $0.routes.map(\.method) })
        let methods = Location.withHead(used.sorted()).joined(separator: ", ")
        let cors = """
            map $preflight $preflight_headers {
                "" ""; default "content-type, x-request-id, traceparent, idempotency-key, if-match";
            }
            map $preflight $preflight_age { "" ""; default 3600; }
            map $cors $exposed_headers {
                "" ""; default "x-request-id, traceparent, location, link, etag, retry-after, idempotent-replayed";
            }

            """
        return """
            map $http_x_request_id $rid { "~^[A-Za-z0-9._-]{1,128}\\z" $http_x_request_id; default $request_id; }
            # A function's answer has its trace already; the gateway's own has that of the request, as functions take it.
            map "$upstream_http_traceparent $http_traceparent" $trace {
                "~^ 00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\\z" $http_traceparent; default "";
            }
            # "-" is a connection that was never made: refused, backlog full, or max_conns reached.
            map $upstream_connect_time $executed { "~-\\z" no; "" no; default unknown; }
            # The method of a request that a page on another origin sends, as browsers tell and programs do not.
            map $http_sec_fetch_site $cross_origin {
                cross-site $request_method; same-site $request_method; default "";
            }
            \(documentVariables())\
            # A 405 of nginx itself, for TRACE and CONNECT, comes before any location.
            map "$status$allow$upstream_status" $allow_header { 405 "\(methods)"; default $allow; }
            \(hasCors ? cors : "")uninitialized_variable_warn off;

            """
    }

    /// Every header that the gateway adds, in one place: an `add_header` in a location drops those above it. One
    /// whose value is empty is not sent.
    private func headers(hasCors: Bool) -> String {
        let cors = """
            add_header Access-Control-Allow-Origin $cors always;
            add_header Access-Control-Expose-Headers $exposed_headers always;
            add_header Access-Control-Allow-Methods $preflight always;
            add_header Access-Control-Allow-Headers $preflight_headers always;
            add_header Access-Control-Max-Age $preflight_age always;

            """
        return """
            add_header X-Request-Id $rid always;
            add_header traceparent $trace always;
            add_header X-Content-Type-Options nosniff always;
            add_header Content-Security-Policy $content_security_policy always;
            add_header Cache-Control $cache_control always;
            add_header Allow $allow_header always;
            add_header Retry-After $retry_after always;
            \(hasCors ? cors : "")
            """
    }

    private func client(_ deployment: Deployment) -> String {
        let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map { kind in
            "\(kind)_temp_path \(nginxWord("\(deployment.temporaryFolder)/\(kind)"));"
        }
        return """
            server_tokens off;
            underscores_in_headers off;
            ignore_invalid_headers on;
            client_max_body_size 64k;
            client_body_buffer_size 64k;
            large_client_header_buffers 4 8k;
            client_header_timeout 10s;
            client_body_timeout 10s;
            send_timeout 30s;
            reset_timedout_connection on;
            keepalive_timeout 65s;
            keepalive_requests 10000;
            \(folders.joined(separator: "\n"))

            """
    }

    private func fastcgi() -> String {
        """
        # A kept connection would pin a worker, and an unread body would be parsed as the next request.
        fastcgi_keep_conn off;
        # What may have run once is not sent a second time.
        fastcgi_next_upstream off;
        fastcgi_intercept_errors off;
        fastcgi_connect_timeout 2s;
        fastcgi_send_timeout 10s;
        fastcgi_buffer_size 8k;
        fastcgi_buffers 16 8k;
        fastcgi_busy_buffers_size 16k;
        fastcgi_max_temp_file_size 64m;
        fastcgi_hide_header X-Request-Id;
        fastcgi_param GATEWAY_INTERFACE CGI/1.1;
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param REQUEST_URI $request_uri;
        fastcgi_param CONTENT_TYPE $content_type;
        fastcgi_param CONTENT_LENGTH $content_length;
        fastcgi_param REMOTE_ADDR $remote_addr;
        fastcgi_param SERVER_PROTOCOL $server_protocol;
        fastcgi_param REQUEST_START $msec;
        fastcgi_param HTTP_X_REQUEST_ID $rid;
        fastcgi_param HTTP_PROXY "";

        """
    }

    /// `max_conns` bounds what is at the workers and queued in front of them, eight for each: past it the answer is an
    /// immediate 503. It counts over all of nginx's workers only with a zone.
    private func upstream(_ function: FunctionEntry, _ deployment: Deployment) -> String {
        """
        upstream \(upstreamName(function)) {
            zone \(upstreamName(function)) 64k;
            server \(nginxWord("unix:" + deployment.socket(of: function))) max_conns=\(8 * function.reservedConcurrency) \
        max_fails=0;
        }

        """
    }
}
