//! When requests fall due: a rate that goes from stage to stage, and what the answers have to be like.

use std::time::Duration;

/// A stretch of time over which the rate goes evenly from one figure to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// How long it lasts.
    pub lasts: Duration,
    /// Requests per second when it ends.
    pub to_per_s: f64,
}

/// A load and its thresholds.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Requests per second when the first stage begins.
    pub from_per_s: f64,
    /// In order.
    pub stages: Vec<Stage>,
    /// So long may the slowest of 95 in 100 take, in milliseconds; none: it is not asked.
    pub p95_ms: Option<f64>,
    /// So many of 100 may fail, and no more; none: it is not asked.
    pub errors_percent: Option<f64>,
}

impl Scenario {
    /// The same rate all the time, without thresholds.
    pub fn constant(per_s: f64, lasts: Duration) -> Self {
        Self {
            from_per_s: per_s,
            stages: vec![Stage {
                lasts,
                to_per_s: per_s,
            }],
            p95_ms: None,
            errors_percent: None,
        }
    }

    /// Reads a scenario's lines: `start PER_S`, `stage SECONDS PER_S`, `p95_ms N`, `errors_percent N`; `#` begins a remark.
    ///
    /// # Errors
    /// The number of the first line that is none of these, and what it should be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut scenario = Self::constant(0.0, Duration::ZERO);
        scenario.stages.clear();
        for (at, line) in text.lines().enumerate() {
            let words: Vec<_> = line.split('#').next().unwrap_or("").split_whitespace().collect();
            let figures: Option<Vec<f64>> = words.iter().skip(1).map(|word| figure(word)).collect();
            match (words.first().copied(), figures.as_deref()) {
                (None, _) => {}
                (Some("start"), Some(&[per_s])) => scenario.from_per_s = per_s,
                (Some("stage"), Some(&[seconds, to_per_s])) => scenario.stages.push(Stage {
                    lasts: Duration::from_secs_f64(seconds),
                    to_per_s,
                }),
                (Some("p95_ms"), Some(&[most])) => scenario.p95_ms = Some(most),
                (Some("errors_percent"), Some(&[most])) => scenario.errors_percent = Some(most),
                (Some(_), _) => {
                    return Err(format!(
                        "line {}: {line:?} is none of: start PER_S, stage SECONDS PER_S, p95_ms N, errors_percent N",
                        at + 1
                    ));
                }
            }
        }
        if scenario.stages.is_empty() {
            return Err("there is no stage in it: write at least one line `stage SECONDS PER_S`".to_owned());
        }
        Ok(scenario)
    }

    /// The same rates in so many times less time.
    #[must_use]
    pub fn faster(mut self, times: f64) -> Self {
        for stage in &mut self.stages {
            stage.lasts = stage.lasts.div_f64(times);
        }
        self
    }

    /// How long all stages last.
    pub fn lasts(&self) -> Duration {
        self.stages.iter().map(|stage| stage.lasts).sum()
    }

    /// When each request falls due, from the beginning on; in order.
    pub fn arrivals(&self) -> impl Iterator<Item = Duration> + '_ {
        Arrivals {
            scenario: self,
            stage: 0,
            from_per_s: self.from_per_s,
            begun_s: 0.0,
            wanted: 0.0,
        }
    }

    /// What is broken, a line for each threshold; empty if all hold.
    pub fn broken(&self, p95_ms: f64, errors_percent: f64) -> Vec<String> {
        let p95 = self
            .p95_ms
            .filter(|most| p95_ms >= *most)
            .map(|most| format!("p95 is {p95_ms:.1} ms, and has to be below {most} ms"));
        let errors = self
            .errors_percent
            .filter(|most| errors_percent >= *most)
            .map(|most| format!("{errors_percent:.2} % have failed, and it has to be less than {most} %"));
        p95.into_iter().chain(errors).collect()
    }
}

/// A figure of a scenario: nothing negative, and nothing that no clock counts to.
fn figure(word: &str) -> Option<f64> {
    word.parse().ok().filter(|figure| (0.0..1e9).contains(figure))
}

/// Walks over the stages.
struct Arrivals<'s> {
    scenario: &'s Scenario,
    stage: usize,
    /// The rate when this stage began.
    from_per_s: f64,
    begun_s: f64,
    /// Requests of this stage that have to have fallen due for the next: its area under the rate.
    wanted: f64,
}

