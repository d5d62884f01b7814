//! A connection, from the socket until it has proved that it counts.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, Script, ServerErrorKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fault::{LinkFault, shown};
use crate::config::plan::{LimitKey, OnRedisError, RateLimit};
use crate::guard::shared::{Answer, Ask, Asked, SCRIPT, SharedKey};

/// From the first packet to the first count. Generous: nobody waits for it.
const OPEN_MAX: Duration = Duration::from_secs(2);

/// An open connection. Dropping it closes the socket, unless a clone of `line` outlives it.
pub struct Open {
    /// Takes questions, many at a time.
    pub line: Line,
    /// Moves bytes; its end is the connection's.
    pub driver: JoinSet<()>,
}

/// Asks questions over a connection. Clones share it.
#[derive(Clone)]
pub struct Line {
    connection: MultiplexedConnection,
    script: Arc<Script>,
}

/// Connects, logs in, and has a limit counted that is nobody's: an address where that fails is of no use.
pub async fn open(info: &ConnectionInfo) -> Result<Open, LinkFault> {
    timeout(OPEN_MAX, open_at_leisure(info))
        .await
        .unwrap_or(Err(LinkFault::Silent))
}

async fn open_at_leisure(info: &ConnectionInfo) -> Result<Open, LinkFault> {
    let unreachable = |error: std::io::Error| LinkFault::Unreachable(shown(&error));
    let mut open = match info.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port))
                .await
                .map_err(unreachable)?;
            // A question is one small packet, and somebody waits for it.
            stream.set_nodelay(true).map_err(unreachable)?;
            log_in(info, stream).await?
        }
        ConnectionAddr::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(unreachable)?;
            log_in(info, stream).await?
        }
        other => {
            return Err(LinkFault::Url(format!(
                "{other} is of a kind that is not built in"
            )));
        }
    };
    open.line.probe().await?;
    Ok(open)
}

async fn log_in(
    info: &ConnectionInfo,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Open, LinkFault> {
    // Older servers do not know the command that would tell them the library's name.
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    // Deadlines are the workers' own; a connection that answers nothing is the probes' to find.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let made = MultiplexedConnection::new_with_config(&settings, stream, config).await;
    let (connection, life) = made.map_err(|error| LinkFault::of(&error))?;
    let mut driver = JoinSet::new();
    driver.spawn(life);
    let line = Line {
        connection,
        script: Arc::new(Script::new(SCRIPT)),
    };
    Ok(Open { line, driver })
}

impl Line {
    /// Counts.
    pub async fn admit(&mut self, ask: &Ask) -> Result<Answer, LinkFault> {
        let numbers = self.numbers(ask).await?;
        let garbled = |_| LinkFault::NotRedis("its answer is none to the script".to_owned());
        ask.read(&numbers).map_err(garbled)
    }

    /// Counts for nobody: what that needs (to run scripts, to write, an answer at all) is what every question needs.
    pub async fn probe(&mut self) -> Result<(), LinkFault> {
        self.admit(&probe_ask()).await.map(|_| ())
    }

    async fn numbers(&mut self, ask: &Ask) -> Result<Vec<i64>, LinkFault> {
        let by_hash = command("EVALSHA", self.script.get_hash(), ask);
        let mut answer = by_hash.query_async(&mut self.connection).await;
        let is_unknown =
            |error: &redis::RedisError| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript);
        if answer.as_ref().is_err_and(is_unknown) {
            // Redis forgets scripts when it restarts, fails over or is told to. EVAL makes it know this one again.
            answer = command("EVAL", SCRIPT, ask)
                .query_async(&mut self.connection)
                .await;
        }
        answer.map_err(|error| LinkFault::of(&error))
    }
}

fn command(name: &str, script: &str, ask: &Ask) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(ask.limits.len());
    for key in ask.keys() {
        command.arg(key);
    }
    for argument in ask.arguments() {
        command.arg(argument);
    }
    command
}

/// A limit so wide that it charges a microsecond: its key is gone again after two milliseconds.
fn probe_ask() -> Ask {
    let limit = RateLimit {
        name: "sluice's own probe".to_owned(),
        key: LimitKey::Global,
        count: NonZeroU32::MAX,
        period: Duration::from_secs(4_000),
        burst: NonZeroU32::MAX,
        max_keys: 1,
        shared: true,
        on_redis_error: OnRedisError::Open,
    };
    let asked = Asked {
        limit: Arc::new(limit),
        key: SharedKey(0),
    };
    Ask { limits: vec![asked] }
}
