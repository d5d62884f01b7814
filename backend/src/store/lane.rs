//! Threads that own connections, and the bounded queue in front of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::Error;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Work that waits for a connection; beyond this many we are [`Error::Busy`], which is better than late.
const JOBS_WAITING_MAX: usize = 1024;

/// Some connections, each on its own thread; dropping the lane waits for the work it has accepted.
pub struct Lane {
    behavior: TransactionBehavior,
    // Taken when the lane is dropped: that is what the threads see as the end.
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Lane {
    /// Starts one thread per connection.
    pub fn start(name: &str, behavior: TransactionBehavior, connections: Vec<Connection>) -> Lane {
        let (jobs, queue) = sync_channel(JOBS_WAITING_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let start = |connection| {
            let queue = Arc::clone(&queue);
            let thread = thread::Builder::new().name(format!("database {name}"));
            thread
                .spawn(move || serve(&queue, connection))
                .expect("a thread can be started before any traffic")
        };
        Lane {
            behavior,
            jobs: Some(jobs),
            threads: connections.into_iter().map(start).collect(),
        }
    }

    /// Runs `work` in a transaction that is committed if it succeeds. Work that nobody waits for any more when its turn
    /// comes is not begun.
    pub async fn run<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let (reply, outcome) = oneshot::channel();
        let behavior = self.behavior;
        let job: Job = Box::new(move |connection| {
            if !reply.is_closed() {
                // Nobody is left to tell if the client went away meanwhile; the transaction is complete either way.
                let _ = reply.send(transact(connection, behavior, work));
            }
        });
        let jobs = self
            .jobs
            .as_ref()
            .expect("jobs are taken only when the lane is dropped");
        jobs.try_send(job).map_err(|_| Error::Busy)?;
        outcome
            .await
            .unwrap_or_else(|_| Err(Error::Broken("the work panicked".to_owned())))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so on stderr.
            let _ = thread.join();
        }
    }
}

fn serve(queue: &Mutex<Receiver<Job>>, mut connection: Connection) {
    loop {
        // The lock is held while waiting and released before working: one thread waits here, the others on the lock.
        let Ok(job) = queue.lock().recv() else { return };
        // A panic is one request's; dropping its transaction rolled it back, so the connection is as before.
        let _ = catch_unwind(AssertUnwindSafe(|| job(&mut connection)));
    }
}

fn transact<T>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    work: impl FnOnce(&Connection) -> Result<T, Error>,
) -> Result<T, Error> {
    let transaction = connection.transaction_with_behavior(behavior)?;
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;

    fn lane() -> Lane {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (n)").unwrap();
        Lane::start("test", TransactionBehavior::Immediate, vec![db])
    }

    fn count(db: &Connection) -> Result<i64, Error> {
        Ok(db.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn work_that_fails_or_panics_leaves_nothing_behind() {
        let lane = lane();
        let insert = |db: &Connection| db.execute("INSERT INTO t VALUES (1)", []).map(drop);
        lane.run(move |db| Ok(insert(db)?)).await.unwrap();
        let failed: Result<(), _> = lane
            .run(move |db| insert(db).map_err(Error::from).and(Err(Error::Stale)))
            .await;
        assert!(matches!(failed, Err(Error::Stale)));
        let panicked: Result<(), _> = lane
            .run(move |db| insert(db).map(|()| panic!("on purpose"))?)
            .await;
        assert!(matches!(panicked, Err(Error::Broken(_))));
        assert_eq!(lane.run(count).await.unwrap(), 1);
    }

    /// Work that has begun, and ends when the gate is dropped.
    async fn block(
        lane: &Lane,
    ) -> (
        impl Future<Output = Result<(), Error>>,
        std::sync::mpsc::Sender<()>,
    ) {
        let (gate, closed) = std::sync::mpsc::channel::<()>();
        let (entered, inside) = oneshot::channel();
        let mut work = Box::pin(lane.run(move |_| {
            let _ = entered.send(());
            let _ = closed.recv();
            Ok(())
        }));
        tokio::select! {
            _ = &mut work => panic!("the gate is still there"),
            entered = inside => entered.unwrap(),
        }
        (work, gate)
    }

    /// Polls once, which puts work into the queue; returns whether that was refused.
    async fn enqueue(work: &mut (impl Future<Output = Result<i64, Error>> + Unpin)) -> bool {
        let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut *work).poll(cx))).await;
        matches!(first, Poll::Ready(Err(Error::Busy)))
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_and_empties_again() {
        let lane = lane();
        let (blocker, gate) = block(&lane).await;
        let mut waiting: Vec<_> = (0..=JOBS_WAITING_MAX)
            .map(|_| Box::pin(lane.run(count)))
            .collect();
        for (n, work) in waiting.iter_mut().enumerate() {
            assert_eq!(enqueue(work).await, n == JOBS_WAITING_MAX);
        }
        waiting.pop();
        drop(gate);
        blocker.await.unwrap();
        for work in waiting {
            assert_eq!(work.await.unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_not_begun() {
        let lane = lane();
        let (blocker, gate) = block(&lane).await;
        let mut given_up = Box::pin(lane.run(|db| Ok(db.execute("INSERT INTO t VALUES (1)", [])? as i64)));
        assert!(!enqueue(&mut given_up).await);
        drop(given_up);
        drop(gate);
        blocker.await.unwrap();
        assert_eq!(lane.run(count).await.unwrap(), 0);
    }
}
