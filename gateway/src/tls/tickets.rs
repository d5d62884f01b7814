//! Clients that come back: tickets sealed with keys that are shared by all workers and outlive a reload (RFC 5077,
//! RFC 8446 §4.6.1), and sessions remembered for clients of TLS 1.2 that take no tickets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::ServerConfig;
use rustls::server::ProducesTickets;
use serde::{Deserialize, Serialize};

use super::sessions::{Sessions, SessionsOf};
use crate::config::plan::{Certificate, ListenerTls};
use crate::kit::clock::Mono;

/// How long a key seals tickets; for as long again it opens them. Whoever gets hold of a key reads what TLS 1.2 said for
/// two periods: a day is a usual limit. Nonces are drawn at random, which is safe for 2^32 tickets of one key: 99,000 a
/// second for a period.
pub const KEY_PERIOD: Duration = Duration::from_secs(12 * 3_600);

/// Bytes of a ticket. One that held a client's long chain would not fit into the first packets of its next visit, nor
/// into what is read of a hello; such a client begins anew each time.
const TICKET_BYTES_MAX: usize = 8 * 1_024;

/// Bytes that name a key.
const NAME_BYTES: usize = 16;

/// What listeners share so that clients who come back need no full handshake. Cheap to clone.
#[derive(Clone)]
pub struct Resumption {
    keys: Arc<ArcSwap<Keys>>,
    sessions: Arc<Sessions>,
}

/// The key that seals, and the one before it, which only opens.
struct Keys {
    current: Key,
    previous: Option<Key>,
}

#[derive(Clone)]
struct Key(Arc<KeyInner>);

struct KeyInner {
    name: [u8; NAME_BYTES],
    key: LessSafeKey,
    /// Kept to be handed to the process that comes after this one.
    secret: [u8; 32],
    since: Mono,
    /// How old it was then: a process before this one may have drawn it.
    age: Duration,
}

/// The keys of tickets, on their way to the process that takes this one's place. They are secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketKeys {
    current: TicketKey,
    previous: Option<TicketKey>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TicketKey {
    name: [u8; NAME_BYTES],
    secret: [u8; 32],
    age_ms: u64,
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKeys").finish_non_exhaustive()
    }
}

impl Resumption {
    /// The keys of another process, and room for so many sessions of clients that take no tickets.
    ///
    /// # Errors
    /// They are none.
    pub fn of(sessions_max: usize, keys: &TicketKeys, now: Mono) -> Result<Self, ring::error::Unspecified> {
        let keys = Keys {
            current: Key::of(&keys.current, now)?,
            previous: keys.previous.as_ref().map(|key| Key::of(key, now)).transpose()?,
        };
        Ok(Self {
            keys: Arc::new(ArcSwap::from_pointee(keys)),
            sessions: Arc::new(Sessions::new(sessions_max)),
        })
    }

    /// The keys, for another process to open what was sealed here.
    pub fn ticket_keys(&self, now: Mono) -> TicketKeys {
        let keys = self.keys.load();
        TicketKeys {
            current: keys.current.handed(now),
            previous: keys.previous.as_ref().map(|key| key.handed(now)),
        }
    }

    /// Fresh keys, and room for so many sessions of clients that take no tickets.
    ///
    /// # Errors
    /// The system has no random bytes to give.
    pub fn new(sessions_max: usize, now: Mono) -> Result<Self, ring::error::Unspecified> {
        let keys = Keys {
            current: Key::draw(now)?,
            previous: None,
        };
        Ok(Self {
            keys: Arc::new(ArcSwap::from_pointee(keys)),
            sessions: Arc::new(Sessions::new(sessions_max)),
        })
    }

    /// Takes a new key if it is time, and forgets what is two periods old. True if it was. To be called now and then.
    pub fn turn(&self, now: Mono) -> bool {
        let keys = self.keys.load();
        let age = keys.current.age(now);
        if age < KEY_PERIOD {
            return false;
        }
        // Without random bytes the key that is there is better than none; the next turn tries again.
        let Ok(current) = Key::draw(now) else {
            return false;
        };
        // After a long sleep even the newest is too old.
        let previous = (age < 2 * KEY_PERIOD).then(|| keys.current.clone());
        self.keys.store(Arc::new(Keys { current, previous }));
        self.sessions.turn();
        true
    }

