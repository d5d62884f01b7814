use proptest::prelude::*;

use super::profile::Kind;
use super::replay::Group;
use super::*;

const HEAD: &str = r#"
[[listeners]]
address = "127.0.0.1:0"
[[listeners]]
address = "127.0.0.1:0"
name = "inner"
[caches.edge]
memory = "64MiB"
[rate_limits.slow]
key = "client_ip"
rate = "10/s"
[auth.users]
keys = { header = "X-Api-Key", file = "KEYS" }
[upstreams.app]
servers = [{ address = "127.0.0.1:1" }]
[upstreams.other]
servers = [{ address = "127.0.0.1:2" }]
"#;

fn plan_with(routes: &str, keys: &str) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let hash = "0123456789abcdef".repeat(4);
    std::fs::write(&file, format!("{keys}:sha256:{hash}\n")).unwrap();
    // Another folder for each plan would be a difference of its own.
    let text = format!("{HEAD}{routes}").replace("KEYS", &file.display().to_string());
    let mut plan = config::load_text("test.toml", text, &|_| None)
        .unwrap_or_else(|p| panic!("{p}"))
        .plan;
    for auth in &mut plan.auths {
        let auth = std::sync::Arc::make_mut(auth);
        if let config::plan::AuthMethod::Keys(keys) = &mut auth.method {
            keys.file = "/keys".into();
        }
    }
    plan
}

fn plan(routes: &str) -> Plan {
    plan_with(routes, "ann")
}

fn route(name: &str, rest: &str) -> String {
    format!("[[routes]]\nname = \"{name}\"\n{rest}\n")
}

fn groups(old: &Plan, new: &Plan, lines: &[&str]) -> Vec<Group> {
    let mut replay = Replay::new(old, new);
    for line in lines {
        replay.take(&Line::read(line.as_bytes(), Replay::fields()).unwrap());
    }
    replay.groups()
}

const GET_API: &str =
    r#"{"method":"GET","scheme":"https","host":"example.com","path":"/api/a","query":"x=1","route":"api"}"#;

/// The one group that differs.
fn only(old: &str, new: &str, line: &str) -> Group {
    let mut groups = groups(&plan(old), &plan(new), &[line]);
    assert_eq!(groups.len(), 1, "{groups:?}");
    groups.remove(0)
}

fn shown(group: &Group) -> Vec<(Kind, &str, Option<&str>, Option<&str>)> {
    group
        .differences
        .iter()
        .map(|d| (d.kind, d.key.as_str(), d.old.as_deref(), d.new.as_deref()))
        .collect()
}

#[test]
fn what_is_lost_is_told_first() {
    let old = route(
        "api",
        "match = { path_prefix = \"/api\" }\nupstream = \"app\"\nauth = \"users\"\nrate_limits = [\"slow\"]\n\
         [routes.cache]\nstore = \"edge\"\nttl = \"60s\"",
    );
    let new = route(
        "api",
        "match = { path_prefix = \"/api\" }\nupstream = \"other\"\nmax_body = \"1MiB\"",
    );
    let group = only(&old, &new, GET_API);
    let keys: Vec<_> = shown(&group)
        .iter()
        .map(|(kind, key, old, new)| (*kind, *key, old.is_some(), new.is_some()))
        .collect();
    assert_eq!(
        keys,
        [
            (Kind::Access, "auth", true, false),
            (Kind::Cache, "cache.store", true, false),
            (Kind::Limits, "max_body", true, true),
            (Kind::Limits, "rate_limits.slow", true, false),
            (Kind::Destination, "upstream", true, true),
        ]
    );
    assert_eq!(group.examples, ["GET https://example.com/api/a?x=1"]);
    assert_eq!(shown(&group)[0].2, Some("\"users\""));
}

#[test]
fn a_definition_that_changes_changes_whoever_uses_it() {
    let text = route(
        "api",
        "upstream = \"app\"\nrate_limits = [\"slow\"]\nauth = \"users\"",
    );
    let old = plan(&text);
    let new = config::load_text(
        "t",
        HEAD.replace("10/s", "5/s").replace(
            "keys = { header = \"X-Api-Key\", file = \"KEYS\" }",
            "forward = { url = \"http://127.0.0.1:1/\" }",
        ) + &text,
        &|_| None,
    )
    .unwrap()
    .plan;
    let group = groups(&old, &new, &[GET_API]).remove(0);
    let keys: Vec<_> = shown(&group).iter().map(|d| (d.0, d.1)).collect();
    assert_eq!(
        keys,
        [
            (Kind::Access, "auth.users.forward"),
            (Kind::Access, "auth.users.keys"),
            (Kind::Limits, "rate_limits.slow.burst"),
            (Kind::Limits, "rate_limits.slow.rate"),
        ]
    );
    // The text is the same, the file is not.
    let (old, new) = (plan_with(&text, "ann"), plan_with(&text, "bob"));
    let group = groups(&old, &new, &[GET_API]).remove(0);
    assert_eq!(
        shown(&group),
        [(
            Kind::Access,
            "auth.users (contents of its files)",
            Some("\"as OLD reads them\""),
            Some("\"as NEW reads them\"")
        )]
    );
}

