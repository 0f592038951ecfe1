//! What is reckoned from one trial's readings. `None` where a scenario has no such figure.
//!
//! Not here: medians and ratios of several trials (see `row`).

use std::time::Duration;

use super::trial::Trial;

/// A figure that a trial may tell.
pub type Figure = fn(&Trial) -> Option<f64>;

/// The server's CPU time for each message to each receiver, in µs: reading it, relaying it, and
/// what the kernel does within its calls.
pub fn cpu_per_delivery(trial: &Trial) -> Option<f64> {
    (trial.deliveries > 0).then(|| micros(trial.cpu) / trial.deliveries as f64)
}

pub fn deliveries_per_second(trial: &Trial) -> Option<f64> {
    (trial.deliveries > 0).then(|| trial.deliveries as f64 / trial.elapsed.as_secs_f64())
}

/// CPU time of Redis for each message to each receiver, in µs.
pub fn redis_cpu_per_delivery(trial: &Trial) -> Option<f64> {
    (trial.deliveries > 0).then(|| Some(micros(trial.redis_cpu?) / trial.deliveries as f64))?
}

/// In milliseconds.
pub fn p50(trial: &Trial) -> Option<f64> {
    trial.p50.map(|time| micros(time) / 1e3)
}

/// In milliseconds.
pub fn p99(trial: &Trial) -> Option<f64> {
    trial.p99.map(|time| micros(time) / 1e3)
}

/// In milliseconds.
pub fn worst(trial: &Trial) -> Option<f64> {
    trial.worst.map(|time| micros(time) / 1e3)
}

/// Until everyone had what they came for, in milliseconds.
pub fn settled(trial: &Trial) -> Option<f64> {
    trial.settled.map(|time| micros(time) / 1e3)
}

/// The server's CPU time, in hundredths of one core.
pub fn server_percent(trial: &Trial) -> Option<f64> {
    Some(100.0 * micros(trial.cpu) / micros(trial.elapsed))
}

/// The load generator's CPU time, in hundredths of one core. It has one thread: near 100 the
/// figures are its own, not the server's.
pub fn load_percent(trial: &Trial) -> Option<f64> {
    Some(100.0 * micros(trial.load_cpu) / micros(trial.elapsed))
}

pub fn segments_per_message(trial: &Trial) -> Option<f64> {
    let messages = (trial.deliveries > 0).then_some(trial.deliveries as f64)?;
    trial.segments.map(|segments| segments as f64 / messages)
}

/// Encrypted records in which a message came to a receiver: 1, or less where messages were late
/// and came together.
pub fn records_per_delivery(trial: &Trial) -> Option<f64> {
    (trial.records > 0 && trial.deliveries > 0)
        .then(|| trial.records as f64 / trial.deliveries as f64)
}

/// CPU time of encrypting one message for one receiver, or of one handshake, and of nothing else, in
/// µs.
pub fn encryption(trial: &Trial) -> Option<f64> {
    trial.encryption.map(micros)
}

/// In KiB.
pub fn resident_per_client(trial: &Trial) -> Option<f64> {
    let more = trial.filled.saturating_sub(trial.empty);
    Some(more as f64 / 1024.0 / trial.clients as f64)
}

/// From the server's start to its fullest moment, in MiB.
pub fn resident_growth(trial: &Trial) -> Option<f64> {
    Some(trial.peak.saturating_sub(trial.empty) as f64 / f64::from(1 << 20))
}

/// From before the drive to the drive's fullest moment, in MiB.
pub fn driven_growth(trial: &Trial) -> Option<f64> {
    Some(trial.peak_driven.saturating_sub(trial.filled) as f64 / f64::from(1 << 20))
}

/// What only this load counts.
pub fn extra(trial: &Trial) -> Option<f64> {
    trial.extra.map(|(_, count)| count as f64)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
