//! A histogram that is counted without a lock: the one of `prometheus-client` has a mutex, and the
//! broadcaster counts each turn.
//!
//! Not here: which histograms there are (`meters`). Any thread may count.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Counts of values by size. A clone is the same histogram.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The upper ends of the buckets, each included, in order.
    limits: &'static [u64],
    /// How many of a value's units make one of the unit that is told.
    scale: f64,
    /// The values in each bucket; the last one has those above all limits.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

/// Nanoseconds in a second.
const NANOS: f64 = 1e9;

impl Histogram {
    /// Of times, with these limits in nanoseconds; they are told in seconds.
    pub fn of_times(limits: &'static [u64]) -> Self {
        Self::new(limits, NANOS)
    }

    /// Of numbers.
    pub fn of_numbers(limits: &'static [u64]) -> Self {
        Self::new(limits, 1.0)
    }

    fn new(limits: &'static [u64], scale: f64) -> Self {
        let counts = (0..=limits.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { limits, scale, counts, sum: AtomicU64::new(0) }))
    }

    /// Counts a number.
    pub fn count(&self, value: u64) {
        let Inner { limits, counts, sum, .. } = &*self.0;
        let bucket = limits.partition_point(|limit| *limit < value);
        counts[bucket].fetch_add(1, Ordering::Relaxed);
        sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a time.
    pub fn count_time(&self, time: Duration) {
        self.count(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        let Inner { limits, scale, counts, sum } = &*self.0;
        let ends = limits.iter().map(|limit| *limit as f64 / scale).chain([f64::INFINITY]);
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = ends.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = sum.load(Ordering::Relaxed) as f64 / scale;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn a_value_counts_in_the_first_bucket_that_holds_it_and_in_those_above() {
        let times = Histogram::of_times(&[1_000, 1_000_000_000]);
        for nanos in [0, 1_000, 1_001, 2_000_000_000] {
            times.count_time(Duration::from_nanos(nanos));
        }
        let mut registry = Registry::default();
        registry.register("turn_seconds", "Time", times);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                r#"turn_seconds_bucket{le="1e-06"} 2"#,
                r#"turn_seconds_bucket{le="1"} 3"#,
                r#"turn_seconds_bucket{le="+Inf"} 4"#,
                "turn_seconds_sum 2.000002001",
                "turn_seconds_count 4",
            ]
        );
    }
}
