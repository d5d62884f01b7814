use proptest::prelude::*;

use super::super::figures::{CacheFigures, LimitFigures, ServerFigures};
use super::*;

fn figures([routes, servers, caches, limits]: [usize; 4]) -> Figures {
    let rates = |n: usize| Rates {
        per_s: n as f64,
        classes_per_s: [n as f64, 0.0, 0.0, (n % 3) as f64],
        bytes_per_s: 2_048.0,
        quantiles_ms: [1.5, (100 - n % 100) as f64, f64::INFINITY].map(Some),
    };
    Figures {
        version: "0.1.0".to_owned(),
        config: "/etc/sluice/sluice.toml".to_owned(),
        total: rates(routes),
        routes: (0..routes)
            .map(|n| RouteFigures {
                name: format!("route-{n:03}"),
                rates: rates(n),
            })
            .collect(),
        servers: (0..servers)
            .map(|n| ServerFigures {
                address: format!("server-{n:03}"),
                state: "down".to_owned(),
                ..ServerFigures::default()
            })
            .collect(),
        caches: vec![CacheFigures::default(); caches],
        limits: vec![LimitFigures::default(); limits],
        ..Figures::default()
    }
}

fn view(colour: bool) -> View {
    View {
        order: Order::default(),
        is_paused: false,
        has_help: false,
        colour,
    }
}

/// Without what gives it colour.
fn plain(line: &str) -> String {
    regex::Regex::new("\x1b\\[[0-9;]*m")
        .unwrap()
        .replace_all(line, "")
        .into_owned()
}

#[test]
fn a_screen_has_all_that_fits() {
    let lines = screen(&figures([2, 1, 1, 1]), view(false), [200, 24], None);
    assert_eq!(lines.len(), 24);
    let text = lines.join("\n");
    for words in [
        "sluice 0.1.0, by /etc/sluice/sluice.toml",
        "requests 2.0/s   2xx 100.0 %",
        "p50 1.5 ms   p95 98 ms   p99 > 10 s",
        "ROUTE      REQ/S",
        "route-001    1.0  1.0    0    0  1.0  1.5 ms   99 ms  > 10 s   2 KiB",
        "server-000  down",
        "CACHE  REQ/S",
        "LIMIT  OF  REFUSED/S",
    ] {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
    assert!(lines[23].starts_with("q quit"), "{}", lines[23]);
    assert!(!text.contains('\x1b'));
}

#[test]
fn what_has_no_room_is_counted() {
    let lines = screen(&figures([100, 100, 1, 1]), view(false), [200, 30], None);
    let text = lines.join("\n");
    assert!(text.contains("… ") && text.contains(" more"), "{text}");
    assert!(text.contains("CACHE") && text.contains("LIMIT"), "{text}");
    // As many as there are, and none twice.
    let shown = lines.iter().filter(|l| l.starts_with("route-")).count();
    let more = lines.iter().find(|l| l.starts_with("… ")).unwrap();
    let more: usize = more.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(shown + more, 100, "{text}");
}

#[test]
fn routes_come_in_the_order_that_was_asked_for() {
    let figures = figures([4, 0, 0, 0]);
    let mut view = view(false);
    let mut firsts = Vec::new();
    for _ in 0..4 {
        let lines = screen(&figures, view, [200, 24], None);
        let first = lines.iter().find(|l| l.starts_with("route-")).unwrap();
        firsts.push(first[..9].to_owned());
        view.order = view.order.next();
    }
    assert_eq!(firsts, ["route-003", "route-002", "route-000", "route-000"]);
    assert_eq!(view.order, Order::Requests);
}

#[test]
fn what_is_wrong_is_told() {
    let mut figures = figures([1, 0, 0, 0]);
    figures.reload_failed = true;
    figures.draining = true;
    figures.log_dropped_per_s = 2.0;
    let text = screen(&figures, view(false), [200, 24], Some("no connection")).join("\n");
    for words in [
        "draining",
        "the last reload was refused",
        "loses 2.0 lines/s",
        "no answer: no connection",
    ] {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
    figures.config = "\x1b[2J".to_owned();
    assert!(
        !screen(&figures, view(false), [200, 24], None)
            .join("")
            .contains('\x1b')
    );
}

#[test]
fn a_report_leaves_nothing_out() {
    let text = report(&figures([50, 50, 1, 1]));
    assert!(text.contains("route-049") && text.contains("server-049"));
    assert!(!text.contains("quit") && !text.contains('\x1b'));
}

proptest! {
    #[test]
    fn no_line_is_too_many_and_none_too_long(
        counts in [0_usize..60, 0_usize..60, 0_usize..4, 0_usize..4],
        columns in 0_usize..150,
        rows in 0_usize..50,
        has_help: bool,
        is_paused: bool,
        has_fault: bool,
    ) {
        let figures = figures(counts);
        let fault = has_fault.then_some("no connection");
        let [with, without] = [true, false].map(|colour| {
            screen(&figures, View { has_help, is_paused, ..view(colour) }, [columns, rows], fault)
        });
        prop_assert_eq!(with.len(), rows);
        for (coloured, line) in with.iter().zip(&without) {
            prop_assert!(line.chars().count() <= columns);
            prop_assert_eq!(&plain(coloured), line);
            // Colour that is not ended would run into the next line.
            prop_assert!(coloured.rsplit_once("\x1b[").is_none_or(|(_, last)| last.starts_with("0m")));
        }
    }
}
