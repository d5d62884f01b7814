//! The link's task: connects, asks, notices when it had better not, and begins again.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use redis::ConnectionInfo;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Inner;
use super::fault::LinkFault;
use super::gauge::{LATE_MAX, Phase};
use super::open::{Line, Open, open};
use super::pace::{backoff, pause};
use crate::guard::shared::{Answer, Ask, SharedFault};

/// Questions on the connection that Redis has not answered; the next ones wait in the queue.
const IN_FLIGHT_MAX: usize = 4_096;
/// Quiet between two probes of a link that nothing is wrong with: a dead one is noticed before somebody needs it, and
/// firewalls do not forget it.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A probe that takes longer is on a connection that answers no more.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// Who has been well for so long begins with short pauses again.
const STEADY: Duration = Duration::from_secs(10);

/// One question of a worker, and where its answer goes.
pub struct Question {
    /// What is asked.
    pub ask: Ask,
    /// Dropped without an answer, it says that nobody was there.
    pub tell: oneshot::Sender<Result<Answer, SharedFault>>,
}

/// Runs until the link is dropped.
pub async fn run(
    inner: Arc<Inner>,
    info: ConnectionInfo,
    mut inbox: mpsc::Receiver<Question>,
    mut jitter: fastrand::Rng,
) {
    let mut failures = 0_u32;
    loop {
        let opened = tokio::select! {
            opened = open(&info) => opened,
            () = turn_away(&mut inbox) => return,
        };
        let fault = match opened {
            Err(fault) => fault,
            Ok(open) => {
                inner.comes_up();
                let began = inner.clock.mono();
                let Some(fault) = serve(&inner, open, &mut inbox).await else {
                    return;
                };
                if inner.clock.mono().since(began) >= STEADY {
                    failures = 0;
                }
                fault
            }
        };
        inner.goes_down(&fault);
        let wait = backoff(failures, jitter.f64());
        failures = failures.saturating_add(1);
        tokio::select! {
            () = sleep(wait) => {}
            () = turn_away(&mut inbox) => return,
        }
    }
}

/// Lets go of questions that were sent in the moment the connection went. Ends with the link.
async fn turn_away(inbox: &mut mpsc::Receiver<Question>) {
    while inbox.recv().await.is_some() {}
}

/// Asks what comes in, until the connection is of no use any more; None when the link has ended.
async fn serve(inner: &Inner, open: Open, inbox: &mut mpsc::Receiver<Question>) -> Option<LinkFault> {
    let Open { line, mut driver } = open;
    let mut watch = pin!(watch(inner, line.clone()));
    // Dropping it ends the questions in it, and who waits for one is told.
    let mut asking = JoinSet::new();
    loop {
        tokio::select! {
            _end = driver.join_next() => return Some(LinkFault::Closed),
            fault = &mut watch => return Some(fault),
            Some(done) = asking.join_next() => {
                if let Ok(Err(fault)) = done {
                    return Some(fault);
                }
            }
            question = inbox.recv(), if asking.len() < IN_FLIGHT_MAX => {
                // Whoever has stopped waiting is not charged any more.
                let question = question?;
                if !question.tell.is_closed() {
                    asking.spawn(ask(line.clone(), question));
                }
            }
        }
    }
}

/// An error ends the link, whichever it is: Redis cannot count, and the probe of the next connection tells when it can.
async fn ask(mut line: Line, question: Question) -> Result<(), LinkFault> {
    let answer = line.admit(&question.ask).await;
    let told = answer.as_ref().map_err(LinkFault::to_request).cloned();
    // Nobody may be waiting any more.
    let _ = question.tell.send(told);
    answer.map(|_| ())
}

/// Probes: now and then, and when answers were late until one comes in time. Returns why the connection is of no use.
async fn watch(inner: &Inner, mut line: Line) -> LinkFault {
    let mut pauses = 0;
    let mut quick_since = inner.clock.mono();
    loop {
        tokio::select! {
            () = inner.gauge.slowed.notified() => {}
            () = sleep(HEARTBEAT) => {}
        }
        let judged = if inner.gauge.phase() == Phase::Slow {
            if inner.clock.mono().since(quick_since) >= STEADY {
                pauses = 0;
            }
            let recovered = recover(inner, &mut line, &mut pauses).await;
            quick_since = inner.clock.mono();
            recovered
        } else {
            probe(inner, &mut line).await.map(|_| ())
        };
        if let Err(fault) = judged {
            return fault;
        }
    }
}

/// Asks nothing for a while, then probes, until an answer comes in time.
async fn recover(inner: &Inner, line: &mut Line, pauses: &mut u32) -> Result<(), LinkFault> {
    inner.note(&LinkFault::Slow(format!(
        "{LATE_MAX} answers in a row took longer than {:?}",
        inner.gauge.timeout()
    )));
    loop {
        sleep(pause(*pauses)).await;
        *pauses = pauses.saturating_add(1);
        if probe(inner, line).await? <= inner.gauge.timeout() {
            inner.comes_up();
            return Ok(());
        }
    }
}

/// How long a count takes now.
async fn probe(inner: &Inner, line: &mut Line) -> Result<Duration, LinkFault> {
    let began = inner.clock.mono();
    let patience = SILENCE_MAX.max(inner.gauge.timeout().saturating_mul(2));
    timeout(patience, line.probe())
        .await
        .unwrap_or(Err(LinkFault::Silent))?;
    Ok(inner.clock.mono().since(began))
}
