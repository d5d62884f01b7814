//! `sluice simulate cache`: what it prints, and what it does not take.

use super::actors::{self, Done, Folder};

/// 300 answers of 20,000 bytes, asked for in turns four times: 6 MB in all.
fn simulate(words: &[&str]) -> Done {
    let folder = Folder::new("");
    let log = folder.path().join("access.log");
    let line = |n: usize| {
        let path = n % 300;
        format!(
            "{{\"method\":\"GET\",\"host\":\"h\",\"path\":\"/{path}\",\"status\":200,\"bytes_sent\":20000,\"route\":\"r\"}}\n"
        )
    };
    let text: String = (0..1_200).map(line).collect();
    std::fs::write(&log, text + "no JSON\n").expect("a file in a folder of our own");
    let log = log.display().to_string();
    actors::command(&[&["simulate", "cache", &log], words].concat()).done()
}

#[test]
fn each_size_has_its_row_and_what_is_not_known_is_said() {
    let done = simulate(&["--memory", "2MiB,64MiB"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let rows: Vec<Vec<&str>> = done
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let row = |first: &[&str]| rows.iter().find(|row| row.starts_with(first)).expect("its row");
    assert_eq!(
        row(&["64", "MiB"])[2..6],
        ["75.0", "%", "75.0", "%"],
        "{}",
        done.out
    );
    assert_eq!(row(&["everything"])[1..5], ["75.0", "%", "75.0", "%"]);
    assert_ne!(row(&["2", "MiB"])[2], "75.0");
    for text in [
        "1200 requests for 300 different answers, 5.7 MiB in all",
        "1 lines are not of an access log in JSON",
        "What the log cannot tell: how long an answer was fresh",
    ] {
        assert!(done.out.contains(text), "misses {text:?} in\n{}", done.out);
    }
}

#[test]
fn scripts_get_their_ratios() {
    let done = simulate(&["--memory", "64MiB", "--json", "-q", "path~\"^/1\""]);
    let report: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    // /1, /10 to /19, /100 to /199
    assert_eq!(report["log"]["keys"], 111);
    assert_eq!(report["sizes"][0]["hit_ratio"], 0.75);
    assert_eq!(
        (&report["sizes"][0]["hits"], &report["unread"]),
        (&333.into(), &1.into())
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (words, text) in [
        (&["--memory", "5"][..], "\"5\" is no size with a unit"),
        (&["--memory", "1KiB"], "less than 1MiB"),
        (&["--memory", "1GiB", "-q", "statsu=1"], "has no statsu"),
        (&[], "--memory"),
    ] {
        let done = simulate(words);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{words:?}");
        assert!(done.err.contains(text), "{}", done.err);
    }
    let done = simulate(&["--memory", "1GiB", "-q", "method=\"POST\""]);
    assert_eq!(done.code, 1);
    assert!(
        done.err.contains("that a cache could have answered\nhelp: "),
        "{}",
        done.err
    );
}
