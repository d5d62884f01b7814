//! Which server a request would go to, and why not to each of the others.

use super::{ServerSeen, Walk};
use crate::balance::{Bid, Outlook, ServerStatus, Standing};
use crate::config::plan::LoadBalancing;
use crate::corridor::hand::Room;
use crate::corridor::proxy::{ask_of, nobody};
use crate::guard::concurrency::Admission;
use crate::reply::Refusal;
use crate::snapshot::Service;
use crate::upstream::Breaker;

impl Walk {
    /// Looks whom the choice would fall to; as an error why it would fall to nobody.
    pub(super) fn choose_server(&mut self, service: &Service) -> Result<(), Refusal> {
        self.take_room(service)?;
        let now = self.looking.clock.mono();
        let ask = ask_of(&self.x, service, &[]);
        let outlook = service.pool.peek(&ask, 0, now);
        let statuses = service.pool.status(now);
        let may_be = drawn(&service.plan.load_balancing, &outlook, &statuses);
        self.found.servers = statuses
            .iter()
            .enumerate()
            .map(|(index, status)| seen(index, status, &outlook, &may_be))
            .collect();
        let policy = service.plan.load_balancing.name();
        let Some(chosen) = outlook.chosen else {
            let refusal = nobody(service);
            let why = match refusal {
                Refusal::NotDiscovered => "none has been discovered yet",
                _ => "no server can be chosen",
            };
            self.note(Room::Balance, format!("{policy}: {why}"));
            self.note_servers();
            return Err(refusal);
        };
        let because = match (outlook.is_bound, may_be.len()) {
            (true, _) => "the client is bound to".to_owned(),
            (false, 0 | 1) => policy.to_owned(),
            (false, several) => {
                self.found.candidates = may_be.iter().map(|at| statuses[*at].address.clone()).collect();
                let text = format!("{policy} draws two of {several} servers and takes the less busy one");
                self.looking.assume(Room::Balance, text);
                self.note_servers();
                return Ok(());
            }
        };
        self.found.server = Some(statuses[chosen].address.clone());
        self.note(Room::Balance, format!("{because}: {}", statuses[chosen].address));
        self.note_servers();
        Ok(())
    }

    /// A place in flight to the upstream.
    fn take_room(&mut self, service: &Service) -> Result<(), Refusal> {
        let Some(throttle) = &service.throttle else {
            return Ok(());
        };
        let limit = throttle
            .limit()
            .map_or_else(|| "any number".to_owned(), |limit| limit.to_string());
        let text = format!(
            "overload: {} of {limit} are in flight, {} wait",
            throttle.in_flight(),
            throttle.waiting()
        );
        match throttle.peek(&service.plan.overload, self.looking.clock.mono()) {
            Admission::Inside => self.note(Room::Balance, text),
            Admission::Line => {
                let text = format!("{text}: it would wait, and is taken to get in");
                self.looking.assume(Room::Balance, text);
            }
            Admission::Full => {
                self.note(Room::Balance, format!("{text}: no room"));
                return Err(Refusal::Overloaded);
            }
        }
        Ok(())
    }

    fn note_servers(&mut self) {
        let told: Vec<String> = self
            .found
            .servers
            .iter()
            .map(|server| format!("{}: {}", server.address, server.reason))
            .collect();
        told.into_iter().for_each(|text| self.note(Room::Balance, text));
    }
}

/// Those that chance decides between: of one tier, since backups are for when no primary can.
fn drawn(policy: &LoadBalancing, outlook: &Outlook, statuses: &[ServerStatus]) -> Vec<usize> {
    let Some(chosen) = outlook.chosen else {
        return Vec::new();
    };
    let is_by_chance = matches!(policy, LoadBalancing::RandomTwo) && !outlook.is_bound;
    (0..statuses.len())
        .filter(|at| {
            let is_eligible = matches!(outlook.bids[*at], Bid::Eligible { .. });
            let is_beside = is_by_chance && is_eligible && statuses[*at].backup == statuses[chosen].backup;
            *at == chosen || is_beside
        })
        .collect()
}

fn seen(index: usize, status: &ServerStatus, outlook: &Outlook, may_be: &[usize]) -> ServerSeen {
    let bid = outlook.bids[index];
    let is_chosen = outlook.chosen == Some(index) && may_be.len() == 1;
    ServerSeen {
        address: status.address.clone(),
        state: status.state.name(),
        weight: match bid {
            Bid::Eligible { weight } => weight,
            Bid::Out | Bid::Full(_) | Bid::Probed | Bid::Tried => status.weight.into(),
        },
        backup: status.backup,
        in_flight: status.in_flight,
        chosen: is_chosen,
        reason: reason(index, status, outlook, may_be),
    }
}

fn reason(index: usize, status: &ServerStatus, outlook: &Outlook, may_be: &[usize]) -> String {
    let load = format!("weight {}, {} in flight", status.weight, status.in_flight);
    match outlook.bids[index] {
        Bid::Out => match status.state {
            Standing::Off => "down = true".to_owned(),
            Standing::Down => "down, by its probes or by order".to_owned(),
            Standing::Ejected => "ejected: it failed".to_owned(),
            Standing::Drain => "drains: only clients bound to it".to_owned(),
            Standing::Up => "its turn has not come yet".to_owned(),
        },
        Bid::Full(max) => format!("full: {} of {max}", status.in_flight),
        Bid::Probed => "half-open, and others are trying it".to_owned(),
        Bid::Tried => "tried before".to_owned(),
        Bid::Eligible { .. } => {
            let half_open = match status.breaker {
                Breaker::HalfOpen => ", half-open",
                Breaker::Closed | Breaker::Open => "",
            };
            let place = match may_be {
                [only] if *only == index => "chosen",
                several if several.contains(&index) => "may be drawn",
                _ if status.backup => "a backup, and a primary can",
                _ => "could, and is not first",
            };
            format!("{place} ({load}{half_open})")
        }
    }
}