#[test]
fn a_request_that_is_served_no_more_is_found() {
    let old = route("api", "upstream = \"app\"");
    for (new, status) in [
        (
            route("web", "match = { host = \"other.com\" }\nupstream = \"app\""),
            "404",
        ),
        (
            route("api", "match = { methods = [\"POST\"] }\nupstream = \"app\""),
            "405",
        ),
    ] {
        let group = only(&old, &new, GET_API);
        assert_eq!(shown(&group), [(Kind::Served, "status", None, Some(status))]);
        let group = only(&new, &old, GET_API);
        assert_eq!(shown(&group), [(Kind::Served, "status", Some(status), None)]);
    }
}

#[test]
fn another_name_for_the_same_is_the_least() {
    let group = only(
        &route("api", "upstream = \"app\""),
        &route("v2", "upstream = \"app\""),
        GET_API,
    );
    assert_eq!(
        (group.kind(), group.old.as_str(), group.new.as_str()),
        (None, "api", "v2")
    );
    let old = plan(&route("api", "upstream = \"app\""));
    assert_eq!(groups(&old, &old, &[GET_API]), []);
}

#[test]
fn what_the_log_does_not_say_is_taken_from_the_route_that_was_taken() {
    let routes = route(
        "beta",
        "match = { listener = \"inner\", headers = { X-Beta = \"2\", X-Any = \"*\" } }\nupstream = \"other\"",
    ) + &route("api", "upstream = \"app\"");
    let (old, new) = (
        plan(&routes),
        plan(&routes.replace("X-Beta = \"2\"", "X-Beta = \"3\"")),
    );
    let beta = GET_API.replace("\"route\":\"api\"", "\"route\":\"beta\"");
    let mut replay = Replay::new(&old, &new);
    for line in [GET_API, &beta] {
        replay.take(&Line::read(line.as_bytes(), Replay::fields()).unwrap());
    }
    assert_eq!((replay.requests, replay.elsewhere), (2, 0));
    let groups = replay.groups();
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].old.as_str(), groups[0].new.as_str()), ("beta", "api"));

    // A log of another configuration is noticed.
    let strange = GET_API.replace("\"route\":\"api\"", "\"route\":\"gone\"");
    replay.take(&Line::read(strange.as_bytes(), Replay::fields()).unwrap());
    assert_eq!(replay.elsewhere, 1);
    // Nor is everything a request that can be routed.
    for line in [
        r#"{"status":400}"#,
        r#"{"method":"GET","path":"/%zz"}"#,
        r#"{"method":"GET","path":"/a/../../b"}"#,
    ] {
        replay.take(&Line::read(line.as_bytes(), Replay::fields()).unwrap());
    }
    assert_eq!((replay.requests, replay.unjudged), (3, 3));
}

#[test]
fn paths_are_read_as_the_gateway_reads_them() {
    let old = plan(&route("api", "upstream = \"app\""));
    let new = plan(
        &(route("api", "upstream = \"app\"")
            + &route(
                "admin",
                "match = { path_prefix = \"/admin\" }\nupstream = \"app\"\nauth = \"users\"",
            )),
    );
    let line = |path: &str| GET_API.replace("/api/a", path);
    for path in ["//admin/x", "/./admin", "/%61dmin", "/admin/../admin/y"] {
        let found = groups(&old, &new, &[&line(path)]);
        assert_eq!(
            found[0].differences[0].key, "auth",
            "{path} passes the route by: {found:?}"
        );
    }
    let found = groups(
        &old,
        &new,
        &[&line("/x/..%2Fadmin%2Fkeys"), &line("/admin%2Fkeys")],
    );
    assert!(found.iter().any(|g| g.new.starts_with("400")), "{found:?}");
}

#[test]
fn counts_of_all_groups_add_up() {
    let old = plan(&route("api", "upstream = \"app\""));
    let new = plan(
        &(route("api", "upstream = \"app\"")
            + &route(
                "a",
                "match = { path_prefix = \"/a\" }\nupstream = \"other\"\nauth = \"users\"",
            )),
    );
    let a = GET_API.replace("/api/a", "/a/b");
    let groups = groups(&old, &new, &[GET_API, &a, &a, GET_API, &a]);
    assert_eq!(groups[0].requests, 3);
    let sums = replay::sums(&groups);
    assert_eq!(
        sums.into_iter().collect::<Vec<_>>(),
        [(Kind::Access, 3), (Kind::Destination, 3)]
    );
}

proptest! {
    #[test]
    fn a_configuration_never_differs_from_itself(
        paths in prop::collection::vec("/[a%2Fe./]{0,8}", 1..8),
        method in prop::sample::select(vec!["GET", "HEAD", "PUT", "x"]),
    ) {
        let plan = plan(&(route("a", "match = { path_prefix = \"/a\" }\nupstream = \"app\"")
            + &route("b", "match = { path_regex = \"^/.*e\", methods = [\"GET\"] }\nupstream = \"other\"")));
        let lines: Vec<String> = paths.iter()
            .map(|path| serde_json::json!({ "method": method, "path": path, "host": "h" }).to_string())
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        prop_assert_eq!(groups(&plan, &plan, &lines), vec![]);
    }
}
