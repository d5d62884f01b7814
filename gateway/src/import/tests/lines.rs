//! Single directives, and what becomes of them.

use super::{Outcome, http, imported, outcome, route, server, table};

fn text(table: &toml::Table, path: &str) -> String {
    let mut value = &toml::Value::Table(table.clone());
    for step in path.split('/') {
        value = match step.parse::<usize>() {
            Ok(at) => &value[at],
            Err(_) => &value[step],
        };
    }
    value.to_string()
}

#[test]
fn a_path_of_proxy_pass_takes_the_place_of_the_locations() {
    for (location, pass, rewrite) in [
        ("/api/", "http://h:1/", "{ strip_prefix = \"/api\" }"),
        ("/api/", "http://h:1/api/", "none"),
        ("/api/", "http://h:1", "none"),
        ("/", "http://h:1/", "none"),
        ("/", "http://h:1/v2/", "{ regex = \"^/\", to = \"/v2/\" }"),
        ("/api/", "http://h:1/v2", "{ regex = \"^/api/\", to = \"/v2\" }"),
        ("/a.b/", "http://h:1/$$x/", "none"),
        ("= /a", "http://h:1/b", "{ regex = \"^.*$\", to = \"/b\" }"),
    ] {
        let table = server(&format!("listen 1; location {location} {{ proxy_pass {pass}; }}"));
        let routes = table["routes"].as_array().unwrap();
        let found = routes.last().unwrap().get("rewrite");
        let found = found.map_or("none".to_owned(), |r| r.to_string());
        if !pass.contains('$') {
            assert_eq!(found, rewrite, "{location} {pass}");
        }
    }
}

#[test]
fn a_slash_is_put_where_nginx_puts_one_by_itself() {
    let table = server("listen 1; location /api/ { proxy_pass http://h:1; }");
    assert_eq!(
        text(&route(&table, "api-slash"), "redirect/to"),
        "\"/api/${query}\""
    );
    let table = server("listen 1; location /api/ { proxy_pass http://h:1; } location = /api { return 204; }");
    assert_eq!(table["routes"].as_array().unwrap().len(), 2);
}

