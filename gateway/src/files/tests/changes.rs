//! Files that change while they are served.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;

#[test]
fn a_small_file_is_remembered_for_a_second_and_then_looked_at() {
    let mut site = Site::with(&[("a.txt", "one")]);
    assert_eq!(site.get("/a.txt").text(), "one");
    site.replace("a.txt", b"two");
    site.wait(999);
    assert_eq!(site.get("/a.txt").text(), "one");
    site.wait(1);
    assert_eq!(site.get("/a.txt").text(), "two");
    std::fs::remove_file(site.path("a.txt")).unwrap();
    site.wait(1000);
    assert_eq!(site.get("/a.txt").status, 404);
}

#[test]
fn a_small_file_that_did_not_change_stays_in_memory() {
    let mut site = Site::with(&[("a.txt", "one")]);
    let at = |site: &Site| match site.files.open.find(b"a.txt", site.now) {
        Ok(Found::File(file)) => file,
        other => panic!("{other:?}"),
    };
    let first = at(&site);
    site.wait(5000);
    assert!(Arc::ptr_eq(&first, &at(&site)));
    set_modified(&site.path("a.txt"), NOVEMBER_SECS, 0);
    site.wait(1000);
    let second = at(&site);
    assert!(!Arc::ptr_eq(&first, &second));
    site.now.wall = Duration::ZERO;
    site.wait(1000);
    assert!(
        Arc::ptr_eq(&second, &at(&site)),
        "it was settled when it was read"
    );
}

#[test]
fn a_small_file_that_may_still_change_unseen_is_read_again_even_with_the_same_stamp() {
    let mut site = Site::with(&[("a.txt", "one")]);
    site.now.wall = Duration::ZERO;
    let at = |site: &Site| match site.files.open.find(b"a.txt", site.now) {
        Ok(Found::File(file)) => file,
        other => panic!("{other:?}"),
    };
    let first = at(&site);
    assert!(Arc::ptr_eq(&first, &at(&site)));
    site.wait(1000);
    let second = at(&site);
    assert!(!Arc::ptr_eq(&first, &second));
    assert_eq!(first.stamp, second.stamp);
}

#[test]
fn a_small_file_that_changed_a_moment_ago_is_read_again() {
    let mut site = Site::with(&[("a.txt", "one")]);
    site.now.wall = Duration::ZERO;
    let before = site.get("/a.txt");
    // The same size and time: only the content differs, as within one tick of a coarse clock.
    site.write("a.txt", b"two");
    site.wait(1000);
    assert_eq!((before.text(), site.get("/a.txt").text()), ("one", "two"));
}

#[test]
fn a_large_file_edited_in_place_is_never_sent_with_the_length_or_tag_of_before() {
    let site = Site::with(&[]);
    site.write("big", &vec![b'a'; 100_000]);
    let before = site.get("/big");
    site.write("big", &vec![b'b'; 90_000]);
    let after = site.get("/big");
    assert_eq!((before.body.len(), after.body.len()), (100_000, 90_000));
    assert!(after.body.iter().all(|b| *b == b'b'));
    assert_ne!(before.field("ETag"), after.field("ETag"));
}

#[test]
fn a_download_that_began_keeps_its_file_when_it_is_replaced() {
    let site = Site::with(&[]);
    site.write("big", &vec![b'a'; 100_000]);
    let fields = Fields::default();
    let request = Request {
        method: "GET",
        path: "/big",
        prefix: "",
        query: "",
        fields: &fields,
    };
    let begun = site.files.answer(&request, site.now);
    site.replace("big", &vec![b'b'; 100_000]);
    assert!(Seen::of(begun).body.iter().all(|b| *b == b'a'));
    assert!(site.get("/big").body.iter().all(|b| *b == b'b'));
}

