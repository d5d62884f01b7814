//! What the gateway's process holds, seen from outside.

use std::fs;
use std::time::Duration;

/// Memory over time.
#[derive(Debug, Default)]
pub struct Meter {
    samples: Vec<(f64, f64)>,
    /// The most memory of any process.
    pub most_kib: u64,
    /// The most descriptors of any process.
    pub most_descriptors: usize,
}

impl Meter {
    /// Looks at a process; what is looked at `counts` towards the slope or not.
    pub fn look(&mut self, pid: u32, at: Duration, counts: bool) {
        // It may be ending.
        let Some(kib) = resident_kib(pid) else {
            return;
        };
        self.most_kib = self.most_kib.max(kib);
        self.most_descriptors = self.most_descriptors.max(descriptors(pid));
        if std::env::var_os("TEST_SOAK_TRACE").is_some() {
            eprintln!(
                "soak: {:>7.1} s {pid} {kib} KiB {} descriptors",
                at.as_secs_f64(),
                descriptors(pid)
            );
        }
        if counts {
            self.samples.push((at.as_secs_f64() / 60.0, kib as f64));
        }
    }

    /// How many samples the slope is of.
    pub fn samples(&self) -> usize {
        self.samples.len()
    }

    /// The mean of the samples, in KiB.
    pub fn mean_kib(&self) -> f64 {
        mean(self.samples.iter().map(|(_, kib)| *kib))
    }

    /// By least squares, in KiB a minute.
    pub fn slope_kib_per_minute(&self) -> f64 {
        let (at, kib) = (mean(self.samples.iter().map(|(at, _)| *at)), self.mean_kib());
        let of = |f: fn(f64, f64) -> f64| {
            let all = self.samples.iter();
            all.map(|(x, y)| f(x - at, y - kib)).sum::<f64>()
        };
        of(|x, y| x * y) / of(|x, _| x * x).max(f64::MIN_POSITIVE)
    }
}

fn mean(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = numbers.len().max(1) as f64;
    numbers.sum::<f64>() / n
}

fn resident_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Open descriptors of a process.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_a_line_is_its_own() {
        let samples = (0..10).map(|minute| (f64::from(minute), 1000.0 + 7.0 * f64::from(minute)));
        let meter = Meter {
            samples: samples.collect(),
            ..Meter::default()
        };
        assert!((meter.slope_kib_per_minute() - 7.0).abs() < 1e-6);
        assert_eq!(Meter::default().slope_kib_per_minute(), 0.0);
    }
}
