use std::collections::BTreeSet;

use harness::{Gateway, Request};
use serde_json::Value;

use crate::promql::{Recorded, check, placeholders};
use crate::yaml::{document, items, texts};
use crate::{report, run, said};

const RULES: &str = "deploy/prometheus/sluice.rules.yml";
const TESTS: &str = "deploy/prometheus/tests.yml";

/// What the rules record, each with its labels.
pub fn recorded() -> Recorded {
    let mut recorded = Recorded::new();
    for rule in rules() {
        if let Some(name) = rule["record"].as_str() {
            let (_, labels) = check(text(&rule, "expr"), &recorded);
            // A percentile has used them up.
            let labels = labels.into_iter().filter(|l| l != "le").collect();
            recorded.insert(name.to_owned(), labels);
        }
    }
    recorded
}

fn rules() -> Vec<Value> {
    let document = document(RULES);
    let groups = items(&document["groups"]).iter();
    groups.flat_map(|g| items(&g["rules"]).to_vec()).collect()
}

fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|r| !r["alert"].is_null()).collect()
}

#[track_caller]
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{value} has no {name}"))
}

/// Runs promtool, without which there is nothing to say.
#[track_caller]
pub fn promtool(args: &[&str]) {
    let output =
        run("promtool", args).expect("this machine has no promtool: run deploy/tools.sh promtool=prometheus");
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn every_figure_in_the_rules_exists() {
    let recorded = recorded();
    let mut faults = Vec::new();
    for rule in rules() {
        let (found, labels) = check(text(&rule, "expr"), &recorded);
        faults.extend(found);
        for (_, annotation) in rule["annotations"].as_object().into_iter().flatten() {
            let annotation = annotation.as_str().unwrap_or_default();
            let strange = placeholders(annotation, "$labels.").into_iter();
            let strange = strange.filter(|l| !labels.contains(*l));
            faults.extend(strange.map(|l| format!("no label {l} to be told of, in {annotation:?}")));
        }
    }
    report(&faults);
}

#[test]
fn every_alert_says_how_urgent_it_is_and_what_has_happened() {
    let mut names = BTreeSet::new();
    let mut faults = Vec::new();
    for alert in alerts() {
        let name = text(&alert, "alert").to_owned();
        if !["page", "ticket"].contains(&text(&alert["labels"], "severity")) {
            faults.push(format!("{name}: severity is page or ticket"));
        }
        if text(&alert["annotations"], "summary").is_empty() {
            faults.push(format!("{name}: no summary"));
        }
        if !names.insert(name.clone()) {
            faults.push(format!("{name} stands twice"));
        }
    }
    assert!(names.len() >= 20, "{names:?}");
    report(&faults);
}

#[test]
fn every_alert_is_tried_where_it_fires_and_where_it_does_not() {
    let tests = document(TESTS);
    let mut fires = BTreeSet::new();
    let mut stays_quiet = BTreeSet::new();
    for test in items(&tests["tests"]) {
        for case in items(&test["alert_rule_test"]) {
            let name = text(case, "alertname").to_owned();
            if items(&case["exp_alerts"]).is_empty() {
                stays_quiet.insert(name);
            } else {
                fires.insert(name);
            }
        }
    }
    let all: BTreeSet<String> = alerts().iter().map(|a| text(a, "alert").to_owned()).collect();
    assert_eq!(fires, all, "alerts with a case in which they fire");
    assert_eq!(stays_quiet, all, "alerts with a case in which they stay quiet");
    assert_eq!(texts(&tests["rule_files"]), ["sluice.rules.yml"]);
}

#[test]
fn promtool_takes_the_rules_and_each_alert_does_what_its_test_says() {
    promtool(&["check", "rules", RULES]);
    promtool(&["test", "rules", TESTS]);
}

#[test]
fn prometheus_can_read_what_a_gateway_tells() {
    let gw = Gateway::start("[[routes]]\nrespond = { body = \"hello\\n\" }\n");
    gw.get("/").expect(200);
    let page = gw.ask_admin(&Request::get("/metrics")).text();
    let folder = tempfile::tempdir().unwrap();
    let (file, script) = (folder.path().join("page"), "promtool check metrics < \"$1\"");
    std::fs::write(&file, page).unwrap();
    let output = run("sh", &["-c", script, "sh", &file.to_string_lossy()]).expect("every machine has a sh");
    assert!(output.status.success(), "{}", said(&output));
}
