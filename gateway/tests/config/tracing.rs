//! What of traces and copies is inferred, inherited, compared, refused and never printed.

use gateway::config::plan::{Tracing, UpstreamId};
use gateway::config::{self, Changes, Plan};
use proptest::prelude::*;

use crate::plans::{duration, name};
use crate::{env, plan};

const ROUTE: &str = "[[listeners]]\naddress = \":0\"\n[[routes]]\nrespond = {}\n";

fn with(lines: &str) -> String {
    format!("[tracing]\n{lines}\n{ROUTE}")
}

/// Two upstreams, what holds for every route, and one route with these keys.
fn mirrored(defaults: &str, route: &str) -> String {
    format!(
        "[upstreams.a]\nservers = [{{ address = \"a:1\" }}]\n[upstreams.b]\nservers = [{{ address = \"b:1\" }}]\n\
         [[listeners]]\naddress = \":0\"\n[defaults]\n{defaults}\n[[routes]]\n{route}\n\
         [[routes]]\nmatch = {{ path = \"/b\" }}\nupstream = \"b\"\n"
    )
}

fn errors(text: String) -> Vec<String> {
    let problems = config::load_text("a.toml", text, &env).unwrap_err();
    problems.0.into_iter().map(|p| p.message).collect()
}

fn mirrors(plan: &Plan) -> Vec<Option<&str>> {
    let name = |id: UpstreamId| &*plan.upstreams[id.0].name;
    plan.routes.iter().map(|r| r.mirror.map(name)).collect()
}

#[test]
fn an_address_is_enough_and_the_rest_is_what_most_want() {
    let tracing = plan(&with("otlp_endpoint = \"http://127.0.0.1:4318\""))
        .tracing
        .unwrap();
    assert_eq!(tracing.url, "http://127.0.0.1:4318/v1/traces");
    assert_eq!((tracing.sample_ppm, tracing.timeout.as_secs()), (10_000, 10));
    assert_eq!((&*tracing.service_name, tracing.queue_max), ("sluice", 16_384));
    assert!(tracing.headers.is_empty());
    assert_eq!(plan(ROUTE).tracing, None);
}

#[test]
fn a_share_is_read_as_people_write_it() {
    for (written, ppm) in [
        ("0", 0),
        ("1", 1_000_000),
        ("0.5", 500_000),
        ("1e-3", 1_000),
        ("0.000001", 1),
        ("\"${SHARE:-0.25}\"", 250_000),
    ] {
        let text = with(&format!("otlp_endpoint = \"http://a\"\nsample = {written}"));
        assert_eq!(plan(&text).tracing.unwrap().sample_ppm, ppm, "{written}");
    }
    for wrong in [
        "-0.1",
        "1.1",
        "5",
        "nan",
        "0.0000001",
        "\"1%\"",
        "\"0.1\"",
        "\"${HOME}\"",
        "true",
    ] {
        let told = errors(with(&format!("otlp_endpoint = \"http://a\"\nsample = {wrong}")));
        assert!(
            told.len() == 1 && told[0].contains("a share from 0 to 1"),
            "{wrong}: {told:?}"
        );
    }
}

#[test]
fn what_cannot_be_sent_is_told() {
    for (lines, told) in [
        ("sample = 0.1", "[tracing] does not say where spans are sent"),
        (
            "otlp_endpoint = \"127.0.0.1:4318\"",
            "\"127.0.0.1:4318\" is not an http or https URL",
        ),
        (
            "otlp_endpoint = \"http://a?key=1\"",
            "a collector is not asked with a query, where secrets would be logged",
        ),
        (
            "otlp_endpoint = \"http://a\"\nheaders = { \"a b\" = \"1\" }",
            "\"a b\" is not the name of a field",
        ),
        (
            "otlp_endpoint = \"http://a\"\nheaders = { Content-Type = \"text/plain\" }",
            "\"Content-Type\" is not for you to say: it follows from what is sent",
        ),
    ] {
        assert_eq!(errors(with(lines)), [told], "{lines}");
    }
}

