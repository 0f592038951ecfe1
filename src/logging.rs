//! Where log lines go, how many of one kind there may be, and how a peer's bytes look in one.
//!
//! Whoever logs never waits: a line goes into a bounded queue, and the thread `log` writes it. A
//! pipe that nobody reads, or a terminal that is held, stops that thread alone; lines that do not
//! fit are dropped and counted. Not here: what is logged. Only lines of this program pass:
//! tungstenite's own trace lines would show what people say to each other.
//! Set up once by the main thread; used by every thread.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::panic;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};
use log::LevelFilter;
use simplelog::{Config, ConfigBuilder, ThreadLogMode, WriteLogger};

use crate::options::Options;

/// Lines that may wait to be written, and their bytes.
const LINES: usize = 1024;
const BYTES: usize = 256 << 10;

/// How long [`flush`] waits. A log that takes nothing for so long takes nothing at all.
const FLUSH: Duration = Duration::from_secs(1);

/// Starts logging to standard error or to `--log-file`. From then on panics are logged too: by
/// default they are written to standard error by whoever panics, who would wait for it.
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
    let queue = Queue::open(out).map_err(|error| format!("no thread for the log: {error}"))?;
    // The only error is a second logger, and this is the first.
    let _ = WriteLogger::init(level(options), config(), queue);
    panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().replace('\n', " ");
        log::error!("{}", escaped(text.as_bytes()));
    }));
    Ok(())
}

/// Waits until all that was logged so far is written, but not for a log that takes nothing.
pub fn flush() {
    log::logger().flush();
}

/// The way to the thread `log`: takes the bytes of lines, and never waits.
struct Queue {
    /// The beginning of a line.
    line: Vec<u8>,
    items: Sender<Item>,
    counts: Arc<Counts>,
}

/// What the thread `log` is given.
enum Item {
    Line(Vec<u8>),
    /// Dropped when everything before it is written.
    Flush(Sender<()>),
}

#[derive(Default)]
struct Counts {
    /// Bytes of lines that wait.
    waiting: AtomicUsize,
    /// Lines that were dropped, and not yet told of.
    lost: AtomicU64,
}

impl Queue {
    /// Starts the thread that writes to `out`.
    fn open(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let (items, waiting) = bounded(LINES);
        let counts = Arc::new(Counts::default());
        let own = Arc::clone(&counts);
        let thread = thread::Builder::new().name("log".to_owned());
        thread.spawn(move || write_all(&waiting, &own, &mut out))?;
        Ok(Self { line: Vec::new(), items, counts })
    }

    fn add(&self, line: Vec<u8>) {
        let size = line.len();
        let waiting = self.counts.waiting.fetch_add(size, Ordering::Relaxed) + size;
        if waiting > BYTES || self.items.try_send(Item::Line(line)).is_err() {
            self.counts.waiting.fetch_sub(size, Ordering::Relaxed);
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Write for Queue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.add(line);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + FLUSH;
        let (done, written) = bounded(0);
        if self.items.send_deadline(Item::Flush(done), deadline).is_ok() {
            // Nothing ever comes: it is dropped at the other end, or the time is over.
            let _ = written.recv_deadline(deadline);
        }
        Ok(())
    }
}

/// The thread `log`. It never logs, for it would wait for itself. A failure to write cannot be
/// told to anyone: the next line may go through again.
fn write_all(items: &Receiver<Item>, counts: &Counts, out: &mut impl Write) {
    let lost = || counts.lost.swap(0, Ordering::Relaxed);
    for item in items {
        match item {
            Item::Line(line) => {
                let _ = out.write_all(&line);
                counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
                if items.is_empty() {
                    tell_lost(lost(), out);
                }
            }
            Item::Flush(done) => {
                tell_lost(lost(), out);
                drop(done);
            }
        }
    }
}

/// Told when there is room again, as a line like the others.
fn tell_lost(lost: u64, out: &mut impl Write) {
    if lost > 0 {
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        let _ = writeln!(out, "{now} [WARN] (log) {lost} lines of the log were lost before this");
    }
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
