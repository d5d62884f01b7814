//! Asking Consul: a question that is held back until something changes.

use std::time::Duration;

use crate::config::plan::Consul;
use crate::discovery::Answer;
use crate::discovery::consul;
use crate::outbound::{self, Ask, Client};
use crate::wire::Fields;

/// Between two questions where an answer has no index, so that it cannot be waited for the next one.
pub(super) const FALLBACK: Duration = Duration::from_secs(10);

/// Beyond the wait that was asked for. Consul adds up to a sixteenth of it by chance; the rest is for a slow network.
const SLACK: Duration = Duration::from_secs(10);

/// Bytes of an answer: an instance with its checks and metadata has a few kilobytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Bytes of a token: Consul's are UUIDs.
const TOKEN_BYTES_MAX: usize = 4_096;

/// Asks for one service.
pub(super) struct Asker {
    plan: Consul,
    client: Client,
    /// Of the last answer; 0 asks without a wait.
    index: u64,
}

impl Asker {
    pub(super) fn new(plan: Consul, client: Client) -> Self {
        Self {
            plan,
            client,
            index: 0,
        }
    }

    pub(super) async fn ask(&mut self) -> Answer {
        match self.exchange().await {
            Ok((answer, index)) => {
                self.index = index;
                answer
            }
            Err(why) => {
                // What has happened meanwhile is not known: the next answer is to come at once.
                self.index = 0;
                Answer::Failed(why)
            }
        }
    }

    async fn exchange(&self) -> Result<(Answer, u64), String> {
        let mut headers = Fields::default();
        headers.push(b"Accept", b"application/json");
        if let Some(token) = self.token()? {
            headers.push(b"X-Consul-Token", token.as_bytes());
        }
        let url = consul::url(&self.plan, self.index);
        let ask = Ask {
            url: &url,
            headers: &headers,
            timeout: consul::WAIT + consul::WAIT / 16 + SLACK,
            body_max: ANSWER_BYTES_MAX,
        };
        let answer = self.client.get(ask).await.map_err(|fault| fault.to_string())?;
        match answer.status {
            200 => {}
            403 => return Err("it answers 403: the token may not read this service".to_owned()),
            status => return Err(format!("it answers {status} instead of 200")),
        }
        let index = consul::next_index(self.index, answer.headers.first_of("x-consul-index"));
        Ok((read(&answer, index)?, index.unwrap_or(0)))
    }

    /// Read each time, so that one that is exchanged is used.
    fn token(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.plan.token_file else {
            return Ok(None);
        };
        let unreadable =
            |why: &dyn std::fmt::Display| format!("its token in {} cannot be read: {why}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| unreadable(&e))?;
        let token = text.trim();
        let is_one = !token.is_empty()
            && token.len() <= TOKEN_BYTES_MAX
            && token.bytes().all(|b| b.is_ascii_graphic());
        match is_one {
            true => Ok(Some(token.to_owned())),
            false => Err(unreadable(&"it is empty, or no word")),
        }
    }
}

fn read(answer: &outbound::Answer, index: Option<u64>) -> Result<Answer, String> {
    let (servers, unusable) = consul::servers(&answer.body)?;
    if servers.is_empty() && unusable == 0 {
        return Ok(Answer::Empty(
            "it knows no instance of it that may serve".to_owned(),
        ));
    }
    let missing = (unusable > 0).then(|| format!("{unusable} instances have no address and port"));
    if servers.is_empty() {
        return Err(missing.unwrap_or_default());
    }
    Ok(Answer::Servers {
        servers,
        // The next question is held back by Consul itself, where the answer says what to wait for.
        again_after: index.map_or(FALLBACK, |_| Duration::ZERO),
        missing,
    })
}
