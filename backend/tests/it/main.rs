//! The service over real sockets, the simplest first.

#![expect(
    clippy::unwrap_used,
    reason = "a play ends where it fails; its helpers are not marked #[test]"
)]

mod harness;

mod a_catalogue;
mod b_accounts;
mod c_bad_input;
mod d_plans;
mod e_logs;
mod f_caching;
mod g_life;
mod h_processes;
