//! `wsroom play`: a recording, said again in a room, as fast as it was said or faster.
//!
//! The author is whoever plays it. Acts are left out: they are deeds of a leader, on messages and members
//! that are not there. Not here: making a recording (`record`). The main thread talks; the thread
//! `input` reads, and waits for the time of each message.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Map, Value, json};

use super::event::Say;
use super::lines;
use super::member::{End, Member, Part};
use super::visit::{Past, Visit};

/// What of a recorded message is said again.
const FIELDS: [&str; 5] = ["type", "text", "name", "media_type", "base64"];

/// The options of `play`.
#[derive(Args, Debug)]
pub struct Play {
    /// The recording.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    visit: Visit,

    /// So many times as fast as it was said, such as 10 or 0.5; `max` without any pause.
    #[arg(long, value_name = "N|max", default_value = "1", value_parser = speed)]
    speed: f64,
}

/// Says all of it.
///
/// # Errors
/// A sentence: the file cannot be read, the server does not let it in, or something was not said.
pub fn run(options: &Play) -> Result<(), String> {
    let file = File::open(&options.file);
    let file = file.map_err(|error| format!("{}: {error}", options.file.display()))?;
    let mut file = Some(BufReader::new(file));
    let mut member = Member::new(&options.visit, Past::default(), End::WithInput)?;
    let mut input = |limit| {
        let file = file.take().expect("it is asked for once");
        let mut clock = Clock { speed: options.speed, began: None };
        lines::start(file, lines::longest_event(limit), move |line, number| {
            say(&line, number, limit, &mut clock)
        })
    };
    member.takes_part(Part { input: &mut input, listener: &mut |_| Ok(()) })
}

/// Waits until it is time for this message. `None`: it is not said.
fn say(line: &[u8], number: usize, limit: usize, clock: &mut Clock) -> Result<Option<Say>, String> {
    let mut event: Map<String, Value> =
        serde_json::from_slice(line).map_err(|error| format!("it is no event: {error}"))?;
    let id = event.get("id").and_then(Value::as_u64);
    event.retain(|field, _| FIELDS.contains(&field.as_str()));
    match event.get("type").and_then(Value::as_str) {
        Some("message" | "binary") => {}
        Some("act") => return Ok(None),
        _ => return Err("its type is not message, binary or act".to_owned()),
    }
    let event = json!(event).to_string();
    let say = Say::event(event.as_bytes(), number, limit)?;
    clock.wait_for(id);
    Ok(Some(say))
}

/// Since when the recording plays.
struct Clock {
    speed: f64,
    /// The first id, and when that was said again.
    began: Option<(u64, Instant)>,
}

impl Clock {
    /// An id is the time of its message, in microseconds. A line without one, which somebody has written
    /// by hand, is said at once.
    fn wait_for(&mut self, id: Option<u64>) {
        let Some(id) = id else { return };
        let (first, began) = *self.began.get_or_insert((id, Instant::now()));
        let after = Duration::from_micros(id.saturating_sub(first)).div_f64(self.speed);
        thread::sleep(after.saturating_sub(began.elapsed()));
    }
}

/// A number above 0. The largest is no pause at all: no two messages are further apart than a life.
fn speed(text: &str) -> Result<f64, String> {
    let number = if text == "max" { Some(1e12) } else { text.parse().ok() };
    number
        .filter(|speed| (0.001..=1e12).contains(speed))
        .ok_or_else(|| "give a number such as 1, 10 or 0.5, or max for no pauses".to_owned())
}
