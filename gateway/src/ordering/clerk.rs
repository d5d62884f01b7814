//! One certificate's task: waits until it is due, orders it, keeps it, shows it, and begins again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Wanted;
use super::errand::Errand;
use super::fault::OrderFault;
use super::http::Http;
use crate::acme::storage::identity;
use crate::acme::{Challenges, Course, Lock, Phase, StorageFault, Window, due};
use crate::kit::clock::{Clock, Mono};
use crate::kit::http_date;
use crate::state::Ordered;

/// Between two looks at the clock: it may be set, and machines sleep.
const TICK: Duration = Duration::from_secs(1);

/// Between two looks at what another process may have stored.
const LOOK_PAUSE: Duration = Duration::from_secs(30);

/// Between two looks at a lock that another process has: it is at the same certificate, and soon done.
const ELSEWHERE_PAUSE: Duration = Duration::from_secs(5);

/// A whole order, with all its waits.
const ORDER_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Between two questions for the best time, where the authority does not say (RFC 9773 §4.3.3 has six hours).
const SUGGESTION_PAUSE: Duration = Duration::from_secs(6 * 3_600);

/// What an authority may say instead: RFC 9773 §4.3.2 wants limits of ours.
const SUGGESTION_PAUSES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(24 * 3_600)];

/// A question for the best time, with the account it takes.
const SUGGESTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Whoever orders one certificate.
pub(super) struct Clerk {
    wanted: Wanted,
    clock: Clock,
    challenges: Arc<Challenges>,
    draws: fastrand::Rng,
    course: Course,
    /// Drawn for the certificate that is held.
    draw: f64,
    window: Option<Window>,
    suggestion_due: Mono,
    look_due: Mono,
    /// A certificate that has come and is shown, and could not be stored. No second one is ordered for that.
    unkept: Option<String>,
}

impl Clerk {
    pub(super) fn new(
        wanted: Wanted,
        clock: Clock,
        challenges: Arc<Challenges>,
        mut draws: fastrand::Rng,
    ) -> Self {
        Self {
            wanted,
            clock,
            challenges,
            draw: draws.f64(),
            draws,
            course: Course::default(),
            window: None,
            suggestion_due: Mono::default(),
            look_due: Mono::default(),
            unkept: None,
        }
    }

    /// Orders for ever.
    pub(super) async fn run(mut self) {
        self.begin();
        loop {
            self.look();
            if self.ordered().held().is_some() && self.suggestion_due <= self.clock.mono() {
                self.ask_for_suggestion().await;
            }
            let now = self.clock.now();
            let wait = self.course.wait(self.due(), now);
            self.ordered()
                .standing
                .change(|report| report.next_attempt = Some(now.wall + wait));
            if wait.is_zero() {
                self.attempt().await;
            } else {
                sleep(wait.min(TICK)).await;
            }
        }
    }

    fn ordered(&self) -> &Ordered {
        &self.wanted.ordered
    }

    fn begin(&self) {
        let ordered = self.ordered();
        match ordered.slot.identity() {
            Some(identity) => {
                let until = date(identity.chain().leaf().not_after);
                log::info!(
                    "certificate {}: the one that is stored holds until {until}",
                    ordered.name
                );
            }
            None => log::warn!(
                "certificate {}: there is none yet, so TLS for {} is refused until one has come from {}",
                ordered.name,
                ordered.domains.join(", "),
                self.wanted.acme.directory
            ),
        }
    }

    fn due(&self) -> Duration {
        // One that could not be stored is not ordered again, but stored.
        let held = self.ordered().held().filter(|_| self.unkept.is_none());
        due(held, self.window, self.draw)
    }

    /// Takes over what another process has stored.
    fn look(&mut self) {
        let now = self.clock.mono();
        if self.look_due > now {
            return;
        }
        self.look_due = now.plus(LOOK_PAUSE);
        // One that cannot be read is told when it is wanted.
        if self.ordered().refresh().is_ok_and(|changed| changed) {
            self.took_over();
        }
    }

