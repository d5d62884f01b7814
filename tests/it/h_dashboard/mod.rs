mod browser;
mod events;

use harness::origin::reply;
use harness::{Gateway, Origin};

use crate::all_to;

/// A gateway whose admin address asks for `a-long-random-word`.
fn with_token() -> (Gateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder is to be had");
    let token = folder.path().join("token");
    std::fs::write(&token, "a-long-random-word\n").expect("it can be written");
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&format!(
        "[admin]\naddress = \"127.0.0.1:0\"\ntoken_file = {token:?}\n{}",
        all_to(&origin)
    ));
    (gw, folder)
}