#[test]
fn a_file_nobody_asks_for_is_closed() {
    let mut site = Site::with(&[]);
    site.write("big", &vec![b'a'; 100_000]);
    let Ok(Found::File(file)) = site.files.open.find(b"big", site.now) else {
        panic!("it is there");
    };
    let open = Arc::downgrade(&file);
    drop(file);
    site.wait(9_999);
    site.files.sweep(site.now.mono);
    assert!(open.upgrade().is_some());
    site.wait(1);
    site.files.sweep(site.now.mono);
    assert!(open.upgrade().is_none());
}

#[test]
fn a_deleted_file_is_closed_by_the_request_that_misses_it() {
    let mut site = Site::with(&[]);
    site.write("big", &vec![b'a'; 100_000]);
    let Ok(Found::File(file)) = site.files.open.find(b"big", site.now) else {
        panic!("it is there");
    };
    let open = Arc::downgrade(&file);
    drop(file);
    std::fs::remove_file(site.path("big")).unwrap();
    assert_eq!(site.get("/big").status, 404);
    assert!(open.upgrade().is_none());
    site.wait(1000);
    assert_eq!(site.get("/big").status, 404);
}

#[test]
fn a_file_that_never_has_the_length_it_says_is_not_guessed_at() {
    // The kernel's own files say zero and have more, like a file that grows with every look at it.
    let site = Site::new(|plan| {
        std::fs::remove_dir(&plan.root).unwrap();
        std::os::unix::fs::symlink("/proc/self", &plan.root).unwrap();
    });
    assert_eq!(site.get("/status").status, 503);
}

#[test]
fn that_a_sibling_is_missing_is_remembered_for_a_second() {
    let mut site = Site::new(|plan| plan.precompressed = vec![Coding::Gzip]);
    site.fill(&[("a.txt", "one")]);
    let get = |site: &Site| site.get_with("/a.txt", "Accept-Encoding", "gzip");
    assert_eq!(get(&site).field("Content-Encoding"), None);
    site.fill(&[("a.txt.gz", "GZIP")]);
    assert_eq!(get(&site).field("Content-Encoding"), None);
    site.wait(1000);
    assert_eq!(get(&site).field("Content-Encoding"), Some("gzip"));
}

#[test]
fn a_root_that_is_missing_is_picked_up_when_it_appears() {
    let mut site = Site::new(|plan| plan.root = plan.root.join("later"));
    assert_eq!(site.get("/a.txt").status, 404);
    site.fill(&[("a.txt", "here")]);
    site.wait(1000);
    assert_eq!(site.get("/a.txt").text(), "here");
    std::fs::remove_dir_all(&site.plan.root).unwrap();
    site.wait(1000);
    assert_eq!(site.get("/a.txt").status, 404);
}

#[test]
fn a_release_switched_by_a_link_is_served_within_a_second() {
    let mut site = Site::new(|plan| plan.root = plan.root.join("current"));
    let top = site.plan.root.parent().unwrap().to_owned();
    for release in ["one", "two"] {
        std::fs::create_dir(top.join(release)).unwrap();
        std::fs::write(top.join(release).join("a.txt"), release).unwrap();
        std::fs::write(top.join(release).join("b.txt"), release).unwrap();
    }
    std::os::unix::fs::symlink("one", top.join("current")).unwrap();
    assert_eq!(site.get("/a.txt").text(), "one");
    site.wait(900);
    assert_eq!(site.get("/b.txt").text(), "one");
    std::os::unix::fs::symlink("two", top.join("next")).unwrap();
    std::fs::rename(top.join("next"), top.join("current")).unwrap();
    site.wait(100);
    // What was read from the old release a moment ago goes with it: no page with another release's script.
    assert_eq!(
        (site.get("/a.txt").text(), site.get("/b.txt").text()),
        ("two", "two")
    );
}

