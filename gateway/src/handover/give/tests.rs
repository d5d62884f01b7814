use std::os::unix::fs::symlink;

use super::*;

fn launch(words: &[&str]) -> Launch {
    Launch::of(words.iter().map(OsString::from))
}

#[test]
fn a_program_is_found_as_a_shell_finds_it() {
    assert_eq!(
        launch(&["/opt/sluice", "run"]).program(),
        Path::new("/opt/sluice")
    );
    let folder = env::current_dir().unwrap();
    assert_eq!(launch(&["bin/sluice"]).program(), folder.join("bin/sluice"));
    let shell = launch(&["sh"]);
    assert!(shell.program().is_absolute() && shell.program().ends_with("sh"));
    // A name that leads nowhere: what runs is all that is known.
    let unknown = launch(&["no-such-program-anywhere"]);
    assert_eq!(unknown.program(), env::current_exe().unwrap());
    assert_eq!(
        launch(&["sluice", "run", "-c", "x"]).arguments,
        ["run", "-c", "x"]
    );
}

#[test]
fn another_file_in_its_place_is_noticed_also_behind_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, link] = ["one", "two", "link"].map(|name| folder.path().join(name));
    fs::write(&one, "1").unwrap();
    fs::write(&two, "2").unwrap();
    symlink(&one, &link).unwrap();
    let launch = launch(&[link.to_str().unwrap()]);
    assert!(!launch.has_changed());
    fs::remove_file(&link).unwrap();
    assert!(!launch.has_changed(), "nothing to change to");
    symlink(&two, &link).unwrap();
    assert!(launch.has_changed());
}

/// A course that is or is not wanted.
struct Wish(bool);

impl Course for Wish {
    fn begun(&self, _: &Arc<Link>) -> bool {
        self.0
    }

    fn is_wanted(&self) -> bool {
        self.0
    }
}

fn started(script: &str, wish: bool) -> GiveFault {
    let clock = crate::kit::clock::Clock::system();
    let deadline = Deadline::after(&clock, Duration::from_secs(10));
    let offer = Offer {
        format: FORMAT,
        generation: 1,
        failures: 0,
        sockets: Vec::new(),
        tickets: None,
        orders: Vec::new(),
        found: Vec::new(),
    };
    let launch = launch(&["/bin/sh", "-c", script]);
    hand_over(&launch, &offer, Vec::new(), &deadline, &Wish(wish)).unwrap_err()
}

#[test]
fn what_a_program_does_instead_is_told_apart() {
    let ended = started("test \"$SLUICE_HANDOVER\" = 1 && exit 7", true);
    assert!(
        matches!(ended, GiveFault::Ended(Some(status)) if status.code() == Some(7)),
        "{ended}"
    );
    // A frame of 18 bytes.
    let declined = started(
        "printf '\\022\\000\\000\\000{\"declined\":\"so\"}\\n' >&0; sleep 0",
        true,
    );
    assert!(
        matches!(&declined, GiveFault::Declined(why) if why == "so"),
        "{declined}"
    );
    let early = started("printf '\\007\\000\\000\\000\"ready\"' >&0; exec sleep 600", true);
    assert!(
        matches!(early, GiveFault::Link(LinkFault::Nonsense(_))),
        "{early}"
    );
    let unwanted = started("exec sleep 600", false);
    assert!(matches!(unwanted, GiveFault::Stopped), "{unwanted}");
}