    /// Another process has stored what is shown now. How it went here is over, unless that one is of no use either.
    fn took_over(&mut self) {
        self.is_another();
        let now = self.clock.now();
        let is_due = self.due() <= now.wall;
        if !is_due {
            self.course.came(now.mono, self.lifetime());
        }
        self.ordered().standing.change(|report| {
            report.phase = Phase::Waiting;
            if !is_due {
                report.fault = None;
            }
        });
        log::info!(
            "certificate {}: another one was stored, and is shown now",
            self.ordered().name
        );
    }

    /// Of what is held; zero where nothing is.
    fn lifetime(&self) -> Duration {
        let held = self.ordered().held();
        held.map_or(Duration::ZERO, |held| {
            held.not_after.saturating_sub(held.not_before)
        })
    }

    /// What was drawn and suggested was for the one before.
    fn is_another(&mut self) {
        self.draw = self.draws.f64();
        self.window = None;
        self.suggestion_due = self.clock.mono();
        self.unkept = None;
    }

    async fn ask_for_suggestion(&mut self) {
        let asked = async {
            let http = self.http().await?;
            self.errand(&http).suggestion().await
        };
        let told = timeout(SUGGESTION_TIMEOUT, asked)
            .await
            .unwrap_or(Err(OrderFault::Late));
        let [shortest, longest] = SUGGESTION_PAUSES;
        let pause = match told {
            Ok(Some((window, pause))) => {
                self.window = Some(window);
                pause.clamp(shortest, longest)
            }
            Ok(None) => longest,
            Err(fault) => {
                // What was suggested last still holds, or the lifetime decides. Told all the same, once in six hours: an
                // authority that is gone is to be noticed before a certificate is due.
                log::warn!(
                    "certificate {}: the best time to renew it cannot be asked for: {fault}",
                    self.ordered().name
                );
                SUGGESTION_PAUSE
            }
        };
        self.suggestion_due = self.clock.mono().plus(pause);
    }

    async fn attempt(&mut self) {
        let locked = self.ordered().storage.lock_certificate(&self.ordered().name);
        let lock = match locked {
            Ok(Some(lock)) => lock,
            Ok(None) => {
                self.ordered()
                    .standing
                    .change(|report| report.phase = Phase::Elsewhere);
                self.course.postponed(self.clock.mono(), ELSEWHERE_PAUSE);
                self.look_due = Mono::default();
                return;
            }
            Err(fault) => return self.failed(&fault.into(), None),
        };
        match self.ordered().refresh() {
            // Another process was here since; what it brought decides anew.
            Ok(true) => return self.took_over(),
            Ok(false) => {}
            Err(fault) => log::warn!("certificate {}: {fault}: it is ordered anew", self.ordered().name),
        }
        if let Some(pem) = self.unkept.take() {
            return self.keep(pem, lock).await;
        }
        self.order(lock).await;
    }

    async fn order(&mut self, lock: Lock) {
        let ordered = self.ordered();
        ordered.standing.change(|report| report.phase = Phase::Ordering);
        log::info!(
            "certificate {}: one for {} is ordered from {}",
            ordered.name,
            ordered.domains.join(", "),
            self.wanted.acme.directory
        );
        let http = match self.http().await {
            Ok(http) => http,
            Err(fault) => return self.failed(&fault, None),
        };
        let brought = timeout(ORDER_TIMEOUT, self.errand(&http).bring()).await;
        match brought
            .unwrap_or(Err(OrderFault::Late))
            .and_then(|pem| self.install(pem))
        {
            Ok(pem) => self.keep(pem, lock).await,
            Err(fault) => self.failed(&fault, http.retry_after()),
        }
    }

