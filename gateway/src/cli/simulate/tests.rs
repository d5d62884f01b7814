use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

fn line(path: &str, bytes: u64) -> String {
    json!({ "method": "GET", "host": "example.com", "path": path, "status": 200, "bytes_sent": bytes })
        .to_string()
}

fn trial<'l>(sizes: &[u64], lines: impl IntoIterator<Item = &'l str>) -> Trial {
    let mut trial = Trial::new(sizes, None, HashMap::new());
    for line in lines {
        trial.take(&Line::read(line.as_bytes(), Trial::fields()).unwrap());
    }
    trial
}

#[test]
fn what_fits_is_found_again_and_what_does_not_is_not() {
    // 2,000 answers of 4 KiB, in turns: 8 MiB in all.
    let lines: Vec<String> = (0..10_000)
        .map(|n| line(&format!("/{}", n % 2_000), 4_096))
        .collect();
    let trial = trial(&[4 * MIB, 64 * MIB], lines.iter().map(String::as_str));
    let [small, large] = trial.outcomes()[..] else {
        panic!("two sizes")
    };
    assert_eq!(
        (
            trial.counts.keys,
            trial.counts.key_bytes,
            trial.counts.hits_at_best
        ),
        (2_000, 2_000 * 4_096, 8_000)
    );
    assert_eq!(
        (large.hits, large.hit_bytes, large.objects, large.evictions),
        (8_000, 8_000 * 4_096, 2_000, 0)
    );
    assert!(small.hits < 6_000, "{small:?}");
    assert!(small.used_bytes <= 4 * MIB && small.evictions > 0, "{small:?}");
    // Besides their bodies they cost something.
    assert!(large.used_bytes > 2_000 * 4_096, "{large:?}");
}

#[test]
fn a_flood_that_nobody_asks_for_twice_leaves_what_is_wanted() {
    let mut lines = Vec::new();
    for n in 0..20_000 {
        lines.push(line(&format!("/once/{n}"), 4_096));
        lines.push(line(&format!("/wanted/{}", n % 50), 4_096));
    }
    let trial = trial(&[4 * MIB], lines.iter().map(String::as_str));
    let hits = trial.outcomes()[0].hits;
    assert!(
        hits > 19_000,
        "of 19,950 requests for what is wanted {hits} find it"
    );
}

#[test]
fn only_what_a_cache_could_answer_counts() {
    let lines = [
        r#"{"method":"GET","host":"a","path":"/","status":200,"bytes_sent":10}"#,
        r#"{"method":"HEAD","host":"a","path":"/","status":200,"bytes_sent":0}"#,
        r#"{"method":"GET","host":"a","path":"/","status":304,"bytes_sent":0,"cache":"hit"}"#,
        r#"{"method":"GET","host":"a","path":"/new","status":304,"bytes_sent":0}"#,
        r#"{"method":"POST","host":"a","path":"/","status":200,"bytes_sent":10}"#,
        r#"{"method":"GET","host":"a","path":"/","status":206,"bytes_sent":5}"#,
        r#"{"method":"GET","host":"a","path":"/","status":502,"bytes_sent":5}"#,
        r#"{"method":"GET","host":"a","path":"/","status":200,"bytes_sent":10,"cache":"bypass"}"#,
        r#"{"method":"GET","host":"a","path":"/","status":200,"bytes_sent":10,"cache":"uncacheable"}"#,
        r#"{"method":"GET","host":"a","path":"/","status":200,"bytes_sent":10,"user":"ann"}"#,
        r#"{"method":"GET","host":"a","path":"/","status":404,"bytes_sent":10,"refusal":"not_found"}"#,
        r#"{"status":400}"#,
    ];
    let trial = trial(&[MIB], lines);
    let counts = trial.counts;
    assert_eq!(
        (counts.requests, counts.not_cacheable, counts.without_size),
        (4, 8, 1)
    );
    assert_eq!((counts.keys, counts.key_bytes, counts.bytes), (1, 10, 30));
    assert_eq!(trial.outcomes()[0].hits, 2);
}

#[test]
fn a_rule_of_the_configuration_decides_what_is_the_same() {
    let lines = [1, 2, 3].map(|n| {
        format!(
            r#"{{"method":"GET","host":"a","path":"/","query":"utm={n}","status":200,"bytes_sent":9,"route":"r"}}"#
        )
    });
    let hits = |rules| {
        let mut trial = Trial::new(&[MIB], None, rules);
        for line in &lines {
            trial.take(&Line::read(line.as_bytes(), Trial::fields()).unwrap());
        }
        trial.outcomes()[0].hits
    };
    let none = KeyRule {
        query: config::plan::QueryRule::None,
        ..KeyRule::default()
    };
    assert_eq!(hits(HashMap::new()), 0);
    assert_eq!(hits(HashMap::from([("r".to_owned(), none)])), 2);
}

#[test]
fn a_size_is_a_size() {
    let words = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        sizes(&words).map_err(|fault| fault.to_string())
    };
    assert_eq!(words(&["1MiB", "2GiB"]), Ok(vec![MIB, 2 << 30]));
    for word in ["", "1", "x", "0", "1KiB", "-1MiB"] {
        assert!(words(&[word]).is_err(), "{word}");
    }
    assert!(words(&["1MiB"; 17]).is_err());
}

proptest! {
    /// No cache finds more than one that keeps everything, and each counts what it finds.
    #[test]
    fn no_size_beats_all_the_room_there_is(asked in prop::collection::vec((0_u8..40, 0_u64..400_000), 1..200)) {
        let lines: Vec<String> = asked.iter().map(|(key, bytes)| line(&format!("/{key}"), *bytes)).collect();
        let trial = trial(&[MIB, 8 * MIB], lines.iter().map(String::as_str));
        let counts = trial.counts;
        prop_assert_eq!(counts.requests, asked.len() as u64);
        for outcome in trial.outcomes() {
            prop_assert!(outcome.hits <= counts.hits_at_best);
            prop_assert!(outcome.hit_bytes <= counts.hit_bytes_at_best);
            prop_assert!(outcome.used_bytes <= outcome.memory_bytes);
        }
    }
}
