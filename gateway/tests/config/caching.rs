//! What of caching and compression is told, inherited and left out.

use std::path::Path;

use gateway::config;
use gateway::config::plan::Cache;

use crate::{env, plan};

#[test]
fn a_cache_and_a_compression_that_no_route_uses_are_told() {
    let warnings = |text: &str| {
        let text = format!(
            "[[listeners]]\naddress = \":0\"\n[upstreams.app]\nservers = [{{ address = \"a:1\" }}]\n{text}"
        );
        let loaded = config::load_text("a.toml", text, &env).unwrap_or_else(|p| panic!("{p}"));
        loaded
            .warnings
            .0
            .into_iter()
            .map(|w| w.message)
            .collect::<Vec<_>>()
    };
    let sections = "[caches.edge]\n[compression]\n[[routes]]\nname = \"app\"\nupstream = \"app\"\n";
    let told = [
        "no route uses the cache \"edge\"",
        "no route has `compression = true`: no answer is compressed",
    ];
    assert_eq!(warnings(sections), told);
    let used = "compression = true\ncache = { store = \"edge\" }\n";
    assert!(warnings(&format!("{sections}{used}")).is_empty());
    assert!(warnings(&format!("{sections}[defaults]\n{used}")).is_empty());
}

#[test]
fn a_rule_of_a_route_replaces_the_default_as_a_whole_and_only_where_an_origin_is_asked() {
    let plan = plan(
        r#"
[[listeners]]
address = ":0"
[upstreams.app]
servers = [{ address = "a:1" }]
[caches.edge]
[defaults]
compression = true
[defaults.cache]
store = "edge"
ttl = "1m"
bypass = { headers = ["Authorization"] }
[[routes]]
name = "inherits"
match = { path = "/a" }
upstream = "app"
[[routes]]
name = "replaces"
match = { path = "/b" }
upstream = "app"
compression = false
cache = { store = "edge", stale_if_error = "1h" }
[[routes]]
name = "refuses"
match = { path = "/c" }
upstream = "app"
cache = { store = "" }
[[routes]]
name = "answers"
match = { path = "/d" }
respond = {}
"#,
    );
    let [inherits, replaces, refuses, answers] = plan.routes.as_slice() else {
        panic!("four routes")
    };
    let inherited = inherits.cache.as_ref().unwrap();
    assert_eq!(inherited.ttl.unwrap().as_secs(), 60);
    assert_eq!(inherited.bypass.headers, ["authorization"]);
    let own = replaces.cache.as_ref().unwrap();
    assert_eq!((own.ttl, own.stale_if_error.as_secs()), (None, 3_600));
    assert!(own.bypass.headers.is_empty());
    assert_eq!((&refuses.cache, &answers.cache), (&None, &None));
    assert!(inherits.compression && !replaces.compression && answers.compression);
}

#[test]
fn a_cache_as_large_as_it_says_keeps_nothing_larger() {
    let cache = |keys: &str| {
        let text = format!("[[listeners]]\naddress = \":0\"\n[caches.a]\n{keys}");
        Cache::clone(&plan(&text).caches[0])
    };
    let mib = |n: u64| n << 20;
    let alone = cache("");
    assert_eq!((alone.memory, alone.disk, &alone.path), (mib(64), 0, &None));
    assert_eq!((alone.max_object, alone.min_uses), (mib(64), 1));
    assert_eq!(cache("memory = \"2GiB\"").max_object, mib(512));
    let small = cache("disk = \"100MiB\"\npath = \"run/cache\"");
    assert_eq!(small.max_object, mib(100));
    assert_eq!(small.path.unwrap(), Path::new("run/cache"));
    let off = cache("disk = \"0\"\npath = \"/a\"");
    assert_eq!((off.disk, off.path), (0, None));
}