#[test]
fn what_a_collector_is_told_is_printed_nowhere() {
    let lines = "otlp_endpoint = \"http://a\"\nheaders = { Authorization = \"Bearer ${PASSWORD}\" }";
    let plan = plan(&with(lines));
    let tracing = plan.tracing.clone().unwrap();
    assert_eq!(
        tracing.headers,
        [("Authorization".to_owned(), "Bearer opensesame".to_owned())]
    );
    for text in [config::effective(&plan), format!("{plan:?}")] {
        assert!(
            text.contains("Authorization") && !text.contains("opensesame"),
            "{text}"
        );
    }
    let bad = "otlp_endpoint = \"http://a\"\nheaders = { Authorization = \"${PASSWORD}\\n\" }";
    let problems = config::load_text("a.toml", with(bad), &env)
        .unwrap_err()
        .to_string();
    assert!(!problems.contains("opensesame"), "{problems}");
}

#[test]
fn a_plan_with_tracing_and_mirrors_is_printed_as_it_is_read() {
    let text = format!(
        "[tracing]\notlp_endpoint = \"https://a:1/x\"\nsample = 0.125\nservice_name = \"edge\"\ntimeout = \"3s\"\nmax_queue = 7\n{}",
        mirrored("mirror = \"b\"", "upstream = \"a\"")
    );
    let before = plan(&text);
    let printed = config::effective(&before);
    let after = plan(&printed);
    assert_eq!(
        Changes::between(&before, &after).to_string(),
        "nothing changed\n",
        "{printed}"
    );
    assert_eq!(before, after);
}

#[test]
fn a_mirror_is_inherited_where_an_origin_is_asked_that_is_another() {
    let routes = |route| plan(&mirrored("mirror = \"b\"", route));
    assert_eq!(mirrors(&routes("upstream = \"a\"")), [Some("b"), None]);
    assert_eq!(mirrors(&routes("upstream = \"a\"\nmirror = \"\"")), [None, None]);
    assert_eq!(mirrors(&routes("respond = {}")), [None, None]);
    let split = "split = [{ upstream = \"a\" }, { upstream = \"b\" }]";
    assert_eq!(mirrors(&routes(split)), [None, None]);
}

#[test]
fn a_mirror_that_cannot_be_is_told() {
    for (route, told) in [
        (
            "upstream = \"a\"\nmirror = \"a\"",
            "\"a\" gets the requests of this route already",
        ),
        (
            "split = [{ upstream = \"a\" }, { upstream = \"b\" }]\nmirror = \"b\"",
            "\"b\" gets the requests of this route already",
        ),
        ("upstream = \"a\"\nmirror = \"c\"", "no upstream is named \"c\""),
        (
            "respond = {}\nmirror = \"a\"",
            "`mirror` has no effect with `respond`: no origin is asked",
        ),
    ] {
        assert_eq!(errors(mirrored("", route)), [told], "{route}");
    }
}

#[test]
fn changes_are_told_and_a_new_name_before_the_mirror_s_is_none() {
    let old = plan(&mirrored("", "name = \"r\"\nupstream = \"a\"\nmirror = \"b\""));
    let shifted = mirrored("", "name = \"r\"\nupstream = \"a\"\nmirror = \"b\"")
        + "[upstreams.aa]\nservers = [{ address = \"c:1\" }]\n";
    let told = Changes::between(&old, &plan(&shifted)).to_string();
    assert_eq!(told, "added upstream aa\nadded server aa/c:1\n");
    let traced = format!(
        "[tracing]\notlp_endpoint = \"http://a\"\n{}",
        mirrored("", "name = \"r\"\nupstream = \"a\"")
    );
    let told = Changes::between(&old, &plan(&traced)).to_string();
    assert_eq!(told, "altered [tracing]\naltered route r\n");
}

/// A section drawn at random.
pub fn drawn() -> impl Strategy<Value = Tracing> {
    (0..=1_000_000_u32, name(), duration(1), 1..10_000_000_usize).prop_map(
        |(sample_ppm, service_name, timeout, queue_max)| Tracing {
            url: "https://collector:4318/x/v1/traces".to_owned(),
            sample_ppm,
            service_name,
            // What they say is never printed, so it could not be read again.
            headers: Vec::new(),
            timeout,
            queue_max,
        },
    )
}
