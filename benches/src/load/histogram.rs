//! Latencies, counted in buckets whose width grows with them.

/// Buckets of each doubling: a value is known to one part in 128, which is finer than any two runs agree.
const STEPS_PER_DOUBLING: u64 = 128;

/// Counts of values from zero up, each known to less than one per cent; values below 256 exactly.
///
/// Takes at most 60 KiB, however many values and however large.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Grown to the largest value seen.
    counts: Vec<u64>,
    total: u64,
    largest: u64,
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        let bucket = bucket_of(value);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.largest = self.largest.max(value);
    }

    /// How many values have been counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest value, exactly; 0 if there is none.
    pub fn largest(&self) -> u64 {
        self.largest
    }

    /// The value that this share (0 to 1) of all values do not exceed: never below the true one, and less than one
    /// per cent above it. 0 if there is none.
    pub fn percentile(&self, share: f64) -> u64 {
        // The nearest rank: the smallest value that has so many values up to it.
        let rank = ((share.clamp(0.0, 1.0) * self.total as f64).ceil() as u64).max(1);
        let mut passed = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            passed += count;
            if passed >= rank {
                return last_of(bucket).min(self.largest);
            }
        }
        self.largest
    }
}

/// Below two doublings' steps a value is its own bucket; above, the seven bits after its first one say which.
fn bucket_of(value: u64) -> usize {
    let exact = 2 * STEPS_PER_DOUBLING;
    let bucket = if value < exact {
        value
    } else {
        let shift = u64::from(value.ilog2() - STEPS_PER_DOUBLING.ilog2());
        shift * STEPS_PER_DOUBLING + (value >> shift)
    };
    usize::try_from(bucket).expect("64 doublings of 128 steps fit into any address space")
}

/// The largest value of a bucket.
fn last_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS_PER_DOUBLING {
        return bucket;
    }
    let shift = bucket / STEPS_PER_DOUBLING - 1;
    let first = (bucket % STEPS_PER_DOUBLING + STEPS_PER_DOUBLING) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram
    }

    /// Values of every size, always the same.
    fn disorder(count: usize) -> Vec<u64> {
        let mut state = 0x1357_9bdf_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        (0..count).map(|_| next() >> (next() % 31)).collect()
    }

    #[test]
    fn small_values_are_exact() {
        let histogram = of(1..=200);
        assert_eq!(histogram.percentile(0.5), 100);
        assert_eq!(histogram.percentile(0.99), 198);
        assert_eq!(histogram.percentile(1.0), 200);
        assert_eq!(histogram.percentile(0.0), 1);
        assert_eq!((histogram.total(), histogram.largest()), (200, 200));
    }

    #[test]
    fn nothing_recorded_is_zero() {
        assert_eq!(Histogram::default().percentile(0.99), 0);
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values_to_one_per_cent_and_never_below() {
        let mut values = disorder(10_000);
        let histogram = of(values.iter().copied());
        values.sort_unstable();
        for permille in 0..=1000_usize {
            let share = permille as f64 / 1000.0;
            let rank = ((share * 10_000.0).ceil() as usize).max(1);
            let (truth, told) = (values[rank - 1], histogram.percentile(share));
            assert!(told >= truth, "{share}: {told} is below {truth}");
            assert!(
                (told - truth) as f64 <= truth as f64 * 0.01,
                "{share}: {told} for {truth}"
            );
        }
    }

    #[test]
    fn each_value_lies_in_its_bucket_and_buckets_follow_each_other() {
        for doubling in 0..64_u32 {
            for value in [
                1_u64 << doubling,
                (1 << doubling) + (1 << doubling) / 3,
                u64::MAX >> (63 - doubling),
            ] {
                let bucket = bucket_of(value);
                assert!(value <= last_of(bucket), "{value} is above its bucket");
                assert!(
                    bucket == 0 || value > last_of(bucket - 1),
                    "{value} is below its bucket"
                );
            }
        }
        assert_eq!(last_of(bucket_of(u64::MAX)), u64::MAX);
    }
}
