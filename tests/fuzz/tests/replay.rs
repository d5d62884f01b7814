//! Every input of the corpus, and what becomes of them by chance.
//!
//! `TEST_FUZZ_RUNS` says how many changed inputs there are for each target, `TEST_FUZZ_SEED` where chance begins. A
//! failing input is printed and left in `target/fuzz`; put it into the corpus once it is mended.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use fuzz::mutate::{INPUT_BYTES_MAX, mutate};
use fuzz::{TARGETS, Target};

/// For each target, in every `make test`.
const RUNS: u64 = 2_000;
/// Targets that compile, or write to a disk, and by how much fewer they are run.
const DEAR: &[(&str, u64)] = &[
    ("configuration", 4),
    ("journal", 20),
    ("nginx", 4),
    ("object", 20),
    ("routes", 4),
];
/// The same in every `make test`: what fails there fails here.
const SEED: u64 = 20_250_101;
/// Files of one target: a corpus is read by people, too.
const FILES_MAX: usize = 50;

macro_rules! replay {
    ($($name:ident: $about:ident,)*) => {
        $(#[test]
        fn $about() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed_and_has_a_corpus() {
            let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            for entry in fs::read_dir(corpus("")).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(names.contains(&name.as_str()), "{name} is no target");
            }
        }
    };
}

replay! {
    answer: heads_of_answers_can_be_told_in_other_words,
    caching: nothing_is_kept_that_was_not_to_be_kept,
    certificate: certificates_that_anybody_may_have_written_are_read_or_refused,
    chunks: chunks_are_the_same_body_however_they_arrive,
    configuration: a_configuration_means_the_same_when_it_is_told,
    journal: a_journal_makes_no_purge_up,
    jwt: no_token_holds_that_was_not_signed,
    meta: a_record_of_metadata_is_what_its_encoding_gives,
    networks: networks_hold_what_each_of_them_holds,
    nginx: what_is_imported_is_a_configuration,
    object: a_changed_file_never_gives_wrong_bytes,
    path: a_path_has_one_spelling_and_climbs_nowhere,
    proxy: a_proxy_line_means_the_same_whatever_follows,
    range: ranges_are_inside_and_apart,
    request: heads_of_requests_can_be_told_in_other_words,
    routes: the_table_finds_what_going_through_all_routes_finds,
    secrets: files_of_secrets_are_read_or_refused,
    structured: structured_fields_mean_the_same_when_told,
    values: values_mean_the_same_when_told,
}

fn replay(name: &str) {
    let (_, target) = TARGETS
        .iter()
        .find(|(n, _)| *n == name)
        .expect("a name of the list");
    let seeds = inputs(&corpus(name));
    assert!(
        (1..=FILES_MAX).contains(&seeds.len()),
        "{} files for {name}",
        seeds.len()
    );
    for (file, input) in &seeds {
        assert!(input.len() <= INPUT_BYTES_MAX, "{} is too long", file.display());
        run(name, *target, input, &file.display().to_string());
    }
    run(name, *target, b"", "nothing");
    let seed = number("TEST_FUZZ_SEED", SEED);
    let price = DEAR
        .iter()
        .find(|(n, _)| *n == name)
        .map_or(1, |(_, price)| *price);
    for turn in 0..number("TEST_FUZZ_RUNS", RUNS).div_ceil(price) {
        let mut rng = Rng::with_seed(seed.wrapping_add(turn));
        let (_, first) = &seeds[rng.usize(..seeds.len())];
        let (_, other) = &seeds[rng.usize(..seeds.len())];
        let input = mutate(&mut rng, first, other);
        run(
            name,
            *target,
            &input,
            &format!("seed {}", seed.wrapping_add(turn)),
        );
    }
}

fn run(name: &str, target: Target, input: &[u8], whence: &str) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_ok() {
        return;
    }
    let folder = workspace().join("target/fuzz");
    let file = folder.join(format!("{name}-{:016x}", fnv(input)));
    let kept = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, input));
    let place = kept.map_or_else(|e| e.to_string(), |()| file.display().to_string());
    panic!("{name}, {whence}, in {place}:\n{}", input.escape_ascii());
}

/// Sorted, so that a seed means the same everywhere.
fn inputs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry of the corpus").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read(&path).expect("a file of the corpus")))
        .collect()
}

fn corpus(name: &str) -> PathBuf {
    workspace().join("tests/fuzz/corpus").join(name)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .map_or(default, |text| text.parse().expect("a number"))
}

/// A name for an input, the same for the same bytes.
fn fnv(input: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    input.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
