//! The folder in which accounts, certificates and keys outlive the process.
//!
//! ```text
//! STORAGE/DIRECTORY/account.json             the account at that authority, with its key
//! STORAGE/DIRECTORY/certificates/NAME.pem    key and chain, in one file: so they always fit together
//! STORAGE/DIRECTORY/certificates/NAME.lock   held by whoever orders; likewise account.lock
//! ```
//!
//! DIRECTORY is made of the URL: what one authority has signed, one for trying perhaps, never passes for another's.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ring::digest;

use crate::secrets::Identity;
use crate::secrets::certificate::{Chain, PrivateKey};

/// Bytes of a file. A chain has less than a tenth of it.
const FILE_BYTES_MAX: u64 = 256 * 1_024;

/// Bytes of a folder's name that are taken from the URL's host.
const HOST_BYTES_MAX: usize = 64;

/// The folder of one authority.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Storage {
    folder: PathBuf,
}

/// Why something cannot be kept or found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageFault {
    /// Which file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub message: String,
}

/// Held by one process at a time. The system lets go of it if the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "it is the open file that holds the lock")] File);

/// Which version of a file this is: another one has another mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    inode: u64,
    modified: (i64, i64),
    length: u64,
}

impl std::error::Error for StorageFault {}

impl fmt::Display for StorageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

impl StorageFault {
    fn new(path: &Path, message: impl fmt::Display) -> Self {
        Self {
            path: path.to_owned(),
            message: message.to_string(),
        }
    }
}

impl Storage {
    /// The folder for what the authority at `directory` signs. Touches nothing.
    pub fn new(storage: &Path, directory: &str) -> Self {
        let host = directory.split("://").nth(1).unwrap_or(directory);
        let host = host.split('/').next().unwrap_or_default();
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let host: String = host.chars().filter(is_plain).take(HOST_BYTES_MAX).collect();
        let hash = digest::digest(&digest::SHA256, directory.as_bytes());
        let hash: String = hash.as_ref()[..4].iter().map(|b| format!("{b:02x}")).collect();
        Self {
            folder: storage.join(format!("{host}-{hash}")),
        }
    }

    /// The file of a certificate and its key.
    pub fn certificate_file(&self, name: &str) -> PathBuf {
        self.folder.join("certificates").join(format!("{name}.pem"))
    }

    /// The file of the account.
    pub fn account_file(&self) -> PathBuf {
        self.folder.join("account.json")
    }

    /// Who we are by what was stored; None where nothing was.
    ///
    /// # Errors
    /// It cannot be read, or what stands there is not what was written.
    pub fn certificate(&self, name: &str) -> Result<Option<Identity>, StorageFault> {
        let path = self.certificate_file(name);
        let Some(bytes) = read(&path)? else {
            return Ok(None);
        };
        identity(&bytes)
            .map(Some)
            .map_err(|message| StorageFault::new(&path, message))
    }

    /// Which version is stored; None where there is none, or it cannot be seen.
    pub fn mark(&self, name: &str) -> Option<Mark> {
        let seen = std::fs::metadata(self.certificate_file(name)).ok()?;
        Some(Mark {
            inode: seen.ino(),
            modified: (seen.mtime(), seen.mtime_nsec()),
            length: seen.size(),
        })
    }

    /// Keeps a key and its chain, both in PEM. Whoever reads meanwhile finds the old ones or these. Waits for the disk.
    ///
    /// # Errors
    /// What was there before is there still, or these are.
    pub fn keep_certificate(&self, name: &str, pem: &str) -> Result<(), StorageFault> {
        write(&self.certificate_file(name), pem.as_bytes())
    }

    /// The account's text; None where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn account(&self) -> Result<Option<Vec<u8>>, StorageFault> {
        read(&self.account_file())
    }

    /// Keeps the account's text. Waits for the disk.
    ///
    /// # Errors
    /// As for a certificate.
    pub fn keep_account(&self, text: &[u8]) -> Result<(), StorageFault> {
        write(&self.account_file(), text)
    }

    /// Puts an account aside that its authority does not know any more, under another name: its key may be wanted once.
    /// Whoever calls holds the account's lock.
    ///
    /// # Errors
    /// It is still there.
    pub fn retire_account(&self) -> Result<(), StorageFault> {
        let path = self.account_file();
        std::fs::rename(&path, path.with_extension("json.unknown")).map_err(|e| StorageFault::new(&path, e))
    }

    /// The right to order a certificate; None while another process has it.
    ///
    /// # Errors
    /// The folder cannot be written: then nothing could be kept either.
    pub fn lock_certificate(&self, name: &str) -> Result<Option<Lock>, StorageFault> {
        lock(&self.folder.join("certificates").join(format!("{name}.lock")))
    }

    /// The right to make an account; None while another process has it.
    ///
    /// # Errors
    /// As for a certificate.
    pub fn lock_account(&self) -> Result<Option<Lock>, StorageFault> {
        lock(&self.folder.join("account.lock"))
    }
}