#[test]
fn readers_beside_a_writer_see_whole_files_with_their_own_tag() {
    let site = Site::with(&[("a.txt", "0")]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut tags = HashMap::new();
                    let mut ms = 0;
                    while !done.load(Ordering::Acquire) {
                        ms += 500;
                        let now = Now {
                            mono: Mono(ms * 1_000_000),
                            wall: LATE,
                        };
                        let fields = Fields::default();
                        let request = Request {
                            method: "GET",
                            path: "/a.txt",
                            prefix: "",
                            query: "",
                            fields: &fields,
                        };
                        let seen = Seen::of(site.files.answer(&request, now));
                        assert_eq!(seen.status, 200);
                        assert!(seen.body.iter().all(|b| *b == seen.body[0]));
                        let tag = seen.field("ETag").unwrap().to_owned();
                        assert_eq!(*tags.entry(tag).or_insert_with(|| seen.body.clone()), seen.body);
                    }
                })
            })
            .collect();
        for n in 0..300u32 {
            // Sizes on both sides of what is kept in memory, none twice: large files of the same size that are
            // written within one tick have the same tag.
            let size = n as usize + if n % 3 == 0 { 70_000 } else { 10 };
            site.replace("a.txt", &vec![b'a' + (n % 26) as u8; size]);
        }
        done.store(true, Ordering::Release);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[derive(Clone, Debug)]
enum Step {
    Get,
    Remove,
    Replace(usize),
    Wait(u64),
    WriteInPlace(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = || {
        prop_oneof![
            0usize..3,
            Just(65_536usize),
            Just(65_537usize),
            66_000usize..66_002
        ]
    };
    let step = prop_oneof![
        4 => Just(Step::Get),
        1 => Just(Step::Remove),
        2 => size().prop_map(Step::Replace),
        2 => prop_oneof![0u64..300, Just(1000u64), Just(2500u64)].prop_map(Step::Wait),
        2 => size().prop_map(Step::WriteInPlace),
    ];
    proptest::collection::vec(step, 1..25)
}

/// What the file has been: from when on, and None where it was not there.
type History = Vec<(u64, Option<Vec<u8>>)>;

/// The contents that were current at some time of the last second, the present one included.
fn allowed(history: &History, ms: u64) -> Vec<&Option<Vec<u8>>> {
    let lately = |at: usize| history.get(at + 1).is_none_or(|(ended, _)| ended + 1000 > ms);
    let recent = history.iter().enumerate().filter(|(at, _)| lately(*at));
    recent.map(|(_, (_, content))| content).collect()
}

fn play(steps: &[Step], wall: Duration) -> Result<(), TestCaseError> {
    let mut site = Site::new(|_| {});
    site.now.wall = wall;
    let mut history: History = vec![(0, None)];
    let (mut ms, mut tags) = (0, HashMap::new());
    for (n, step) in steps.iter().enumerate() {
        let content = |size: usize| vec![b'a' + u8::try_from(n).unwrap(); size];
        match step {
            Step::Get => {
                let seen = site.get("/f");
                let body = (seen.status == 200).then(|| seen.body.clone());
                prop_assert!(
                    allowed(&history, ms).contains(&&body),
                    "{} {:?}",
                    seen.status,
                    seen.body.len()
                );
                if let Some(tag) = seen.field("ETag") {
                    let known = tags.entry(tag.to_owned()).or_insert_with(|| body.clone());
                    prop_assert_eq!(&*known, &body, "one tag, two contents");
                }
            }
            Step::Remove => {
                let _ = std::fs::remove_file(site.path("f"));
                history.push((ms, None));
            }
            Step::Replace(size) => {
                site.replace("f", &content(*size));
                history.push((ms, Some(content(*size))));
            }
            Step::Wait(by) => {
                ms += by;
                site.wait(*by);
            }
            Step::WriteInPlace(size) => {
                site.write("f", &content(*size));
                history.push((ms, Some(content(*size))));
            }
        }
        // Each state has a time of its own; the kernel's clock might not tell two apart.
        if matches!(step, Step::Replace(_) | Step::WriteInPlace(_)) {
            set_modified(&site.path("f"), NOVEMBER_SECS + n as u64, 0);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_answer_is_a_whole_content_of_the_last_second(steps in steps()) {
        play(&steps, LATE)?;
    }

    #[test]
    fn so_it_is_while_the_files_are_too_young_to_be_trusted(steps in steps()) {
        play(&steps, Duration::from_secs(NOVEMBER_SECS))?;
    }
}
