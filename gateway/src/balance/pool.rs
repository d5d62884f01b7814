//! One upstream's servers, and who of them is in service.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::standing::{Facts, STEPS, Standing, WEIGHT_MAX, climbed};
use super::{Ask, Lease, hash_of};
use crate::config::plan::{Address, LoadBalancing, OutlierDetection, Upstream, UpstreamServer};
use crate::kit::clock::Mono;
use crate::kit::ring::Ring;
use crate::kit::turns;
use crate::upstream::circuit::EPOCH_BITS;
use crate::upstream::outlier::ejections_max;
use crate::upstream::{Breaker, Changes, Epoch, Health, Load, Order, Probing, Running, Seat, Server, Ticket};

/// One upstream as one configuration has it.
///
/// Which servers are in service, and with what weight, is worked out from the cells once per change and kept in one
/// word per server: a pick reads that word and the load, nothing else.
#[derive(Debug)]
pub struct Pool {
    name: String,
    pub(super) policy: LoadBalancing,
    outlier_detection: OutlierDetection,
    members: Box<[Member]>,
    pub(super) slots: Box<[Slot]>,
    /// The first this many are primaries, the rest backups.
    primaries: usize,
    /// Empty unless the policy hashes.
    pub(super) ring: Ring,
    pub(super) running: Arc<Running>,
    changes: Changes,
    service: Service,
}

/// What a pick reads of a member.
#[derive(Debug)]
pub(super) struct Slot {
    /// Effective weight for new requests, in 1/[`STEPS`]; 0 = out of service. [`BOUND`], [`PROBING`] and the epoch apart.
    word: AtomicU64,
    /// How long its turn lasts at this weight.
    pub(super) stride: AtomicU64,
    pub(super) id: u64,
    pub(super) server: Arc<Server>,
    pub(super) seat: Arc<Seat>,
    /// u32::MAX = no limit.
    pub(super) max_conns: u32,
    half_open_requests: NonZeroU32,
}

/// In a slot's word: takes clients that are bound to it.
const BOUND: u64 = 1 << 32;

/// In a slot's word: its circuit is tripped, and lets a few in who know its last opening, which stands above this bit.
const PROBING: u64 = 1 << 33;
const EPOCH_SHIFT: u32 = 34;
const _: () = assert!(EPOCH_SHIFT + EPOCH_BITS <= u64::BITS);

/// When the slots were last worked out, and until when that holds.
#[derive(Debug)]
struct Service {
    at_change: AtomicU64,
    until_ns: AtomicU64,
    /// How far the virtual clock moves per turn: among primaries, among backups.
    ticks: [AtomicU64; 2],
    renewing: Mutex<()>,
    /// Odd while the slots are being rewritten.
    version: AtomicU64,
}

/// A server as one upstream has it.
#[derive(Debug)]
pub struct Member {
    server: UpstreamServer,
    health: Option<Arc<Health>>,
    sticky_value: String,
}

/// The cells of one server in one upstream.
#[derive(Clone, Debug)]
pub struct Cells {
    /// By address.
    pub server: Arc<Server>,
    /// By address and probe; None without probes.
    pub health: Option<Arc<Health>>,
    /// By upstream and address.
    pub seat: Arc<Seat>,
}

/// Primaries or backups.
#[derive(Clone, Debug)]
pub(super) struct Tier {
    pub(super) slots: Range<usize>,
    pub(super) tick: u64,
}

/// Picks begun again because servers came and went meanwhile, before it is taken for a refusal.
const LOOKS_MAX: u32 = 8;

/// Slow starts are looked at no more often than this: with many servers on many ramps there is always a next step.
const RENEWAL_MIN: Duration = Duration::from_millis(5);

