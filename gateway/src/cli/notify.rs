//! What the service manager is told: sd_notify(3), in the few words a gateway needs.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Tells it, if there is one that wants to be told.
pub fn tell(state: &str) {
    if let Some(address) = env::var_os("NOTIFY_SOCKET").filter(|a| !a.is_empty())
        && let Err(error) = send(&address, state)
    {
        log::warn!(target: "gateway::cli", "the service manager was not told {state}: {error}");
    }
}

fn send(address: &OsStr, state: &str) -> io::Result<()> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(address)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(state.as_bytes(), &address)
        .map(drop)
}