    /// Shows it, if it is what was ordered.
    fn install(&mut self, pem: String) -> Result<String, OrderFault> {
        let identity = identity(pem.as_bytes()).map_err(OrderFault::Unusable)?;
        let ordered = self.ordered();
        let leaf = identity.chain().leaf();
        if let Some(domain) = ordered.domains.iter().find(|domain| !leaf.covers(domain)) {
            return Err(OrderFault::Unusable(format!("it is not for \"{domain}\"")));
        }
        if leaf.not_after <= self.clock.now().wall {
            let until = date(leaf.not_after);
            return Err(OrderFault::Unusable(format!(
                "it has expired on {until}; is the clock of this machine right?"
            )));
        }
        ordered.slot.install(Arc::new(identity));
        ordered.standing.change(|report| report.brought += 1);
        self.is_another();
        Ok(pem)
    }

    /// Stores what is shown already, and says that it has come.
    async fn keep(&mut self, pem: String, lock: Lock) {
        match self.store(pem.clone(), lock).await {
            Ok(()) => self.came(),
            Err(fault) => {
                self.unkept = Some(pem);
                self.failed(&fault.into(), None);
            }
        }
    }

    /// The lock goes with it: whoever is stopped meanwhile leaves nobody behind who writes without.
    async fn store(&self, pem: String, lock: Lock) -> Result<(), StorageFault> {
        let ordered = Arc::clone(&self.wanted.ordered);
        let stored = tokio::task::spawn_blocking(move || {
            let stored = ordered.storage.keep_certificate(&ordered.name, &pem);
            if stored.is_ok() {
                ordered.is_stored();
            }
            drop(lock);
            stored
        });
        stored.await.unwrap_or_else(|_| {
            Err(StorageFault {
                path: self.ordered().storage.certificate_file(&self.ordered().name),
                message: "writing it was given up".to_owned(),
            })
        })
    }

    fn came(&mut self) {
        let now = self.clock.now();
        // Also where it is not due yet: the authority may suggest a time for it that has passed.
        self.course.came(now.mono, self.lifetime());
        let (until, again) = (self.ordered().held().map(|held| held.not_after), self.due());
        if again <= now.wall {
            log::warn!(
                "certificate {}: the new one is due already; is the clock of this machine right? The next is ordered in {} s",
                self.ordered().name,
                self.course.wait(again, now).as_secs()
            );
        } else {
            log::info!(
                "certificate {}: a new one is shown; it holds until {}, and the next is ordered on {} at the latest",
                self.ordered().name,
                until.map(date).unwrap_or_default(),
                date(again)
            );
        }
        self.ordered().standing.change(|report| {
            report.phase = Phase::Waiting;
            report.fault = None;
        });
    }

    fn failed(&mut self, fault: &OrderFault, retry_after: Option<Duration>) {
        let now = self.clock.now();
        self.course.failed(now.mono, retry_after, self.draws.f64());
        let wait = self.course.wait(self.due(), now);
        let ordered = self.ordered();
        let still = match ordered.slot.identity() {
            Some(identity) => {
                let until = date(identity.chain().leaf().not_after);
                format!("the one there is holds until {until}")
            }
            None => "there is none".to_owned(),
        };
        // One line for each attempt, and attempts become rare.
        log::error!(
            "certificate {}: no new one: {fault}; {still}; it is tried again in {} s",
            ordered.name,
            wait.as_secs()
        );
        ordered.standing.change(|report| {
            report.phase = Phase::Waiting;
            report.failed += 1;
            report.fault = Some(fault.to_string());
        });
    }

    fn errand<'a>(&'a self, http: &'a Http) -> Errand<'a> {
        Errand {
            wanted: &self.wanted,
            challenges: &self.challenges,
            http,
        }
    }

    /// The system's authorities are read from the disk, for each attempt anew: they change too.
    async fn http(&self) -> Result<Http, OrderFault> {
        let (acme, clock) = (self.wanted.acme.clone(), self.clock.clone());
        let made = tokio::task::spawn_blocking(move || Http::new(&acme, &clock));
        match made.await {
            Ok(made) => made.map_err(OrderFault::Trust),
            Err(_) => Err(OrderFault::Late),
        }
    }
}

fn date(time: Duration) -> String {
    http_date::format(time.as_secs())
}
