//! Folders that are ours, and folders that are not.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::cache::disk::{FolderFault, FolderTrouble};

fn open(path: &Path) -> Result<Folder, FolderFault> {
    Folder::open(path, || 3)
}

fn trouble(path: &Path) -> FolderTrouble {
    open(path).unwrap_err().why
}

/// Everything below a folder, to see that nothing was changed.
fn listing(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap_or_default()))
        .collect();
    all.sort();
    all
}

#[test]
fn a_new_folder_is_made_for_this_user_only() {
    let place = Place::new();
    let nested = place.path().join("edge");
    drop(open(&nested).unwrap());
    assert_eq!(fs::metadata(&nested).unwrap().permissions().mode() & 0o777, 0o700);
    let marker = fs::metadata(nested.join("sluice-cache")).unwrap();
    assert_eq!((marker.len(), marker.permissions().mode() & 0o777), (64, 0o600));
}

#[test]
fn the_seed_stays_and_generations_grow_with_each_start() {
    let place = Place::new();
    let first = place.open(1).first_generation();
    for start in 2..6 {
        let mut numbers = [start * 1000, start].into_iter();
        let folder = Folder::open(&place.path(), || numbers.next().unwrap()).unwrap();
        assert_eq!(folder.seed(), SEED);
        assert_eq!(folder.first_generation(), first * start);
    }
}

#[test]
fn a_folder_is_used_once_at_a_time() {
    let place = Place::new();
    let folder = place.open(1);
    assert!(matches!(trouble(&place.path()), FolderTrouble::InUse));
    let other = folder.clone();
    let draft = folder.draft().unwrap();
    drop(folder);
    assert!(matches!(trouble(&place.path()), FolderTrouble::InUse));
    drop(other);
    assert!(matches!(trouble(&place.path()), FolderTrouble::InUse));
    drop(draft);
    open(&place.path()).unwrap();
}

#[test]
fn a_folder_of_somebody_else_is_refused_and_left_as_it_is() {
    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    fs::write(place.path().join("index.html"), "hello").unwrap();
    let before = listing(&place.path());
    let fault = open(&place.path()).unwrap_err();
    assert!(matches!(&fault.why, FolderTrouble::Foreign(name) if name == "index.html"));
    assert!(fault.to_string().contains("index.html"));
    assert_eq!(listing(&place.path()), before);
}

#[test]
fn the_root_of_a_new_file_system_is_taken() {
    let place = Place::new();
    fs::create_dir_all(place.path().join("lost+found")).unwrap();
    open(&place.path()).unwrap();
}

#[test]
fn what_is_no_folder_is_told() {
    let place = Place::new();
    let path = place.root.path().join("file");
    fs::write(&path, "x").unwrap();
    assert!(matches!(trouble(&path), FolderTrouble::NotAFolder));
    assert!(matches!(trouble(&path.join("below")), FolderTrouble::NotAFolder));
}

#[test]
fn a_marker_that_is_no_marker_is_left_alone() {
    let place = Place::new();
    let marker = place.path().join("sluice-cache");
    for make in [
        (|marker: &Path| fs::write(marker, "a letter to my aunt").unwrap()) as fn(&Path),
        |marker| fs::create_dir(marker).unwrap(),
        |marker| symlink("/etc/hostname", marker).unwrap(),
        |marker| {
            let mode = rustix::fs::Mode::RWXU;
            rustix::fs::mkfifoat(rustix::fs::CWD, marker, mode).unwrap();
        },
    ] {
        _ = fs::remove_dir_all(place.path());
        fs::create_dir(place.path()).unwrap();
        make(&marker);
        let kind = fs::symlink_metadata(&marker).unwrap().file_type();
        assert!(
            matches!(trouble(&place.path()), FolderTrouble::Foreign(_)),
            "{kind:?}"
        );
        assert_eq!(fs::symlink_metadata(&marker).unwrap().file_type(), kind);
    }
}

#[test]
fn another_format_version_is_told_and_kept() {
    let place = Place::new();
    drop(place.open(1));
    overwrite(&place.path().join("sluice-cache"), 8, &[9]);
    let before = listing(&place.path());
    let fault = open(&place.path()).unwrap_err();
    assert!(matches!(fault.why, FolderTrouble::Version(9)));
    assert!(fault.to_string().contains("empty the folder"));
    assert_eq!(listing(&place.path()), before);
}

/// What a power failure can leave of it; the objects are lost with their seed, and nothing else is.
#[test]
fn a_damaged_marker_begins_anew() {
    let place = Place::new();
    let folder = place.open(1);
    let location = folder
        .write(key(1), folder.first_generation(), &meta("a"), b"a")
        .unwrap();
    drop(folder);
    let marker = place.path().join("sluice-cache");
    let sound = fs::read(&marker).unwrap();
    for length in [0, 40] {
        fs::write(&marker, &sound[..length]).unwrap();
        let folder = Folder::open(&place.path(), || 99).unwrap();
        assert_eq!(folder.seed(), 99);
        assert!(open_and_read(&folder, key(1), &location).is_err());
    }
    let folder = open(&place.path()).unwrap();
    let (tally, found) = scan(&folder);
    assert_eq!((tally.damaged, found.len()), (1, 0));
}

#[test]
fn a_torn_count_of_starts_falls_back_to_the_one_before() {
    let place = Place::new();
    let first = place.open(1).first_generation();
    drop(place.open(2));
    // The second start is in the first slot.
    overwrite(&place.path().join("sluice-cache"), 33, &[7]);
    let folder = place.open(3);
    assert_eq!((folder.seed(), folder.first_generation()), (SEED, 2 * first));
}

#[test]
fn faults_say_where_what_and_what_to_do() {
    let errors = [
        (rustix::io::Errno::NOTDIR, "not_a_folder"),
        (rustix::io::Errno::ACCESS, "denied"),
        (rustix::io::Errno::ROFS, "read_only"),
        (rustix::io::Errno::AGAIN, "in_use"),
        (rustix::io::Errno::NOSPC, "full"),
        (rustix::io::Errno::DQUOT, "full"),
        (rustix::io::Errno::IO, "io"),
    ];
    for (errno, word) in errors {
        let why = FolderTrouble::of(errno.into());
        assert_eq!(why.word(), word);
        let text = FolderFault {
            path: "/var/cache/x".into(),
            why,
        }
        .to_string();
        assert!(
            text.starts_with("/var/cache/x: ") && text.matches(": ").count() >= 2,
            "{text}"
        );
    }
}
