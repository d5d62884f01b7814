//! The `workouts` server: flags in, exit code out.

use std::process::ExitCode;

use backend::flags::Flags;
use backend::run;
use backend::server::Stopped;
use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(Stopped::Drained) => ExitCode::SUCCESS,
        Ok(Stopped::CutOff) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
