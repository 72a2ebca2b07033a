extension Manifest {
    /// The locations of the API's description and of the page that shows it, unless there is no folder for them. They
    /// are files, so no route of `functions.yml` may have their paths.
    func documentLocations(_ deployment: Deployment) -> String {
        guard let folder = deployment.documentsFolder else { return "set $document \"\";\n" }
        // nginx would log the name of a file that is not there with whatever lines a client wrote into it.
        let readOnly = """
            log_not_found off;
                max_ranges 0;
                if ($request_method !~ "^(?:GET|HEAD)$") { set $allow "GET, HEAD"; return 405; }
            """
        return """
            location = /openapi.yml {
                root \(nginxWord(folder));
                set $document yes;
                \(readOnly)
                default_type application/yaml;
            }

            location = /docs { absolute_redirect off; return 308 /docs/; }

            location ^~ /docs/ {
                root \(nginxWord(folder));
                set $document yes;
                \(readOnly)
                types { text/html html; text/css css; text/javascript js; image/png png; }
                default_type text/plain;
                charset utf-8;
                index index.html;
            }


            """
    }

    /// What pages may load, and how long answers may be kept. Swagger UI sets styles of its own and has pictures in
    /// its style sheet; nothing comes from elsewhere.
    func documentVariables() -> String {
        let page = [
            "default-src 'none'", "script-src 'self'", "style-src 'self' 'unsafe-inline'", "img-src 'self' data:",
            "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
        ]
        return """
            map $document $content_security_policy {
                "" "default-src 'none'; frame-ancestors 'none'";
                default "\(page.joined(separator: "; "))";
            }
            map "$document$upstream_http_cache_control" $cache_control { "" no-store; yes no-cache; default ""; }

            """
    }
}
