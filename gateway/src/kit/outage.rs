//! One outage of something that is asked: that it began, why, and for how long it was.

use std::time::Duration;

use crate::kit::clock::Mono;

/// The present outage, if there is one, and the reason told last.
#[derive(Debug, Default)]
pub struct Outage {
    began: Option<Mono>,
    last: Option<String>,
}

impl Outage {
    /// It is away, for this reason. Whether that is to be told: once, until it is back. Further reasons of the same outage
    /// (a connection that was closed cannot be had again either) are in [`last_fault`](Self::last_fault) alone.
    pub fn goes_on(&mut self, fault: &str, now: Mono) -> bool {
        let is_news = self.began.is_none();
        self.began.get_or_insert(now);
        self.last = Some(fault.to_owned());
        is_news
    }

    /// It is back. How long it was away; None if it was not.
    pub fn ends(&mut self, now: Mono) -> Option<Duration> {
        self.began.take().map(|began| now.since(began))
    }

    /// Whether it is away.
    pub fn is_on(&self) -> bool {
        self.began.is_some()
    }

    /// Why it is away, or was the last time.
    pub fn last_fault(&self) -> Option<&str> {
        self.last.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_until_it_is_back() {
        let mut outage = Outage::default();
        assert!(outage.goes_on("refused", Mono(1)));
        assert!(!outage.goes_on("refused", Mono(2)));
        assert!(!outage.goes_on("wrong password", Mono(3)));
        assert_eq!(outage.last_fault(), Some("wrong password"));
        assert_eq!(outage.ends(Mono(11)), Some(Duration::from_nanos(10)));
        assert!(outage.goes_on("refused", Mono(12)));
    }

    #[test]
    fn what_was_never_away_is_not_back() {
        assert_eq!(Outage::default().ends(Mono(1)), None);
    }
}