impl Pool {
    /// Wires a plan to its cells; `cells` is asked once per server of the plan.
    pub fn new(
        upstream: &Upstream,
        running: Arc<Running>,
        changes: Changes,
        mut cells: impl FnMut(&UpstreamServer) -> Cells,
    ) -> Arc<Self> {
        let (primaries, backups): (Vec<_>, Vec<_>) = upstream.servers.iter().partition(|s| !s.backup);
        let ordered: Vec<&UpstreamServer> = primaries.iter().chain(&backups).copied().collect();
        let (members, slots) = ordered
            .iter()
            .map(|server| {
                let cells = cells(server);
                let member = Member::new(&upstream.name, server, cells.health);
                let half_open_requests = upstream.outlier_detection.half_open_requests;
                let slot = Slot::new(server, cells.server, cells.seat, half_open_requests);
                (member, slot)
            })
            .collect::<(Vec<_>, Vec<_>)>();
        Arc::new(Self {
            name: upstream.name.clone(),
            policy: upstream.load_balancing.clone(),
            outlier_detection: upstream.outlier_detection.clone(),
            members: members.into(),
            slots: slots.into(),
            primaries: primaries.len(),
            ring: ring(&upstream.load_balancing, &ordered),
            running,
            changes,
            service: Service::unknown(),
        })
    }

    /// Chooses a server and takes a place there; None if none is eligible.
    ///
    /// `draw` is 64 random bits. O(1) memory, no locks unless some server's standing has changed.
    pub fn pick(self: &Arc<Self>, ask: &Ask<'_>, draw: u64, now: Mono) -> Option<Lease> {
        for _ in 0..LOOKS_MAX {
            self.renew(now);
            let version = self.service.version.load(Ordering::Acquire);
            let at_change = self.service.at_change.load(Ordering::Acquire);
            let chosen = self.bound(ask).or_else(|| {
                self.tiers()
                    .iter()
                    .find_map(|tier| self.choose(tier, ask, draw, now))
            });
            if let Some(taken) = chosen {
                return Some(Lease::of(self, taken));
            }
            // Nobody, seen in the midst of a renewal, may be the one who went and not the one who came; and a circuit that
            // has opened since is closed to whoever has not looked again.
            let is_steady =
                version.is_multiple_of(2) && self.service.version.load(Ordering::Acquire) == version;
            if is_steady && self.changes.count() == at_change {
                return None;
            }
        }
        None
    }

    /// The upstream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The servers, primaries first.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// How servers are chosen.
    pub fn load_balancing(&self) -> &LoadBalancing {
        &self.policy
    }

    /// When servers are ejected.
    pub fn outlier_detection(&self) -> &OutlierDetection {
        &self.outlier_detection
    }

    /// What the upstream is busy with.
    pub fn running(&self) -> &Arc<Running> {
        &self.running
    }

    /// The member's server.
    pub fn server(&self, index: usize) -> &Arc<Server> {
        &self.slots[index].server
    }

    /// The seat of the server with this address, to give orders about it.
    pub fn seat(&self, address: &Address) -> Option<&Arc<Seat>> {
        let index = self.members.iter().position(|m| m.address() == address)?;
        Some(&self.slots[index].seat)
    }

    /// Whether a server serves at this moment.
    pub fn standing(&self, index: usize, now: Mono) -> Standing {
        self.standing_with(index, self.slots[index].server.circuit(now).0)
    }

    fn standing_with(&self, index: usize, breaker: Breaker) -> Standing {
        let (member, slot) = (&self.members[index], &self.slots[index]);
        Standing::of(Facts {
            off: member.server.down,
            order: slot.seat.order(),
            healthy: member.health.as_ref().is_none_or(|health| health.up()),
            ejected: breaker == Breaker::Open,
        })
    }

    /// The operator's weight, else the configured one.
    pub(super) fn weight(&self, index: usize) -> u32 {
        let configured = self.members[index].server.weight;
        self.slots[index].seat.weight().unwrap_or(configured).get()
    }

    /// Whether one more ejection leaves enough: within the percentage, and somebody else in full service.
    ///
    /// Called under [`Changes::ejecting`]. Servers that were taken out by hand are not counted as the upstream's. A half-open
    /// one is out, as one request at a time is no service; to open again it asks only for somebody else.
    pub(super) fn may_eject(&self, index: usize, now: Mono) -> bool {
        let by_hand = |i: usize| self.members[i].server.down || self.slots[i].seat.order() == Order::Down;
        let breaker = |i: usize| self.slots[i].server.circuit(now).0;
        let counted: Vec<usize> = (0..self.slots.len()).filter(|i| !by_hand(*i)).collect();
        let out = counted.iter().filter(|i| breaker(**i) != Breaker::Closed).count();
        let somebody_else = counted
            .iter()
            .any(|i| *i != index && breaker(*i) == Breaker::Closed && self.standing(*i, now) == Standing::Up);
        let is_within = out < ejections_max(counted.len(), self.outlier_detection.max_ejection_percent);
        somebody_else && (is_within || breaker(index) != Breaker::Closed)
    }

