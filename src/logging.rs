//! Where log lines go, how many of one kind there may be, and how a peer's bytes look in one.
//!
//! Not here: what is logged. Only lines of this program pass: tungstenite's own trace lines
//! would show what people say to each other.
//! Set up once by the main thread; used by every thread.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use log::LevelFilter;
use simplelog::{Config, ConfigBuilder, ThreadLogMode, WriteLogger};

use crate::options::Options;

/// Starts logging to standard error or to `--log-file`.
///
/// # Errors
/// A sentence for the person at the terminal if the file cannot be opened.
pub fn start(options: &Options) -> Result<(), String> {
    let out: Box<dyn Write + Send> = match &options.log_file {
        None => Box::new(io::stderr()),
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            Box::new(file.map_err(|error| {
                format!("--log-file {}: {error}; name a file that can be written", path.display())
            })?)
        }
    };
    // The only error is a second logger, and this is the first.
    let _ = WriteLogger::init(level(options), config(), out);
    Ok(())
}

fn level(options: &Options) -> LevelFilter {
    match (options.quiet, options.verbose) {
        (true, _) => LevelFilter::Warn,
        (false, 0) => LevelFilter::Info,
        (false, 1) => LevelFilter::Debug,
        (false, _) => LevelFilter::Trace,
    }
}

fn config() -> Config {
    ConfigBuilder::new()
        .set_time_format_rfc3339()
        // The thread's name says who speaks: `client-7`, `broadcaster`.
        .set_thread_level(LevelFilter::Error)
        .set_thread_mode(ThreadLogMode::Names)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .add_filter_allow_str("wsroom")
        .build()
}

/// A peer's bytes as they may stand in a log line: a newline in them cannot forge a line, and
/// a long one cannot fill the disk.
pub fn escaped(bytes: &[u8]) -> String {
    const LONGEST: usize = 200;
    let shown = &bytes[..bytes.len().min(LONGEST)];
    let more = if bytes.len() > LONGEST { "…" } else { "" };
    format!("{}{more}", shown.escape_ascii())
}

/// Lets a few lines of one kind through in each period and counts the rest, so that a hostile
/// run costs a few lines and not a full disk.
#[derive(Default)]
pub struct Limited {
    period: Mutex<Option<Period>>,
}

struct Period {
    began: Instant,
    /// Lines asked for since then.
    asked: u64,
}

impl Limited {
    const PERIOD: Duration = Duration::from_secs(10);
    const LINES: u64 = 20;

    /// Calls `write` if this line may be written, with a note on how many were left out before.
    pub fn line(&self, write: impl FnOnce(&str)) {
        let Some(left_out) = self.ask() else { return };
        match left_out {
            0 => write(""),
            n => write(&format!(" ({n} such lines left out before)")),
        }
    }

    /// `Some(lines left out in the last period)` if one more line may be written.
    fn ask(&self) -> Option<u64> {
        let mut period = self.period.lock().expect("nothing panics while holding it");
        let over = period.take_if(|period| period.began.elapsed() > Self::PERIOD);
        let current = period.get_or_insert_with(|| Period { began: Instant::now(), asked: 0 });
        current.asked += 1;
        let left_out = over.map_or(0, |over| over.asked.saturating_sub(Self::LINES));
        (current.asked <= Self::LINES).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newline_from_a_peer_does_not_begin_a_line() {
        assert_eq!(escaped(b"Ada\r\n12:00 [INFO] forged"), r"Ada\r\n12:00 [INFO] forged");
        assert!(escaped(&[b'x'; 5000]).len() < 300);
    }

    #[test]
    fn a_flood_of_one_kind_is_a_few_lines() {
        let (kind, mut written) = (Limited::default(), 0);
        for _ in 0..1000 {
            kind.line(|_| written += 1);
        }
        assert_eq!(written, Limited::LINES);
    }
}
