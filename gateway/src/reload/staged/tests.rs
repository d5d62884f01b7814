use std::os::unix::fs::symlink;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(text: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::write(folder.config(), text).unwrap();
        folder
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("sluice.toml")
    }

    fn files(&self) -> Vec<(String, String)> {
        let read = |entry: io::Result<fs::DirEntry>| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        };
        let mut files: Vec<_> = fs::read_dir(self.0.path()).unwrap().map(read).collect();
        files.sort();
        files
    }
}

fn named(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

#[test]
fn until_it_is_kept_the_configuration_is_what_it_was() {
    let folder = Folder::with("old");
    let staged = Staged::write(&folder.config(), "new").unwrap();
    assert_eq!(
        folder.files(),
        named(&[("sluice.toml", "old"), ("sluice.toml.applying", "new")])
    );
    staged.put_in_place().unwrap();
    assert_eq!(
        folder.files(),
        named(&[("sluice.toml", "new"), ("sluice.toml.before-apply", "old")])
    );
    Staged::write(&folder.config(), "newer")
        .unwrap()
        .put_in_place()
        .unwrap();
    assert_eq!(
        folder.files(),
        named(&[("sluice.toml", "newer"), ("sluice.toml.before-apply", "new")])
    );
}

#[test]
fn what_is_rejected_is_kept_beside_and_what_is_discarded_is_not() {
    let folder = Folder::with("old");
    Staged::write(&folder.config(), "bad").unwrap().reject();
    Staged::write(&folder.config(), "other").unwrap().discard();
    assert_eq!(
        folder.files(),
        named(&[("sluice.toml", "old"), ("sluice.toml.rejected", "bad")])
    );
}

#[test]
fn who_may_read_the_configuration_may_read_the_next_one_and_a_link_stays_one() {
    let folder = Folder::with("old");
    fs::set_permissions(folder.config(), fs::Permissions::from_mode(0o640)).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.toml");
    symlink(folder.config(), &link).unwrap();
    Staged::write(&link, "new").unwrap().put_in_place().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&link).unwrap(), "new");
    assert_eq!(fs::metadata(folder.config()).unwrap().mode() & 0o777, 0o640);
}

#[test]
fn a_file_that_everybody_may_write_is_none_to_run_by_nor_is_what_is_no_file() {
    let folder = Folder::with("old");
    let file = folder.0.path().join("new.toml");
    fs::write(&file, "new").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(read_candidate(&file, &folder.config()).unwrap(), "new");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let fault = read_candidate(&file, &folder.config()).unwrap_err().to_string();
    assert!(fault.contains("everybody may write it"), "{fault}");
    let fault = read_candidate(folder.0.path(), &folder.config())
        .unwrap_err()
        .to_string();
    assert!(fault.contains("no file"), "{fault}");
    assert!(read_candidate(&folder.0.path().join("none"), &folder.config()).is_err());
}

#[test]
fn a_configuration_that_is_not_there_has_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Staged::write(&folder.path().join("none.toml"), "new").is_err());
}

#[test]
fn without_its_group_a_file_is_closed_to_the_group_it_gets() {
    for (old, new) in [
        (0o640, 0o600),
        (0o100_660, 0o600),
        (0o600, 0o600),
        (0o644, 0o644),
        (0o604, 0o640),
        (0o4755, 0o755),
    ] {
        assert_eq!(mode_like(old, true), old & 0o777, "{old:o}");
        assert_eq!(mode_like(old, false), new, "{old:o}");
    }
}

/// Says nothing where the user has no second group, and is not root.
#[test]
fn a_group_of_one_s_own_is_kept() {
    let folder = Folder::with("old");
    let own = fs::metadata(folder.config()).unwrap().gid();
    let groups = rustix::process::getgroups().unwrap();
    let other = groups
        .iter()
        .map(|group| group.as_raw())
        .find(|group| *group != own);
    // Root may give any group; others have none to give but theirs.
    let other = other.or(rustix::process::geteuid().is_root().then_some(own + 1));
    let Some(other) = other else { return };
    chown(folder.config(), None, Some(other)).unwrap();
    fs::set_permissions(folder.config(), fs::Permissions::from_mode(0o640)).unwrap();
    Staged::write(&folder.config(), "new")
        .unwrap()
        .put_in_place()
        .unwrap();
    let facts = fs::metadata(folder.config()).unwrap();
    assert_eq!((facts.gid(), facts.mode() & 0o777), (other, 0o640));
}
