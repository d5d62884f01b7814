//! What a start takes: sockets of its own, and what a process before it hands over.

use std::sync::Arc;

use crate::config::plan::{Address, Plan, SocketSpec};
use crate::discovery::Roster;
use crate::doors::{Doors, Prepared};
use crate::handover::Heritage;
use crate::kit::clock::Now;
use crate::listen::{BindFault, Bound};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::upstream::Order;

/// Sockets, before anything is accepted from them.
pub(super) struct Taken {
    pub(super) doors: Prepared,
    pub(super) admin: Option<Bound>,
    /// The same as it is configured, for the next process.
    pub(super) admin_at_control: Option<(SocketSpec, Bound)>,
}

impl Taken {
    pub(super) fn of(plan: &Plan, mut heritage: Option<&mut Heritage>) -> Result<Self, BindFault> {
        let inherited = heritage.as_deref_mut().map(Heritage::take_doors);
        let doors = Doors::default().prepare(
            &plan.listeners,
            plan.server.threads,
            inherited.unwrap_or_default(),
        )?;
        let configured = plan.admin.as_ref().map(|admin| &admin.address);
        // Also where there is none, so that what is not wanted is closed.
        let mut inherited = |wanted| heritage.as_deref_mut()?.take_admin(wanted);
        let admin = match configured {
            None => {
                inherited(None);
                None
            }
            Some(configured) => Some(match inherited(Some(configured)) {
                Some(bound) => bound,
                None => Bound::new(configured, 1)?,
            }),
        };
        let at_control = match (&admin, configured) {
            (Some(bound), Some(configured)) => Some((
                configured.clone(),
                Bound {
                    address: bound.address.clone(),
                    sockets: bound.copies()?,
                },
            )),
            (None, _) | (_, None) => None,
        };
        Ok(Self {
            doors,
            admin,
            admin_at_control: at_control,
        })
    }
}

/// Goes on with the servers that sources have given the process before this one, where the same ones are asked. To be held
/// until the plan is wired: what nobody holds is forgotten.
pub(super) fn take_up_rosters(heritage: &Heritage, plan: &Plan, state: &State) -> Vec<Arc<Roster>> {
    let sources = plan
        .upstreams
        .iter()
        .filter_map(|upstream| upstream.discover.as_ref());
    let inherited = sources.filter_map(|discover| {
        let found = heritage
            .found()
            .iter()
            .find(|found| found.are_of(&discover.source))?;
        let roster = state.roster(&discover.source);
        roster.inherit(found.servers(), found.given_at());
        Some(roster)
    });
    inherited.collect()
}

/// Goes on where the process before this one has been, in what no configuration says.
pub(super) fn take_up(heritage: &Heritage, snapshot: &Snapshot, state: &State, now: Now) {
    if let Some(keys) = heritage.tickets() {
        state.tls.inherit(keys, now.mono);
    }
    let (ok, failed) = heritage.generation();
    state.metrics.inherit_upgrades(ok, failed);
    for standing in heritage.orders() {
        let service = snapshot.service(&standing.upstream);
        let address = Address::parse(&standing.server);
        let seat = service
            .zip(address)
            .and_then(|(service, address)| service.pool.seat(&address).cloned());
        let Some((seat, order)) = seat.zip(Order::parse(&standing.state)) else {
            log::warn!(
                "the order {} for {} of upstream {} is forgotten: there is no such server in the new configuration",
                standing.state,
                standing.server,
                standing.upstream
            );
            continue;
        };
        seat.reweigh(standing.weight);
        seat.command(order, now.mono);
    }
}
