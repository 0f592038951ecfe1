//! What is in a message: who sent it, its number, and when it left. The rest is filling.
//!
//! In hexadecimal letters, so that the same payload can travel as text, which a server must
//! check. Not here: what a receiver makes of it (see `ledger`).

use std::io::Write;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::frame;

/// Bytes of the stamp itself: sender and number of eight digits each, time of sixteen.
const LENGTH: usize = 32;

const FILLING: u8 = b'.';

/// All times are counted from here. Sender and receiver are one process, so one clock.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

pub struct Stamp {
    /// The sender's place among all clients.
    pub sender: u32,
    /// Its messages are numbered from 0.
    pub number: u32,
    /// When it was written.
    pub time: Duration,
}

impl Stamp {
    /// The stamp of a payload that is `length` bytes long; `None` if it is damaged.
    pub fn read(payload: &[u8], length: usize) -> Option<Self> {
        // Without an early end the compiler compares many bytes at a time.
        let damage = |seen, &byte| seen | (byte ^ FILLING);
        if payload.len() != length || payload[LENGTH..].iter().fold(0, damage) != 0 {
            return None;
        }
        let digits = str::from_utf8(&payload[..LENGTH]).ok()?;
        Some(Self {
            sender: u32::from_str_radix(&digits[..8], 16).ok()?,
            number: u32::from_str_radix(&digits[8..16], 16).ok()?,
            time: Duration::from_nanos(u64::from_str_radix(&digits[16..], 16).ok()?),
        })
    }
}

/// The time that stamps are in.
pub fn now() -> Duration {
    START.elapsed()
}

/// Writes the messages of one scenario, which are all of one kind and length.
pub struct Author {
    opcode: u8,
    payload: Vec<u8>,
}

impl Author {
    /// # Panics
    /// The stamp does not fit into `length` bytes.
    pub fn new(opcode: u8, length: usize) -> Self {
        assert!(length >= LENGTH, "a message has a stamp of {LENGTH} bytes");
        Self { opcode, payload: vec![FILLING; length] }
    }

    /// Appends one message, as a client's frame, with the time that it is now.
    pub fn push(&mut self, sender: usize, number: u32, frames: &mut Vec<u8>) {
        let time = u64::try_from(now().as_nanos()).unwrap_or(u64::MAX);
        let stamp = &mut self.payload[..LENGTH];
        write!(&mut *stamp, "{sender:08x}{number:08x}{time:016x}").expect("it has room");
        frame::push_masked(self.opcode, &self.payload, frames);
    }
}
