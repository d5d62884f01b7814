//! The binary `sluice`.

use std::path::PathBuf;

use gateway::kit::clock::Clock;
use gateway::server::Gateway;

fn main() {
    let path = std::env::args()
        .nth(1)
        .map_or_else(|| PathBuf::from("conf/sluice.toml"), PathBuf::from);
    match Gateway::start(&path, Clock::system()) {
        Ok(gateway) => {
            log::info!("{:?}", gateway.addresses());
            std::thread::park();
        }
        Err(error) => {
            log::error!("{error}");
        }
    }
}
