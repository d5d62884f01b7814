/// What is tried to get past authentication.
mod attacks;
/// Names and passwords.
mod basic;
/// Somebody else is asked who may come in.
mod forward;
/// What the origin is told of who asks, and who gets what is kept for somebody.
mod identity;
/// Keys in a field.
mod keys;
/// Tokens: by keys from files and from their issuer.
pub(super) mod tokens;

use std::path::PathBuf;

use harness::Origin;

/// A folder of secrets, apart from that of the configuration.
struct Secrets(tempfile::TempDir);

impl Secrets {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder is to be had"))
    }

    /// Writes beside the file and renames. Its path, as it stands in a configuration.
    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let (fresh, file) = (self.path("fresh"), self.path(name));
        std::fs::write(&fresh, content).expect("the folder can be written");
        std::fs::rename(&fresh, &file).expect("within a folder, renaming works");
        file.display().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// One route for all that lets in by this `[auth.users]`, and has this besides.
fn guarded(origin: &Origin, auth: &str, more: &str) -> String {
    format!(
        r#"
        [auth.users]
        {auth}

        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "guarded"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        auth = "users"
        {more}
        "#,
        origin.address()
    )
}
