use proptest::prelude::*;

use super::*;

const LINE: &[u8] = br#"{"time":"2026-11-20T10:00:00.000Z","method":"GET","host":"example.com","path":"/a \"b\"\\c","status":503,"duration_ms":120.5,"route":"api","refusal":"overload","slow":true}"#;

fn holds(query: &str) -> bool {
    let query = Query::parse(query).unwrap_or_else(|fault| panic!("{}", fault.told(query)));
    query.matches(&Line::read(LINE, query.fields()).unwrap())
}

#[test]
fn comparisons_mean_what_they_say() {
    for query in [
        "status=503",
        "status == 503.0",
        "status>=503 and status<=503",
        "status!=502",
        "status>502 and status<504",
        "duration_ms>120",
        "route=\"api\"",
        "route='api'",
        "route!=\"web\"",
        "method<\"H\"",
        "time>=\"2026-11-20\" and time<'2026-11-21'",
        "status~\"^5\"",
        "path~\"^/a\"",
        "path!~\"^/b\"",
        r#"path="/a \"b\"\\c""#,
        r#"path~"\s""#,
        "slow",
        "refusal",
        "status>=500 and route=\"api\" and duration_ms>100",
    ] {
        assert!(holds(query), "{query}");
        assert!(!holds(&format!("not ({query})")), "not {query}");
    }
}

#[test]
fn a_field_that_is_not_there_differs_from_everything() {
    assert!(holds("cache!=\"hit\"") && holds("cache!~\"hit\"") && holds("tries!=2"));
    for query in [
        "cache=\"hit\"",
        "cache",
        "cache~\"\"",
        "tries<9",
        "tries>=0",
        "cache>=\"\"",
    ] {
        assert!(!holds(query), "{query}");
    }
}

#[test]
fn and_binds_more_than_or_and_not_most() {
    assert!(holds("status=503 or status=1 and status=2"));
    assert!(!holds("(status=503 or status=1) and status=2"));
    assert!(holds("not status=1 and status=503"));
    assert!(!holds("not (status=1 or status=503)"));
    assert!(holds("!(status=1) && (status=503 || status=2)"));
    assert!(holds("not not slow"));
}

#[test]
fn what_is_wrong_is_pointed_at() {
    for (query, carets, words) in [
        ("", "^", "it is empty"),
        ("  ", "^^", "it is empty"),
        ("statsu>=500", "^^^^^^", "has no statsu"),
        ("status>=", "        ^", "a value is missing"),
        ("status>=and", "        ^^^", "a value is a number"),
        ("status=\"500\"", "       ^^^^^", "status is a number"),
        ("route=5", "      ^", "route is a text"),
        ("route=api", "      ^^^", "a text in quotes"),
        ("status=5xx", "       ^^^", "not a number"),
        ("duration_ms>100ms", "            ^^^^^", "not a number"),
        ("status=1.2.3", "       ^^^^^", "not a number"),
        ("route=\"api", "      ^^^^", "has no end"),
        ("(status=500", "^", "`)` is missing"),
        ("status=500)", "          ^", "nothing was opened"),
        ("status=500 slow", "           ^^^^", "`and` or `or` is missing"),
        ("(status=500 slow)", "            ^^^^", "`and`, `or` or `)`"),
        ("status=500 and", "              ^", "a condition is missing"),
        ("and slow", "^^^", "has no and"),
        ("=5", "^", "a field is missing"),
        ("500=status", "^^^", "begins with a field"),
        ("slow=1", "     ^", "has no value"),
        (
            "path~\"(\"",
            "     ^^^",
            "not a regular expression: unclosed group",
        ),
        ("status~5", "       ^", "takes a regular expression"),
        ("é=1", "^", "nothing begins like this"),
        ("route=\"é\" §", "          ^", "nothing begins like this"),
    ] {
        let fault = Query::parse(query).unwrap_err();
        let told = fault.told(query);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[1], format!("  {query}"), "{told}");
        assert_eq!(lines[2], format!("  {carets}"), "{told}");
        assert!(told.contains(words), "{words} is missing in {told}");
    }
    let help = |query: &str| Query::parse(query).unwrap_err().help;
    assert!(help("statsu=1").starts_with("did you mean status? there is time, "));
    assert!(help("nonsense=1").starts_with("there is time, "));
}

#[test]
fn no_depth_overruns_the_stack() {
    let deep = format!("{}slow{}", "(".repeat(30_000), ")".repeat(30_000));
    assert!(
        Query::parse(&deep)
            .unwrap_err()
            .message
            .contains("nested too deeply")
    );
    assert!(Query::parse(&"not ".repeat(10_000)).is_err());
    let long = vec!["slow"; 5_000].join(" and ");
    assert!(holds(&long));
    let wrong = format!("{long} é {}", "and slow ".repeat(1_000));
    let told = Query::parse(&wrong).unwrap_err().told(&wrong);
    assert!(told.len() < 1_000, "{told}");
    let column = |line: &str, c: char| line.chars().position(|is| is == c);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(column(lines[1], 'é'), column(lines[2], '^'), "{told}");
}

/// A query and what it means, said without the parser.
#[derive(Clone, Debug)]
enum Model {
    Status(&'static str, u16),
    Route(bool, String),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

impl Model {
    fn text(&self) -> String {
        match self {
            Self::Status(op, n) => format!("status {op} {n}"),
            Self::Route(is, name) => {
                let name = name.replace('\\', "\\\\").replace('"', "\\\"");
                format!("route{}\"{name}\"", if *is { "=" } else { "!=" })
            }
            Self::Not(a) => format!("not ({})", a.text()),
            Self::And(a, b) => format!("({}) and ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({}) or ({})", a.text(), b.text()),
        }
    }

    fn holds(&self, status: u16, route: &str) -> bool {
        match self {
            Self::Status("=", n) => status == *n,
            Self::Status("!=", n) => status != *n,
            Self::Status("<", n) => status < *n,
            Self::Status("<=", n) => status <= *n,
            Self::Status(">", n) => status > *n,
            Self::Status(_, n) => status >= *n,
            Self::Route(is, name) => (route == name) == *is,
            Self::Not(a) => !a.holds(status, route),
            Self::And(a, b) => a.holds(status, route) && b.holds(status, route),
            Self::Or(a, b) => a.holds(status, route) || b.holds(status, route),
        }
    }
}

fn model() -> impl Strategy<Value = Model> {
    let op = prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        (op, 199_u16..203).prop_map(|(op, n)| Model::Status(op, n)),
        (any::<bool>(), "[ab\"\\\\é]{0,2}").prop_map(|(is, name)| Model::Route(is, name)),
    ];
    leaf.prop_recursive(5, 24, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            inner.prop_map(|a| Model::Not(a.into())),
            pair.clone().prop_map(|(a, b)| Model::And(a.into(), b.into())),
            pair.prop_map(|(a, b)| Model::Or(a.into(), b.into())),
        ]
    })
}

proptest! {
    #[test]
    fn a_query_means_what_its_model_means(model in model(), status in 199_u16..203, route in "[ab\"\\\\é]{0,2}") {
        let text = model.text();
        let query = Query::parse(&text).expect("a model is a query");
        let line = serde_json::json!({ "status": status, "route": route }).to_string();
        let line = Line::read(line.as_bytes(), query.fields()).expect("an object");
        prop_assert_eq!(query.matches(&line), model.holds(status, &route), "{}", text);
    }

    #[test]
    fn no_text_is_too_strange_to_be_refused(text: String) {
        if let Err(fault) = Query::parse(&text) {
            let _ = fault.told(&text);
        }
    }
}