    /// Primaries, then backups.
    pub(super) fn tiers(&self) -> [Tier; 2] {
        let tick = |tier: usize| self.service.ticks[tier].load(Ordering::Relaxed);
        [
            (0..self.primaries, tick(0)),
            (self.primaries..self.slots.len(), tick(1)),
        ]
        .map(|(slots, tick)| Tier { slots, tick })
    }

    /// Works the slots out again if something has changed since, or was due to change by now.
    pub(super) fn renew(&self, now: Mono) {
        let service = &self.service;
        let holds = || {
            service.at_change.load(Ordering::Acquire) == self.changes.count()
                && now.0 < service.until_ns.load(Ordering::Acquire)
        };
        if holds() {
            return;
        }
        // Waiting for whoever renews just now, instead of going on with what was, is what makes an operator's "down"
        // exact: when the order has been acknowledged no later pick goes there.
        let _renewing = service.renewing.lock();
        if holds() {
            return;
        }
        let at_change = self.changes.count();
        service.version.fetch_add(1, Ordering::AcqRel);
        let until = self.renew_slots(now);
        service.version.fetch_add(1, Ordering::AcqRel);
        service.until_ns.store(until.0, Ordering::Release);
        service.at_change.store(at_change, Ordering::Release);
    }

    /// Returns when time alone changes something.
    fn renew_slots(&self, now: Mono) -> Mono {
        // Each circuit is read once: what is made of it must not be half of one state and half of another.
        let circuits: Vec<(Breaker, Epoch)> = self.slots.iter().map(|s| s.server.circuit(now)).collect();
        let standings: Vec<Standing> = (0..self.slots.len())
            .map(|i| self.standing_with(i, circuits[i].0))
            .collect();
        let nobody_up = !standings.contains(&Standing::Up);
        let mut until = Mono(u64::MAX);
        let mut totals = [0u64; 2];
        for (index, (slot, standing)) in self.slots.iter().zip(standings).enumerate() {
            let (steps, next_step) = self.climbed(index, now);
            let weight = self.weight(index).min(WEIGHT_MAX) * steps;
            let in_service = match standing {
                Standing::Up => true,
                // The last resort, see the module's words.
                Standing::Ejected => nobody_up,
                Standing::Off | Standing::Down | Standing::Drain => false,
            };
            let (breaker, epoch) = circuits[index];
            slot.set(
                if in_service { weight } else { 0 },
                in_service || standing == Standing::Drain,
                (breaker != Breaker::Closed).then_some(epoch),
            );
            totals[usize::from(index >= self.primaries)] += u64::from(slot.weight());
            until = until
                .min(slot.server.ejected_until(now).unwrap_or(until))
                .min(next_step.map_or(until, |at| at.max(now.plus(RENEWAL_MIN))));
        }
        for (tick, total) in self.service.ticks.iter().zip(totals) {
            tick.store(turns::tick(total), Ordering::Relaxed);
        }
        until
    }

    fn climbed(&self, index: usize, now: Mono) -> (u32, Option<Mono>) {
        let slot = &self.slots[index];
        let since = slot.server.up_since().max(slot.seat.back_since());
        climbed(since, self.members[index].server.slow_start, now)
    }
}

impl Member {
    fn new(upstream: &str, server: &UpstreamServer, health: Option<Arc<Health>>) -> Self {
        // The upstream's name is in it, so that cookies of two upstreams do not tell which servers they share.
        let sticky_value = format!(
            "{:016x}",
            hash_of(format!("{upstream}\n{}", server.address).as_bytes())
        );
        Self {
            server: server.clone(),
            health,
            sticky_value,
        }
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.server.address
    }

    /// Serves only when no primary can.
    pub fn backup(&self) -> bool {
        self.server.backup
    }

    /// Its line of the configuration.
    pub fn plan(&self) -> &UpstreamServer {
        &self.server
    }

