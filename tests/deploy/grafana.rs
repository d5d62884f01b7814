use std::collections::BTreeSet;

use serde_json::Value;

use crate::prometheus::{promtool, recorded};
use crate::promql::{check, placeholders};
use crate::yaml::items;
use crate::{read, report};

const BOARD: &str = "deploy/grafana/sluice.json";

/// Columns of a board.
const COLUMNS: u64 = 24;

fn board() -> Value {
    serde_json::from_str(&read(BOARD)).unwrap_or_else(|error| panic!("{BOARD}: {error}"))
}

/// Panels that show something.
fn panels(board: &Value) -> impl Iterator<Item = &Value> {
    items(&board["panels"]).iter().filter(|p| p["type"] != "row")
}

/// An expression as Prometheus gets it.
fn filled(expression: &str) -> String {
    expression
        .replace("$__rate_interval", "5m")
        .replace("$job", "sluice")
        .replace("$instance", ".*")
        .replace("$route", ".*")
}

#[test]
fn every_figure_on_the_board_exists() {
    let board = board();
    let recorded = recorded();
    let mut faults = Vec::new();
    for panel in panels(&board) {
        let title = &panel["title"];
        for target in items(&panel["targets"]) {
            let expression = target["expr"].as_str().unwrap_or_default();
            let (found, labels) = check(expression, &recorded);
            faults.extend(found.iter().map(|f| format!("{title}: {f}")));
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            let strange = placeholders(legend, "")
                .into_iter()
                .filter(|l| !labels.contains(*l));
            faults.extend(strange.map(|l| format!("{title}: no label {l} in the legend {legend:?}")));
        }
    }
    let lists = items(&board["templating"]["list"]).iter();
    let asked = lists.filter_map(|v| v["query"]["query"].as_str());
    for query in asked {
        let inside = query.trim_start_matches("label_values(").trim_end_matches(')');
        let (series, label) = inside.rsplit_once(", ").expect("of what, and which label");
        let (found, labels) = check(series, &recorded);
        faults.extend(found);
        if !labels.contains(label) {
            faults.push(format!("no label {label} in {query}"));
        }
    }
    report(&faults);
}

#[test]
fn prometheus_understands_every_expression_on_the_board() {
    let board = board();
    let targets = panels(&board).flat_map(|p| items(&p["targets"]));
    let annotations = items(&board["annotations"]["list"]).iter();
    let expressions = targets.chain(annotations).filter_map(|t| t["expr"].as_str());
    let rules: Vec<Value> = expressions
        .enumerate()
        .map(|(n, e)| serde_json::json!({ "record": format!("board:of:{n}"), "expr": filled(e) }))
        .collect();
    assert!(rules.len() > 50, "{} expressions", rules.len());
    let group = serde_json::json!({ "groups": [{ "name": "board", "rules": rules }] });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("board.yml");
    std::fs::write(&file, group.to_string()).unwrap();
    promtool(&["check", "rules", "--lint=none", &file.to_string_lossy()]);
}

#[test]
fn the_board_asks_the_data_source_and_the_gateways_that_were_chosen() {
    let board = board();
    let names: Vec<_> = items(&board["templating"]["list"])
        .iter()
        .filter_map(|v| v["name"].as_str())
        .collect();
    assert_eq!(names, ["datasource", "job", "instance", "route"]);
    let mut faults = Vec::new();
    for panel in panels(&board) {
        let title = &panel["title"];
        for target in items(&panel["targets"]) {
            let expression = target["expr"].as_str().unwrap_or_default();
            let (selectors, chosen) = (
                expression.matches('{').count(),
                expression
                    .matches("{job=\"$job\", instance=~\"$instance\"")
                    .count(),
            );
            if selectors != chosen || chosen == 0 {
                faults.push(format!("{title}: not of the chosen gateways: {expression}"));
            }
            if target["datasource"]["uid"] != "${datasource}" {
                faults.push(format!("{title}: a data source of its own"));
            }
        }
    }
    assert_eq!(
        board["id"],
        Value::Null,
        "an id is the importing Grafana's to give"
    );
    report(&faults);
}

#[test]
fn panels_have_a_name_a_unit_and_a_place_of_their_own() {
    let board = board();
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    let mut titles = BTreeSet::new();
    let mut faults = Vec::new();
    for panel in items(&board["panels"]) {
        let title = panel["title"].as_str().unwrap_or_default();
        if !ids.insert(panel["id"].as_u64()) || !titles.insert(title) || title.is_empty() {
            faults.push(format!("{title}: its id or its name is another one's"));
        }
        let at = |name: &str| {
            panel["gridPos"][name]
                .as_u64()
                .unwrap_or_else(|| panic!("{title}: no {name}"))
        };
        let (x, y, w, h) = (at("x"), at("y"), at("w"), at("h"));
        let cells = (y..y + h).flat_map(|y| (x..x + w).map(move |x| (x, y)));
        if x + w > COLUMNS || cells.filter(|cell| !places.insert(*cell)).count() > 0 {
            faults.push(format!("{title}: beyond the edge, or over another one"));
        }
        let has_unit = panel["fieldConfig"]["defaults"]["unit"].is_string() || panel["type"] == "heatmap";
        if panel["type"] != "row" && !has_unit {
            faults.push(format!("{title}: no unit"));
        }
    }
    let rows = items(&board["panels"]).iter().filter(|p| p["type"] == "row");
    assert_eq!(rows.count(), 8, "{titles:?}");
    report(&faults);
}
