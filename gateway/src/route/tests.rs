use proptest::prelude::*;

use super::*;

fn matching(host: &str, path: PathPattern) -> Match {
    Match {
        listener: None,
        host: HostPattern::parse(host).unwrap(),
        path,
        methods: Vec::new(),
        headers: Vec::new(),
        query: Vec::new(),
    }
}

fn exact(path: &str) -> PathPattern {
    PathPattern::Exact(path.into())
}

fn prefix(path: &str) -> PathPattern {
    PathPattern::Prefix(path.into())
}

fn regex(text: &str) -> PathPattern {
    PathPattern::Regex(Pattern::parse(text).unwrap())
}

fn get<'a>(host: &'a str, path: &'a str, fields: &'a Fields) -> Facts<'a> {
    Facts {
        listener: None,
        host,
        path,
        method: "GET",
        query: None,
        fields,
    }
}

/// What a trace was told: the route, and whether it was the one.
#[derive(Default)]
struct Told(Vec<(&'static str, String)>);

impl Trace<&'static str> for Told {
    fn tried(&mut self, target: &&'static str, miss: Option<Miss<'_>>) {
        self.0.push((target, format!("{miss:?}")));
    }
}

#[test]
fn whoever_asks_is_told_which_nearer_routes_did_not_match_and_why() {
    let with = |m: Match, change: fn(&mut Match)| {
        let mut m = m;
        change(&mut m);
        m
    };
    let table = Table::new([
        (
            with(matching("a", exact("/x")), |m| m.methods = vec!["POST".into()]),
            "post",
        ),
        (
            with(matching("a", prefix("/x")), |m| {
                m.listener = Some("inside".into())
            }),
            "inside",
        ),
        (
            with(matching("a", prefix("/x")), |m| {
                m.headers = vec![("x-v".into(), ValueTest::Equals("2".into()))]
            }),
            "header",
        ),
        (
            with(matching("a", regex("^/x")), |m| {
                m.query = vec![("q".into(), ValueTest::Present)]
            }),
            "query",
        ),
        (matching("*", prefix("/x")), "any host"),
        (matching("*", PathPattern::Any), "never asked"),
    ]);
    let fields = Fields::default();
    let mut told = Told::default();
    assert_eq!(
        table.route(&get("a", "/x", &fields), &mut told),
        Routed::Route(&"any host")
    );
    let told: Vec<(&str, &str)> = told.0.iter().map(|(route, miss)| (*route, &**miss)).collect();
    assert_eq!(
        told,
        [
            ("post", r#"Some(Method(["POST"]))"#),
            ("inside", r#"Some(Listener("inside"))"#),
            ("header", r#"Some(Header("x-v", Some("2")))"#),
            ("query", r#"Some(Query("q", None))"#),
            ("any host", "None"),
        ]
    );
}

#[test]
fn an_encoded_slash_that_would_pass_another_route_by_is_told_with_both_routes() {
    let table = Table::new([
        (matching("*", prefix("/admin/keys")), "keys"),
        (matching("*", exact("/written%2Fout")), "written"),
        (matching("*", PathPattern::Any), "any"),
    ]);
    let fields = Fields::default();
    let route = |path| table.route(&get("a", path, &fields), &mut ());
    let passed = Routed::PassesBy {
        route: &"any",
        other: Some(&"keys"),
    };
    assert_eq!(route("/admin%2Fkeys"), passed);
    assert_eq!(route("/other%2Fkeys"), Routed::Route(&"any"));
    assert_eq!(route("/written%2Fout"), Routed::Route(&"written"));
}

#[test]
fn the_more_specific_wins_whatever_the_order_of_the_file() {
    let table = Table::new([
        (matching("*", PathPattern::Any), "any"),
        (matching("*", regex("^/a/.*x")), "regex"),
        (matching("*", prefix("/a")), "prefix"),
        (matching("*", prefix("/a/b")), "longer"),
        (matching("*", exact("/a/b")), "exact"),
        (matching("*.b.c", prefix("")), "below"),
        (matching("*.c", prefix("")), "further below"),
        (matching("a.b.c", prefix("/only")), "host"),
    ]);
    let fields = Fields::default();
    for (host, path, want) in [
        ("x", "/a/b", "exact"),
        ("x", "/a/b/", "longer"),
        ("x", "/a/b/x", "longer"),
        ("x", "/a/bx", "prefix"),
        ("x", "/a", "prefix"),
        ("x", "/ax", "any"),
        ("x", "/b/a/x", "any"),
        ("a.b.c", "/only/this", "host"),
        ("a.b.c", "/", "below"),
        ("b.c", "/", "further below"),
    ] {
        assert_eq!(
            table.find(&get(host, path, &fields)),
            Found::Route(&want),
            "{host}{path}"
        );
    }
}

#[test]
fn a_method_no_route_is_for_gets_the_list_of_those_there_are() {
    let with = |methods: &[&str]| Match {
        methods: methods.iter().map(|m| (*m).to_owned()).collect(),
        ..matching("*", exact("/a"))
    };
    let table = Table::new([(with(&["POST"]), 1), (with(&["GET"]), 2)]);
    let fields = Fields::default();
    let ask = |method| {
        table.find(&Facts {
            method,
            ..get("h", "/a", &fields)
        })
    };
    assert_eq!(ask("HEAD"), Found::Route(&2));
    assert_eq!(ask("POST"), Found::Route(&1));
    assert_eq!(ask("PUT"), Found::MethodNotAllowed(vec!["GET", "HEAD", "POST"]));
    assert_eq!(table.find(&get("h", "/b", &fields)), Found::Nothing);
}

#[test]
fn fields_parameters_and_listeners_narrow_a_route() {
    let narrow = Match {
        listener: Some("in".into()),
        headers: vec![("x-version".into(), ValueTest::Equals("2".into()))],
        query: vec![("debug".into(), ValueTest::Present)],
        ..matching("*", exact("/a"))
    };
    let table = Table::new([(matching("*", exact("/a")), "wide"), (narrow, "narrow")]);
    let mut fields = Fields::default();
    fields.push(b"X-Version", b"2");
    let all = Facts {
        listener: Some("in"),
        query: Some("a=1&debug"),
        ..get("h", "/a", &fields)
    };
    let nothing = Fields::default();
    assert_eq!(table.find(&all), Found::Route(&"narrow"));
    for less in [
        Facts {
            listener: None,
            ..all
        },
        Facts {
            query: Some("debugger=1"),
            ..all
        },
        Facts {
            fields: &nothing,
            ..all
        },
    ] {
        assert_eq!(table.find(&less), Found::Route(&"wide"));
    }
}

/// What the table must answer, told the slow way: of all rules that match, the greatest.
fn naive(rules: &[Match], facts: &Facts<'_>) -> Option<usize> {
    let matches_path = |m: &Match| match &m.path {
        PathPattern::Any => true,
        PathPattern::Exact(p) => p == facts.path,
        PathPattern::Prefix(p) => facts.path == p || facts.path.starts_with(&format!("{p}/")),
        PathPattern::Regex(r) => r.is_match(facts.path),
    };
    let host_rank = |m: &Match| match &m.host {
        HostPattern::Any => 0,
        HostPattern::Below(s) => s.len(),
        HostPattern::Exact(_) => usize::MAX,
    };
    let path_rank = |i: usize, m: &Match| match &m.path {
        PathPattern::Any => (0, 0),
        PathPattern::Regex(_) => (1, usize::MAX - i),
        PathPattern::Prefix(p) => (2, p.len()),
        PathPattern::Exact(_) => (3, 0),
    };
    let all = rules.iter().enumerate().filter(|(_, m)| {
        m.host.matches(facts.host)
            && matches_path(m)
            && (m.methods.is_empty() || m.methods.iter().any(|x| x == facts.method))
            && m.query
                .iter()
                .all(|(k, _)| facts.query.is_some_and(|q| q.split('&').any(|p| p == k)))
    });
    let best = all.max_by_key(|(i, m)| {
        (
            host_rank(m),
            path_rank(*i, m),
            m.query.len(),
            !m.methods.is_empty(),
            usize::MAX - i,
        )
    });
    best.map(|(i, _)| i)
}

fn a_path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{1,2}", 0..4).prop_map(|s| format!("/{}", s.join("/")))
}

fn a_match() -> impl Strategy<Value = Match> {
    let host = prop::sample::select(vec!["*", "*.c", "*.b.c", "a.b.c", "b.c"]);
    let path = prop_oneof![
        a_path().prop_map(PathPattern::Exact),
        a_path().prop_map(|p| PathPattern::Prefix(p.trim_end_matches('/').to_owned())),
        "[ab]{1,2}".prop_map(|p| PathPattern::Regex(Pattern::parse(&p).unwrap())),
        Just(PathPattern::Any),
    ];
    let methods = prop::sample::select(vec![vec![], vec!["GET"], vec!["POST"], vec!["GET", "POST"]]);
    let query = prop::sample::subsequence(vec!["p", "q"], 0..=2);
    (host, path, methods, query).prop_map(|(host, path, methods, query)| Match {
        methods: methods.into_iter().map(str::to_owned).collect(),
        query: query
            .into_iter()
            .map(|q| (q.to_owned(), ValueTest::Present))
            .collect(),
        ..matching(host, path)
    })
}

proptest! {
    #[test]
    fn the_table_answers_as_a_naive_scan_does(
        rules in prop::collection::vec(a_match(), 0..30), path in a_path(),
        host in prop::sample::select(vec!["x", "c", "b.c", "a.b.c", "z.b.c"]), query in prop::option::of("[pq](&[pq])?"),
    ) {
        let fields = Fields::default();
        let table = Table::new(rules.iter().cloned().enumerate().map(|(i, m)| (m, i)));
        let facts = Facts { query: query.as_deref(), ..get(host, &path, &fields) };
        let found = match table.find(&facts) {
            Found::Route(i) => Some(*i),
            Found::MethodNotAllowed(_) | Found::Nothing => None,
        };
        prop_assert_eq!(found, naive(&rules, &facts));
    }
}
