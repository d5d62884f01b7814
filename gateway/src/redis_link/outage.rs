//! One outage in the log: when it began, and which reasons were told.

use std::time::Duration;

use crate::kit::clock::Mono;

/// Different reasons of one outage that are told; more are not news.
const REASONS_MAX: usize = 8;

/// What was told about the present outage, if there is one.
#[derive(Debug, Default)]
pub struct Outage {
    began: Option<Mono>,
    told: Vec<String>,
    last: Option<String>,
}

impl Outage {
    /// It is away, for this reason. Whether that is to be told: each reason once, until it is back.
    pub fn goes_on(&mut self, fault: &str, now: Mono) -> bool {
        self.began.get_or_insert(now);
        self.last = Some(fault.to_owned());
        let is_news = self.told.len() < REASONS_MAX && !self.told.iter().any(|told| told == fault);
        if is_news {
            self.told.push(fault.to_owned());
        }
        is_news
    }

    /// It is back. How long it was away; None if it was not.
    pub fn ends(&mut self, now: Mono) -> Option<Duration> {
        self.told.clear();
        self.began.take().map(|began| now.since(began))
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
    fn a_reason_is_told_once_until_it_is_back() {
        let mut outage = Outage::default();
        assert!(outage.goes_on("refused", Mono(1)));
        assert!(!outage.goes_on("refused", Mono(2)));
        assert!(outage.goes_on("wrong password", Mono(3)));
        assert!(!outage.goes_on("refused", Mono(4)));
        assert_eq!(outage.ends(Mono(11)), Some(Duration::from_nanos(10)));
        assert_eq!(outage.last_fault(), Some("refused"));
        assert!(outage.goes_on("refused", Mono(12)));
    }

    #[test]
    fn what_was_never_away_is_not_back() {
        assert_eq!(Outage::default().ends(Mono(1)), None);
    }

    #[test]
    fn reasons_that_never_repeat_come_to_an_end() {
        let mut outage = Outage::default();
        let told = (0..100).filter(|n| outage.goes_on(&n.to_string(), Mono(1)));
        assert_eq!(told.count(), REASONS_MAX);
        assert_eq!(outage.last_fault(), Some("99"));
    }
}