impl Iterator for Arrivals<'_> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            let stage = self.scenario.stages.get(self.stage)?;
            let lasts_s = stage.lasts.as_secs_f64();
            let area = lasts_s * (self.from_per_s + stage.to_per_s) / 2.0;
            if self.wanted < area {
                let into_s = time_of_area(self.wanted, self.from_per_s, stage.to_per_s, lasts_s);
                self.wanted += 1.0;
                return Some(Duration::from_secs_f64(self.begun_s + into_s));
            }
            // What is left of a request is owed by the next stage.
            self.wanted -= area;
            self.begun_s += lasts_s;
            self.from_per_s = stage.to_per_s;
            self.stage += 1;
        }
    }
}

/// When the area under a rate that goes evenly from `from` to `to` reaches that figure: from·t + (to − from)/(2·lasts)·t².
fn time_of_area(area: f64, from: f64, to: f64, lasts_s: f64) -> f64 {
    let slope = (to - from) / lasts_s;
    // This form of the solution does not cancel out when the slope is next to nothing, as the textbook's does.
    let root = (from * from + 2.0 * slope * area).max(0.0).sqrt();
    let time = if from + root > 0.0 {
        2.0 * area / (from + root)
    } else {
        0.0
    };
    time.clamp(0.0, lasts_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(scenario: &Scenario) -> Vec<f64> {
        scenario.arrivals().map(|at| at.as_secs_f64()).collect()
    }

    #[test]
    fn a_constant_rate_is_evenly_spaced_and_begins_at_once() {
        let arrivals = seconds(&Scenario::constant(4.0, Duration::from_secs(2)));
        assert_eq!(arrivals, [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]);
    }

    #[test]
    fn a_ramp_has_the_area_under_it_and_is_denser_where_the_rate_is_higher() {
        let scenario = Scenario::parse("start 0\nstage 10 100\n").unwrap();
        let arrivals = seconds(&scenario);
        assert_eq!(arrivals.len(), 500);
        // A quarter of the area lies before half of the time.
        let before = arrivals.iter().filter(|at| **at < 5.0).count();
        assert_eq!(before, 125);
        assert!(arrivals.is_sorted());
    }

    #[test]
    fn stages_follow_each_other_without_a_gap_or_a_request_too_many() {
        let scenario =
            Scenario::parse("start 3\nstage 1.5 3\nstage 0 7\nstage 2 7\nstage 4 0 # down\n").unwrap();
        let arrivals = seconds(&scenario);
        let area: f64 = 4.5 + 14.0 + 14.0;
        assert_eq!(arrivals.len(), area.ceil() as usize);
        assert!(arrivals.is_sorted());
        let last = arrivals.last().copied().unwrap();
        assert!(last <= scenario.lasts().as_secs_f64(), "{last}");
        // At 7 in a second none of the plateau is further from the next than a seventh.
        let plateau: Vec<_> = arrivals.iter().filter(|at| (1.5..3.5).contains(*at)).collect();
        assert_eq!(plateau.len(), 14);
        assert!(
            plateau
                .windows(2)
                .all(|two| (two[1] - two[0] - 1.0 / 7.0).abs() < 1e-6)
        );
    }

    #[test]
    fn nothing_is_due_where_the_rate_is_zero() {
        let scenario = Scenario::parse("stage 5 0\nstage 1 2").unwrap();
        assert!(seconds(&scenario).iter().all(|at| *at >= 5.0));
        assert_eq!(
            seconds(&Scenario::constant(0.0, Duration::from_secs(9))),
            [0.0_f64; 0]
        );
    }

    #[test]
    fn a_load_runs_faster_at_the_same_rates() {
        let scenario = Scenario::parse("start 10\nstage 60 10").unwrap().faster(30.0);
        assert_eq!(scenario.lasts(), Duration::from_secs(2));
        assert_eq!(scenario.arrivals().count(), 20);
    }

    #[test]
    fn thresholds_hold_below_their_figures_and_break_at_them() {
        let scenario = Scenario::parse("stage 1 1\np95_ms 100\nerrors_percent 1").unwrap();
        assert_eq!(scenario.broken(99.9, 0.99), [""; 0]);
        assert_eq!(scenario.broken(100.0, 1.0).len(), 2);
        let without = Scenario::parse("stage 1 1").unwrap();
        assert_eq!(without.broken(1e6, 100.0), [""; 0]);
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        for (text, word) in [
            ("stage 1 1\nstge 1 2", "line 2"),
            ("stage 1", "line 1"),
            ("stage -1 5", "line 1"),
            ("stage NaN 5", "line 1"),
            ("start 5", "no stage"),
        ] {
            let said = Scenario::parse(text).unwrap_err();
            assert!(said.contains(word), "{text:?}: {said}");
        }
    }
}