    /// Has a listener recognise the clients it may recognise.
    pub(super) fn equip(
        &self,
        config: &mut ServerConfig,
        tls: &ListenerTls,
        certificates: &[Arc<Certificate>],
    ) {
        let context = context(tls, certificates);
        config.session_storage = Arc::new(SessionsOf {
            sessions: Arc::clone(&self.sessions),
            context,
        });
        config.ticketer = Arc::new(TicketsOf {
            keys: Arc::clone(&self.keys),
            context,
            random: SystemRandom::new(),
        });
    }
}

impl fmt::Debug for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resumption").finish_non_exhaustive()
    }
}

/// What a session depends upon. One that was begun under another context is not gone on with.
///
/// A session that is gone on with shows no certificate, neither ours nor the client's: rustls takes the client's from the
/// ticket and does not ask again whether it must show one. So whom clients must be, and who we are, is in here; were it
/// not, a ticket of a listener for everybody would open one for the few. The files of our own certificates are not: a
/// renewed one is for the same names.
fn context(tls: &ListenerTls, certificates: &[Arc<Certificate>]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut feed = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_le_bytes());
        context.update(bytes);
    };
    match &tls.client_auth {
        None => feed(b"anybody"),
        Some(auth) => {
            feed(if auth.required { b"require" } else { b"optional" });
            feed(&auth.authorities.digest());
        }
    }
    for id in &tls.certificates {
        let certificate = &certificates[id.0];
        feed(if *id == tls.default_certificate {
            b"default"
        } else {
            b""
        });
        feed(certificate.name.as_bytes());
        feed(&(certificate.domains.len() as u64).to_le_bytes());
        for domain in &certificate.domains {
            feed(domain.to_string().as_bytes());
        }
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

impl Key {
    fn draw(since: Mono) -> Result<Self, ring::error::Unspecified> {
        let random = SystemRandom::new();
        let (mut secret, mut name) = ([0; 32], [0; NAME_BYTES]);
        random.fill(&mut secret)?;
        random.fill(&mut name)?;
        Self::new(name, secret, since, Duration::ZERO)
    }

    fn new(
        name: [u8; NAME_BYTES],
        secret: [u8; 32],
        since: Mono,
        age: Duration,
    ) -> Result<Self, ring::error::Unspecified> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &secret)?);
        Ok(Self(Arc::new(KeyInner {
            name,
            key,
            secret,
            since,
            age,
        })))
    }

    fn of(key: &TicketKey, now: Mono) -> Result<Self, ring::error::Unspecified> {
        Self::new(key.name, key.secret, now, Duration::from_millis(key.age_ms))
    }

    fn handed(&self, now: Mono) -> TicketKey {
        TicketKey {
            name: self.0.name,
            secret: self.0.secret,
            age_ms: u64::try_from(self.age(now).as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn age(&self, now: Mono) -> Duration {
        self.0.age.saturating_add(now.since(self.0.since))
    }

    /// What is sealed belongs to this key and to one context.
    fn binding(&self, context: &[u8; 32]) -> Aad<[u8; NAME_BYTES + 32]> {
        let mut binding = [0; NAME_BYTES + 32];
        binding[..NAME_BYTES].copy_from_slice(&self.0.name);
        binding[NAME_BYTES..].copy_from_slice(context);
        Aad::from(binding)
    }

    /// The key's name, the nonce, and what is sealed with its tag.
    fn seal(&self, nonce: [u8; NONCE_LEN], context: &[u8; 32], plain: &[u8]) -> Option<Vec<u8>> {
        let tag_bytes = AES_256_GCM.tag_len();
        let length = NAME_BYTES + NONCE_LEN + plain.len() + tag_bytes;
        if length > TICKET_BYTES_MAX {
            return None;
        }
        let mut ticket = Vec::with_capacity(length);
        ticket.extend_from_slice(&self.0.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let sealed = &mut ticket[NAME_BYTES + NONCE_LEN..];
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .key
            .seal_in_place_separate_tag(nonce, self.binding(context), sealed)
            .ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn open(&self, nonce: [u8; NONCE_LEN], context: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = self
            .0
            .key
            .open_in_place(nonce, self.binding(context), &mut bytes)
            .ok()?
            .len();
        bytes.truncate(plain);
        Some(bytes)
    }
}

/// Tickets of the listeners of one context.
struct TicketsOf {
    keys: Arc<ArcSwap<Keys>>,
    context: [u8; 32],
    random: SystemRandom,
}

impl fmt::Debug for TicketsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketsOf").finish_non_exhaustive()
    }
}

impl ProducesTickets for TicketsOf {
    fn enabled(&self) -> bool {
        true
    }

    /// Seconds a client may keep one: the key that seals it opens it for so long at least.
    fn lifetime(&self) -> u32 {
        u32::try_from(KEY_PERIOD.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        self.keys.load().current.seal(nonce, &self.context, plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > TICKET_BYTES_MAX {
            return None;
        }
        let (name, rest) = ticket.split_at_checked(NAME_BYTES)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let keys = self.keys.load();
        let mut known = std::iter::once(&keys.current).chain(&keys.previous);
        let key = known.find(|key| key.0.name == name)?;
        key.open(nonce.try_into().ok()?, &self.context, sealed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tickets(resumption: &Resumption, context: u8) -> TicketsOf {
        TicketsOf {
            keys: Arc::clone(&resumption.keys),
            context: [context; 32],
            random: SystemRandom::new(),
        }
    }

    fn at(periods: f64) -> Mono {
        Mono::default().plus(KEY_PERIOD.mul_f64(periods))
    }

    #[test]
    fn a_ticket_is_opened_for_one_period_at_least_and_two_at_most() {
        let resumption = Resumption::new(8, at(0.0)).unwrap();
        let tickets = tickets(&resumption, 1);
        let first = tickets.encrypt(b"a session").unwrap();
        assert!(!resumption.turn(at(0.99)));
        let last = tickets.encrypt(b"another").unwrap();
        assert!(resumption.turn(at(1.0)) && !resumption.turn(at(1.0)));
        assert_eq!(tickets.decrypt(&first).unwrap(), b"a session");
        assert_eq!(tickets.decrypt(&last).unwrap(), b"another");
        assert!(resumption.turn(at(2.0)));
        assert_eq!((tickets.decrypt(&first), tickets.decrypt(&last)), (None, None));
    }

    #[test]
    fn another_process_opens_what_was_sealed_here_and_no_longer_than_this_one() {
        let resumption = Resumption::new(8, at(0.0)).unwrap();
        let ticket = tickets(&resumption, 1).encrypt(b"a session").unwrap();
        assert!(resumption.turn(at(1.0)));
        let told = serde_json::to_string(&resumption.ticket_keys(at(1.75))).unwrap();
        // Its clock has just begun.
        let keys: TicketKeys = serde_json::from_str(&told).unwrap();
        let heir = Resumption::of(8, &keys, at(0.0)).unwrap();
        assert_eq!(tickets(&heir, 1).decrypt(&ticket).unwrap(), b"a session");
        assert!(heir.ticket_keys(at(0.0)) == keys);
        assert!(!heir.turn(at(0.2)));
        assert!(heir.turn(at(0.25)));
        assert_eq!(tickets(&heir, 1).decrypt(&ticket), None);
        assert!(!format!("{keys:?}").contains("secret"));
    }

    #[test]
    fn after_a_long_sleep_no_key_from_before_opens_anything() {
        let resumption = Resumption::new(8, at(0.0)).unwrap();
        let tickets = tickets(&resumption, 1);
        let ticket = tickets.encrypt(b"a session").unwrap();
        assert!(resumption.turn(at(2.5)));
        assert_eq!(tickets.decrypt(&ticket), None);
    }

    #[test]
    fn a_ticket_of_one_context_opens_nothing_in_another() {
        let resumption = Resumption::new(8, at(0.0)).unwrap();
        let (for_all, for_few) = (tickets(&resumption, 1), tickets(&resumption, 2));
        let ticket = for_all.encrypt(b"a session").unwrap();
        assert_eq!(for_few.decrypt(&ticket), None);
        assert!(for_all.decrypt(&ticket).is_some());
    }

    #[test]
    fn what_is_too_long_for_a_ticket_gets_none() {
        let resumption = Resumption::new(8, at(0.0)).unwrap();
        let tickets = tickets(&resumption, 1);
        assert_eq!(tickets.encrypt(&[0; TICKET_BYTES_MAX]), None);
        assert_eq!(tickets.decrypt(&[0; TICKET_BYTES_MAX + 1]), None);
    }

    proptest! {
        #[test]
        fn only_what_was_sealed_is_opened(plain: Vec<u8>, at_byte: prop::sample::Index, flip in 1u8.., cut: prop::sample::Index) {
            let resumption = Resumption::new(8, at(0.0)).unwrap();
            let tickets = tickets(&resumption, 1);
            let ticket = tickets.encrypt(&plain).unwrap();
            prop_assert_eq!(tickets.decrypt(&ticket), Some(plain));
            prop_assert_eq!(tickets.decrypt(&ticket[..cut.index(ticket.len())]), None);
            let mut forged = ticket;
            let place = at_byte.index(forged.len());
            forged[place] ^= flip;
            prop_assert_eq!(tickets.decrypt(&forged), None);
        }
    }
}