#[test]
fn expressions_go_before_prefixes_unless_told_otherwise() {
    let table = server(
        "listen 1; location /a/ { proxy_pass http://h:1; } location ^~ /b/ { proxy_pass http://h:2; }\n\
         location ~ \\.php$ { return 403; } location ~* \\.(png|jpg)$ { return 204; } location / { return 404; }",
    );
    let matches: Vec<String> = table["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r.get("match").map_or(String::new(), |m| m.to_string()))
        .collect();
    assert_eq!(
        matches,
        [
            "{ path = \"/b\" }",
            "{ path_prefix = \"/b/\" }",
            "{ path_regex = '\\.php$' }",
            "{ path_regex = '(?i)\\.(png|jpg)$' }",
            "",
            "{ path_regex = \"^/a/\" }",
        ]
    );
}

#[test]
fn a_prefix_that_keeps_out_keeps_out_by_letters() {
    let table = server("listen 1; location /internal { deny all; } location / { proxy_pass http://h:1; }");
    let internal = route(&table, "internal");
    assert_eq!(text(&internal, "match/path_regex"), "\"^/internal\"");
    assert_eq!(text(&internal, "deny"), "[\"0.0.0.0/0\", \"::/0\"]");
    let imported = http("server { listen 1; location /docs { proxy_pass http://h:1; } }");
    assert_eq!(outcome(&imported, "location /docs"), Outcome::Differs);
}

#[test]
fn lists_of_networks_mean_what_their_order_means() {
    for (rules, allow, deny) in [
        ("allow 10.0.0.0/8; deny all;", "[\"10.0.0.0/8\"]", "[]"),
        (
            "deny 10.0.0.1; allow 10.0.0.0/30; deny all;",
            "[\"10.0.0.0\", \"10.0.0.2/31\"]",
            "[]",
        ),
        ("deny 10.0.0.1; allow all;", "[]", "[\"10.0.0.1\"]"),
        ("allow 10.0.0.0/31; deny 10.0.0.0/30;", "[]", "[\"10.0.0.2/31\"]"),
        ("deny all; allow 10.0.0.1;", "[]", "[\"0.0.0.0/0\", \"::/0\"]"),
        ("allow all; deny 10.0.0.1;", "[]", "[]"),
        ("allow example.com; deny all;", "[]", "[\"0.0.0.0/0\", \"::/0\"]"),
    ] {
        let table = server(&format!(
            "listen 1; location / {{ {rules} proxy_pass http://h:1; }}"
        ));
        let route = route(&table, "all");
        let of = |key: &str| route.get(key).map_or("[]".to_owned(), |v| v.to_string());
        assert_eq!(
            (of("allow").as_str(), of("deny").as_str()),
            (allow, deny),
            "{rules}"
        );
    }
}

#[test]
fn what_kept_clients_out_and_is_not_translated_leaves_the_route_closed() {
    for restriction in [
        "if ($http_x = 1) { return 403; }",
        "auth_jwt realm;",
        "auth_request $asked;",
        "auth_basic realm;",
        "allow example.com;",
        "limit_except GET { allow 10.0.0.1; deny all; }",
        "access_by_lua_block { ngx.exit(403) }",
    ] {
        let imported = http(&format!(
            "server {{ listen 1; location / {{ {restriction} proxy_pass http://h:1; }} }}"
        ));
        assert!(
            imported
                .toml
                .contains("deny            = [\"0.0.0.0/0\", \"::/0\"]"),
            "{restriction}\n{}",
            imported.toml
        );
        assert!(
            imported.toml.contains("# closed: "),
            "{restriction}\n{}",
            imported.toml
        );
        assert!(imported.report.count(Outcome::NotTranslated) > 0, "{restriction}");
    }
}

#[test]
fn methods_that_are_kept_out_find_no_other_route() {
    let table = server(
        "listen 1; location /a { limit_except GET { deny all; } proxy_pass http://h:1; } location / { proxy_pass http://h:2; }",
    );
    let routes = table["routes"].as_array().unwrap();
    let own: Vec<_> = routes
        .iter()
        .filter(|r| r["name"].as_str().unwrap().starts_with('a') && r["name"].as_str() != Some("all"))
        .collect();
    assert_eq!(own.len(), 2, "{table}");
    assert_eq!(own[0]["respond"]["status"].as_integer(), Some(403));
    assert_eq!(own[1]["match"]["methods"].to_string(), "[\"GET\"]");
}

#[test]
fn servers_are_told_apart_by_host_and_socket() {
    let imported = http(
        "server { listen 80 default_server; server_name _; return 444; }\n\
         server { listen 80; server_name a.test *.a.test; location / { proxy_pass http://h:1; } }\n\
         server { listen 80; server_name b.test; location /x/ { proxy_pass http://h:1; } }",
    );
    let table = table(&imported);
    let matches: Vec<String> = table["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r.get("match").map_or(String::new(), |m| m.to_string()))
        .collect();
    assert_eq!(
        matches,
        [
            "",
            "{ host = \"a.test\" }",
            "{ host = \"*.a.test\" }",
            "{ host = \"b.test\", path = \"/x\" }",
            "{ host = \"b.test\", path_prefix = \"/x/\" }",
            // Or the default server would take what b.test has nothing for.
            "{ host = \"b.test\" }",
        ]
    );
}

#[test]
fn both_families_of_a_port_are_one_listener() {
    let table = server("listen 80; listen [::]:80; location / { return 204; }");
    assert_eq!(table["listeners"].to_string(), "[{ address = \"[::]:80\" }]");
}

#[test]
fn plain_connections_are_sent_to_encrypted_ones() {
    let imported = imported(
        "http { server { listen 80; listen 443 ssl; server_name a.test; ssl_certificate /c; ssl_certificate_key /k;\n\
         if ($scheme != \"https\") { return 301 https://$host$request_uri; } location / { proxy_pass http://h:1; } } }",
    );
    let table = table(&imported);
    assert_eq!(text(&table, "routes/1/match/listener"), "\"https\"");
    assert_eq!(text(&table, "routes/0/match/listener"), "\"http\"");
    assert_eq!(text(&table, "routes/0/redirect/to"), "\"https://${host}${uri}\"");
    assert_eq!(text(&table, "listeners/1/http2"), "false");
}

#[test]
fn files_are_found_where_nginx_finds_them() {
    let table = server(
        "listen 1; location /static/ { root /srv; } location /media/ { alias /data/m/; autoindex on; gzip_static on; }\n\
         location = /f { alias /srv/x/file.txt; } location / { root /www; index a.html b.html; try_files $uri $uri/ /index.html; }",
    );
    assert_eq!(
        text(&route(&table, "static"), "static_files/root"),
        "\"/srv/static\""
    );
    assert_eq!(
        text(&route(&table, "media"), "static_files"),
        "{ directory_listing = true, precompressed = [\"gzip\"], root = \"/data/m\" }"
    );
    assert_eq!(text(&route(&table, "f"), "static_files/root"), "\"/srv/x\"");
    assert_eq!(text(&route(&table, "f"), "rewrite/to"), "\"/file.txt\"");
    assert_eq!(
        text(&route(&table, "all"), "static_files/try_files"),
        "[\"/index.html\"]"
    );
}

#[test]
fn redirects_keep_code_and_query() {
    for (line, redirect) in [
        (
            "return 301 https://$host$request_uri;",
            "{ status = 301, to = \"https://${host}${uri}\" }",
        ),
        (
            "return https://a.test/;",
            "{ status = 302, to = \"https://a.test/\" }",
        ),
        (
            "rewrite ^(.*)$ https://a.test$1 permanent;",
            "{ status = 301, to = \"https://a.test${path}${query}\" }",
        ),
        ("rewrite ^/(.*)$ /new/$1? redirect;", "none"),
        (
            "rewrite ^ https://a.test$request_uri? permanent;",
            "{ status = 301, to = \"https://a.test${uri}\" }",
        ),
    ] {
        let table = server(&format!("listen 1; location / {{ {line} }}"));
        let found = route(&table, "all")
            .get("redirect")
            .map_or("none".to_owned(), |r| r.to_string());
        if redirect != "none" {
            assert_eq!(found, redirect, "{line}");
        }
    }
}

#[test]
fn a_service_that_is_asked_is_found_by_its_location() {
    let table = server(
        "listen 1; location / { auth_request /check; auth_request_set $u $upstream_http_x_user; proxy_set_header X-User $u; proxy_pass http://h:1; }\n\
         location = /check { internal; proxy_pass http://auth:9000/verify; }",
    );
    assert_eq!(
        text(&table, "auth/service/forward"),
        "{ copy_headers = [\"X-User\"], url = \"http://auth:9000/verify\" }"
    );
    assert_eq!(text(&route(&table, "check"), "respond/status"), "404");
}

#[test]
fn a_cache_that_would_keep_what_nginx_tells_apart_is_left_out() {
    let zone = "proxy_cache_path /c keys_zone=z:1m;";
    for (line, keeps) in [
        ("proxy_cache_key $scheme$host$request_uri;", true),
        ("proxy_cache_key $host$uri$cookie_lang$http_x_tenant;", true),
        ("proxy_cache_key $host$uri$geo;", false),
        ("proxy_no_cache $cookie_session;", true),
        ("proxy_no_cache $private;", false),
        ("proxy_cache_bypass $arg_fresh;", true),
    ] {
        let imported = http(&format!(
            "{zone} server {{ listen 1; location / {{ proxy_cache z; proxy_cache_valid 1m; {line} proxy_pass http://h:1; }} }}"
        ));
        assert_eq!(
            imported.toml.contains("[routes.cache]"),
            keeps,
            "{line}\n{}",
            imported.toml
        );
    }
}

#[test]
fn limits_count_as_nginx_counts() {
    let imported = http(
        "limit_req_zone $http_x_api_key zone=k:1m rate=30r/m; limit_req_zone $server_name zone=g:1m rate=5r/s; limit_conn_zone $binary_remote_addr zone=c:1m;\n\
         server { listen 1; location / { limit_req zone=k burst=4 nodelay; limit_req zone=g; limit_conn c 2; limit_req_status 429; proxy_pass http://h:1; } }",
    );
    let table = table(&imported);
    assert_eq!(
        text(&table, "rate_limits/k"),
        "{ burst = 5, key = \"header:X-Api-Key\", rate = \"30/m\" }"
    );
    assert_eq!(
        text(&table, "rate_limits/g"),
        "{ burst = 1, key = \"global\", rate = \"5/s\" }"
    );
    assert_eq!(
        text(&table, "concurrency_limits/c"),
        "{ key = \"client_ip\", max = 2 }"
    );
}

#[test]
fn a_server_whose_listener_does_not_ask_for_certificates_is_closed() {
    let server = |name: &str, lines: &str| {
        format!(
            "server {{ listen 443 ssl; server_name {name}; ssl_certificate /c; ssl_certificate_key /k; {lines} location / {{ proxy_pass http://h:1; }} }}"
        )
    };
    let asks = "ssl_verify_client on; ssl_client_certificate /ca;";
    let closed = |text: String| {
        imported(&format!("http {{ {text} }}"))
            .toml
            .matches("# closed: ")
            .count()
    };
    assert_eq!(closed(server("a.test", asks)), 0);
    assert_eq!(closed(server("a.test", asks) + &server("b.test", asks)), 0);
    assert_eq!(closed(server("a.test", "") + &server("b.test", asks)), 1);
    assert_eq!(closed(server("a.test", "ssl_verify_client on;")), 1);
}

#[test]
fn calls_of_grpc_go_to_an_upstream_that_speaks_http_2() {
    let imported = http(
        "upstream app { server 10.0.0.1:50051; server 10.0.0.2:50051; keepalive 8; }\n\
         server { listen 80; http2 on; proxy_read_timeout 3s; grpc_read_timeout 1h; grpc_set_header X-A b; grpc_hide_header X-B;\n\
         location /plain.Service/ { grpc_pass grpc://app; }\n\
         location /bare.Service/ { grpc_pass app; }\n\
         location /tls.Service/ { grpc_pass grpcs://b.test; grpc_ssl_verify on; grpc_buffer_size 4k; } }",
    );
    let table = table(&imported);
    let upstreams = table["upstreams"].as_table().unwrap();
    assert_eq!(upstreams.len(), 2, "{table}");
    assert_eq!(text(&table, "upstreams/app/protocol"), "\"h2c\"");
    assert_eq!(text(&table, "upstreams/app/read_timeout"), "\"1h\"");
    let secret = upstreams.iter().find(|(name, _)| *name != "app").unwrap().1;
    assert_eq!(
        (
            secret["protocol"].as_str(),
            secret["servers"][0]["address"].as_str()
        ),
        (Some("http2"), Some("b.test:443"))
    );
    assert!(secret.get("tls").is_some() && upstreams["app"].get("tls").is_none());
    let routes = table["routes"].as_array().unwrap();
    let calls = || routes.iter().filter(|r| r.get("upstream").is_some());
    assert_eq!(calls().count(), 3, "{table}");
    for call in calls() {
        let text = call.to_string();
        assert!(text.contains("X-A = \"b\"") && text.contains("\"X-B\""), "{text}");
    }
    assert_eq!(outcome(&imported, "grpc_pass grpc://app"), Outcome::Translated);
    assert_eq!(outcome(&imported, "grpc_buffer_size"), Outcome::Translated);
    // What belongs to the other family says nothing here.
    assert!(!imported.toml.contains("3s"), "{}", imported.toml);
}

#[test]
fn servers_that_are_asked_in_both_ways_are_two_upstreams_and_that_is_told() {
    let imported = http(
        "upstream app { server 10.0.0.1:80; } server { listen 80;\n\
         location /a/ { proxy_pass http://app; } location /b/ { grpc_pass grpc://app; } }",
    );
    assert_eq!(outcome(&imported, "proxy_pass"), Outcome::Translated);
    assert_eq!(outcome(&imported, "grpc_pass"), Outcome::Differs);
    assert_eq!(table(&imported)["upstreams"].as_table().unwrap().len(), 2);
    let closed = http("server { listen 80; location /b/ { grpc_pass grpc://h:1/x; } }");
    assert_eq!(outcome(&closed, "grpc_pass"), Outcome::NotTranslated);
    assert!(closed.toml.contains("status = 501"), "{}", closed.toml);
}
