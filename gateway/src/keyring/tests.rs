use super::*;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

/// Keys are the words of a list here.
fn read(text: &str) -> Result<Vec<String>, Fault> {
    match text.contains('!') {
        true => Err(Fault {
            line: 1,
            message: "no list".to_owned(),
        }),
        false => Ok(text.split_whitespace().map(str::to_owned).collect()),
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    keys: Vec<String>,
    replaced: usize,
    failures: usize,
}

#[derive(Debug, Default)]
struct Fake {
    seen: watch::Sender<Seen>,
    wish: Notify,
}

impl Cell for Fake {
    type Key = String;

    fn replace(&self, keys: Vec<String>, _now: Mono) {
        self.seen.send_modify(|seen| {
            seen.keys = keys;
            seen.replaced += 1;
        });
    }

    fn note_failure(&self, _now: Mono) {
        self.seen.send_modify(|seen| seen.failures += 1);
    }

    fn wanted(&self) -> impl Future<Output = ()> + Send {
        self.wish.notified()
    }
}

impl Fake {
    async fn until(&self, is_so: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.subscribe();
        seen.wait_for(is_so).await.unwrap().clone()
    }
}

const NEVER: Duration = Duration::from_secs(1_000_000);

/// Nothing takes long and nothing happens by itself but what a test lets happen.
const QUICK: Pace = Pace {
    refresh: NEVER,
    demand_gap: Duration::ZERO,
    backoff_first: Duration::from_millis(1),
    backoff_max: Duration::from_millis(1),
};

/// Answers the nth question with the nth answer, then always with the last one.
async fn issuer(answers: &'static [(&'static str, &'static str)]) -> (SocketAddr, watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, receiver) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let (line, body) = answers[(*asked.borrow()).min(answers.len() - 1)];
            asked.send_modify(|n| *n += 1);
            let text = format!(
                "HTTP/1.1 {line}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            _ = stream.write_all(text.as_bytes()).await;
        }
    });
    (address, receiver)
}

fn asker(address: SocketAddr, cell: &Arc<Fake>) -> Asker<Fake> {
    Asker {
        wanted: wanted(address, cell, NEVER),
        clock: Clock::manual(Duration::ZERO),
        client: Client::new(&Trust::load(None).unwrap()),
        read,
    }
}

fn wanted(address: SocketAddr, cell: &Arc<Fake>, refresh: Duration) -> Wanted<Fake> {
    Wanted {
        url: format!("http://{address}/keys"),
        refresh,
        cell: Arc::clone(cell),
    }
}

fn seen(keys: &[&str], replaced: usize, failures: usize) -> Seen {
    Seen {
        keys: keys.iter().map(|k| (*k).to_owned()).collect(),
        replaced,
        failures,
    }
}

#[tokio::test]
async fn keys_are_fetched_at_once_and_again_when_one_is_asked_for() {
    let (address, _) = issuer(&[("200 OK", "a b"), ("200 OK", "b c")]).await;
    let cell = Arc::new(Fake::default());
    let task = tokio::spawn(asker(address, &cell).run(QUICK, fastrand::Rng::with_seed(1)));
    assert_eq!(cell.until(|s| s.replaced == 1).await, seen(&["a", "b"], 1, 0));
    cell.wish.notify_one();
    assert_eq!(cell.until(|s| s.replaced == 2).await, seen(&["b", "c"], 2, 0));
    task.abort();
}

#[tokio::test]
async fn they_are_refreshed_without_a_wish() {
    let (address, _) = issuer(&[("200 OK", "a"), ("200 OK", "b")]).await;
    let cell = Arc::new(Fake::default());
    let pace = Pace {
        refresh: Duration::from_millis(1),
        ..QUICK
    };
    let task = tokio::spawn(asker(address, &cell).run(pace, fastrand::Rng::with_seed(1)));
    cell.until(|s| s.replaced >= 3 && s.keys == ["b"]).await;
    task.abort();
}

#[tokio::test]
async fn whatever_goes_wrong_what_is_known_stays_until_it_goes_well_again() {
    let (address, asked) = issuer(&[
        ("200 OK", "a"),
        ("500 Oh", ""),
        ("302 Found\r\nLocation: /other", ""),
        ("204 Nothing", ""),
        ("200 OK", "!"),
        ("200 OK", " "),
        ("200 OK", "b"),
    ])
    .await;
    let cell = Arc::new(Fake::default());
    let task = tokio::spawn(asker(address, &cell).run(QUICK, fastrand::Rng::with_seed(1)));
    cell.until(|s| s.replaced == 1).await;
    cell.wish.notify_one();
    for failures in 1..=5 {
        let seen = cell.until(|s| s.failures >= failures).await;
        assert!(seen.keys == ["a"] || seen.failures == 5, "{seen:?}");
    }
    assert_eq!(cell.until(|s| s.replaced == 2).await, seen(&["b"], 2, 5));
    assert_eq!(*asked.borrow(), 7);
    task.abort();
}

#[tokio::test]
async fn each_failure_says_what_happened() {
    let big: &'static str = String::leak("k ".repeat(LIST_BYTES_MAX / 2 + 1));
    let answers: &'static [(&str, &str)] = Vec::leak(vec![
        ("302 Found\r\nLocation: /other", ""),
        ("404 No", ""),
        ("200 OK", "!"),
        ("200 OK", ""),
        ("200 OK", big),
    ]);
    let (address, _) = issuer(answers).await;
    let asker = asker(address, &Arc::default());
    for word in ["\"/other\"", "404", "line 1", "no key", "1048576"] {
        let miss = asker.fetch().await.unwrap_err();
        assert!(miss.to_string().contains(word), "{word}: {miss}");
    }
}

#[tokio::test]
async fn a_reload_leaves_alone_what_stays_and_ends_what_goes() {
    let (address, _) = issuer(&[("200 OK", "a")]).await;
    let trust = Trust::load(None).unwrap();
    let keyring = Keyring::new(Handle::current(), Clock::manual(Duration::ZERO), &trust, read);
    let (one, two) = (Arc::new(Fake::default()), Arc::new(Fake::default()));
    let tasks = || {
        keyring
            .running
            .lock()
            .iter()
            .map(|r| r.task.clone())
            .collect::<Vec<_>>()
    };
    let refreshes = || {
        keyring
            .running
            .lock()
            .iter()
            .map(|r| r.wanted.refresh)
            .collect::<Vec<_>>()
    };

    keyring.reconcile(vec![wanted(address, &one, NEVER), wanted(address, &two, NEVER)]);
    one.until(|s| s.replaced == 1).await;
    two.until(|s| s.replaced == 1).await;
    let before = tasks();

    // The same twice for one cell is one task, the more frequent one; a changed refresh is a new task.
    let often = NEVER / 2;
    keyring.reconcile(vec![
        wanted(address, &one, NEVER),
        wanted(address, &two, NEVER),
        wanted(address, &two, often),
    ]);
    assert_eq!(refreshes(), [often, NEVER]);
    two.until(|s| s.replaced == 2).await;
    assert!(
        tasks().iter().any(|task| task.id() == before[0].id()),
        "one was left alone"
    );
    assert!(tasks().iter().all(|task| task.id() != before[1].id()));

    let running = tasks();
    keyring.reconcile(Vec::new());
    assert_eq!(tasks().len(), 0);
    for task in running {
        while !task.is_finished() {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(one.seen.borrow().replaced, 1);
}