    /// What the probes say; None without probes.
    pub fn health(&self) -> Option<&Arc<Health>> {
        self.health.as_ref()
    }

    /// What the sticky cookie says for this server.
    pub fn sticky_value(&self) -> &str {
        &self.sticky_value
    }
}

impl Slot {
    fn new(
        plan: &UpstreamServer,
        server: Arc<Server>,
        seat: Arc<Seat>,
        half_open_requests: NonZeroU32,
    ) -> Self {
        Self {
            word: AtomicU64::new(0),
            stride: AtomicU64::new(turns::LAP),
            id: server.id(),
            server,
            seat,
            max_conns: if plan.max_conns == 0 {
                u32::MAX
            } else {
                plan.max_conns
            },
            half_open_requests,
        }
    }

    /// Its effective weight for new requests; 0 = out of service.
    pub(super) fn weight(&self) -> u32 {
        weight_in(self.word.load(Ordering::Acquire))
    }

    /// Its effective weight, and the load it would be chosen by; None if it is out of service, full, or has no probe
    /// place free.
    #[inline]
    pub(super) fn offer(&self) -> Option<(u32, Load)> {
        let word = self.word.load(Ordering::Acquire);
        let weight = weight_in(word);
        if weight == 0 || self.server.in_flight() >= self.max_conns {
            return None;
        }
        Some((weight, self.server.load(self.probing_in(word))?))
    }

    /// Whether [`join`](Self::join) would find a place.
    pub(super) fn has_room(&self) -> bool {
        let probing = self.probing_in(self.word.load(Ordering::Acquire));
        self.server.in_flight() < self.max_conns && self.server.load(probing).is_some()
    }

    /// Takes a place, if its load is still this.
    pub(super) fn join_at(&self, load: Load) -> Option<Ticket> {
        let probing = self.probing_in(self.word.load(Ordering::Acquire));
        self.server.join_at(load, self.max_conns, probing)
    }

    /// Takes a place.
    pub(super) fn join(&self) -> Option<Ticket> {
        let probing = self.probing_in(self.word.load(Ordering::Acquire));
        self.server.join_below(self.max_conns, probing)
    }

    /// Whether it takes clients that are bound to it.
    pub(super) fn takes_bound(&self) -> bool {
        self.word.load(Ordering::Acquire) & BOUND != 0
    }

    #[inline]
    fn probing_in(&self, word: u64) -> Option<Probing> {
        (word & PROBING != 0).then(|| Probing {
            epoch: Epoch::from_bits(word >> EPOCH_SHIFT),
            places: self.half_open_requests,
        })
    }

    fn set(&self, weight: u32, bound: bool, probing: Option<Epoch>) {
        self.stride.store(turns::stride(weight), Ordering::Relaxed);
        let probing = probing.map_or(0, |epoch| PROBING | (epoch.bits() << EPOCH_SHIFT));
        // Released, so that who has seen any new word also sees that the version is odd.
        let word = u64::from(weight) | if bound { BOUND } else { 0 } | probing;
        self.word.store(word, Ordering::Release);
    }
}

fn weight_in(word: u64) -> u32 {
    u32::try_from(word & (BOUND - 1)).unwrap_or(u32::MAX)
}

impl Service {
    fn unknown() -> Self {
        Self {
            at_change: AtomicU64::new(u64::MAX),
            until_ns: AtomicU64::new(0),
            ticks: Default::default(),
            renewing: Mutex::new(()),
            version: AtomicU64::new(0),
        }
    }
}

/// All servers but those written down are on the ring, in service or not: the keys of one that was away come back to it.
/// Weights are the configured ones, since an operator's or a slow start's would move keys with every step.
fn ring(policy: &LoadBalancing, servers: &[&UpstreamServer]) -> Ring {
    if !matches!(policy, LoadBalancing::Hash(_)) {
        return Ring::default();
    }
    let texts: Vec<String> = servers.iter().map(|s| s.address.to_string()).collect();
    let named: Vec<(&str, u32)> = texts
        .iter()
        .zip(servers)
        .map(|(text, s)| (text.as_str(), s.weight.get()))
        .collect();
    Ring::new(&named)
}

const _: () = assert!((WEIGHT_MAX as u64 * STEPS as u64) < BOUND);