/// Who we are by a file that holds a key and its chain.
///
/// # Errors
/// What is wrong with it.
pub fn identity(pem: &[u8]) -> Result<Identity, String> {
    let told = |fault: crate::secrets::Fault| format!("line {}: {}", fault.line, fault.message);
    let chain = Chain::parse(pem).map_err(told)?;
    let key = PrivateKey::parse(pem).map_err(told)?;
    Identity::new(chain, key).map_err(told)
}

fn lock(path: &Path) -> Result<Option<Lock>, StorageFault> {
    make_folder(path)?;
    let mut options = OpenOptions::new();
    // An empty file that stays: to remove it would take the lock from whoever has just opened it.
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    let file = file.map_err(|e| StorageFault::new(path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(StorageFault::new(path, e)),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StorageFault> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StorageFault::new(path, e)),
    };
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|e| StorageFault::new(path, e))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("it has more than {FILE_BYTES_MAX} bytes, so it is none of ours");
        return Err(StorageFault::new(path, message));
    }
    Ok(Some(bytes))
}

/// Beside the file, to the disk, then over it, then the folder to the disk: after a crash there is the old one or the new
/// one, whole. Whoever calls holds a lock, so nobody else writes beside.
fn write(path: &Path, bytes: &[u8]) -> Result<(), StorageFault> {
    let folder = make_folder(path)?;
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let written = || {
        // What a crash has left may be readable by others.
        match std::fs::remove_file(&fresh) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(|e| StorageFault::new(path, e))
}

/// For nobody else to look into: there are keys in it.
fn make_folder(path: &Path) -> Result<&Path, StorageFault> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| StorageFault::new(folder, e))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    const URL: &str = "https://ca.test:14000/dir";

    fn pem(name: &str) -> String {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        format!("{}{}", key.serialize_pem(), certificate.pem())
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_was_kept_is_found_again_and_nobody_else_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(&folder.path().join("made"), URL);
        assert!(storage.certificate("a").unwrap().is_none());
        assert_eq!(storage.mark("a"), None);
        let names = |name| {
            let found = storage.certificate(name).unwrap().unwrap();
            found.chain().leaf().names.clone()
        };
        storage.keep_certificate("a", &pem("a.test")).unwrap();
        assert_eq!(names("a"), ["a.test"]);
        let before = storage.mark("a").unwrap();
        storage.keep_certificate("a", &pem("b.test")).unwrap();
        assert_eq!(names("a"), ["b.test"]);
        assert_ne!(storage.mark("a").unwrap(), before);
        storage.keep_account(b"{}").unwrap();
        assert_eq!(storage.account().unwrap().unwrap(), b"{}");
        let file = storage.certificate_file("a");
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(&storage.account_file()), 0o600);
        assert_eq!(mode(file.parent().unwrap()), 0o700);
        let left = std::fs::read_dir(file.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing is left beside the file");
    }

    #[test]
    fn what_a_crash_has_left_beside_the_file_is_neither_read_nor_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(folder.path(), URL);
        storage.keep_certificate("a", &pem("a.test")).unwrap();
        let beside = storage.certificate_file("a").with_extension("pem.new");
        std::fs::write(&beside, "half a ke").unwrap();
        assert!(storage.certificate("a").unwrap().is_some());
        storage.keep_certificate("a", &pem("b.test")).unwrap();
        assert!(!beside.exists());
        assert_eq!(mode(&storage.certificate_file("a")), 0o600);
    }

    #[test]
    fn a_file_that_is_damaged_is_told_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(folder.path(), URL);
        for text in ["", "nonsense", &pem("a.test")[..300], &"x".repeat(300 * 1_024)] {
            storage.keep_certificate("a", text).unwrap();
            let fault = storage.certificate("a").unwrap_err();
            assert_eq!(fault.path, storage.certificate_file("a"));
        }
        let mixed = [pem("a.test").split_off(241), pem("a.test")].concat();
        storage.keep_certificate("a", &mixed).unwrap();
        assert!(
            storage.certificate("a").is_err(),
            "the key is another certificate's"
        );
    }

    #[test]
    fn one_at_a_time_has_a_lock() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(folder.path(), URL);
        let lock = storage.lock_certificate("a").unwrap();
        assert!(lock.is_some());
        assert!(storage.lock_certificate("a").unwrap().is_none());
        assert!(storage.lock_certificate("b").unwrap().is_some());
        assert!(storage.lock_account().unwrap().is_some());
        drop(lock);
        assert!(storage.lock_certificate("a").unwrap().is_some());
    }

    #[test]
    fn authorities_do_not_share_a_folder() {
        let of = |url: &str| Storage::new(Path::new("/s"), url).account_file();
        assert_eq!(of(URL).parent().unwrap().parent().unwrap(), Path::new("/s"));
        assert_ne!(of("https://ca.test/a"), of("https://ca.test/b"));
        assert_ne!(of("https://ca.test/a"), of("https://cb.test/a"));
        let odd = of("https://../../etc");
        assert_eq!(odd.components().count(), 4, "{odd:?}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_a_fault_and_not_a_lock() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let storage = Storage::new(&file, URL);
        assert!(storage.lock_certificate("a").is_err());
        assert!(storage.keep_account(b"").is_err());
    }
}
