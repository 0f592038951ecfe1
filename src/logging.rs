//! The log: what a line looks like, its queue and its thread, the limit on lines of one kind, and how a
//! peer's bytes are escaped.
//!
//! A thread that logs never waits: its line goes into a bounded queue, and the thread `log` writes
//! it. A pipe that nobody reads, or a stopped terminal, blocks that thread alone. Lines that do not
//! fit into the queue are dropped and counted. Only this program's own lines are logged, because
//! tungstenite's trace lines would show the messages of users. Not here: which events are logged.
//! Set up once by the main thread; used by every thread.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{Level, LevelFilter, Metadata, Record};
use serde::Serialize;
use simplelog::{Config, ConfigBuilder, ThreadLogMode, WriteLogger};

use crate::options::{LogFormat, Options};

/// What the targets of this program's own lines begin with.
const OWN_LINES: &str = "wsroom";

/// The most lines that wait to be written.
const QUEUE_LINES: usize = 1024;

/// The most bytes of the lines that wait to be written.
const QUEUE_BYTES: usize = 256 << 10;

/// The most warnings that are remembered, and the most bytes of each.
const MAX_WARNINGS: usize = 50;
const MAX_WARNING_BYTES: usize = 500;

/// The last warnings and errors. The program has one log, and so one of these.
static WARNINGS: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// The longest time that [`flush`] waits. A log that is still blocked then stays blocked.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The way to the thread `log` of this process.
static ITEMS: OnceLock<Sender<Item>> = OnceLock::new();

/// Starts logging to standard error or to `--log-file`. From then on panics are logged too: by
/// default the thread that panics writes to standard error, and it would wait for that.
///
/// # Errors
/// A sentence for the person at the terminal: the file cannot be opened, or the thread does not
/// start.
pub fn start(options: &Options) -> Result<(), String> {
    let out = Destination::open(options.log_file.as_deref())?;
    let queue = Queue::open(out, options.log_format);
    let queue = queue.map_err(|error| format!("no thread for the log: {error}"))?;
    let (most, items) = (level(options), queue.items.clone());
    let logger: Box<dyn log::Log> = match options.log_format {
        LogFormat::Plain => WriteLogger::new(most, config(), queue),
        LogFormat::Json => Box::new(JsonLogger { most, queue }),
    };
    // The only error is a second logger, and this is the first.
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(most);
        let _ = ITEMS.set(items);
    }
    panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().replace('\n', " ");
        log::error!("{}", escaped(text.as_bytes()));
    }));
    Ok(())
}

/// The last warnings and errors, the newest last. They are lines as in the log, with the bytes of peers
/// escaped.
pub fn warnings() -> Vec<String> {
    WARNINGS.lock().expect("nothing panics while holding it").iter().cloned().collect()
}

/// Waits until all lines that were logged so far are written, at most [`FLUSH_TIMEOUT`].
pub fn flush() {
    log::logger().flush();
}

/// Opens `--log-file` again, behind all lines that were logged so far: what had this name may have been
/// renamed, as logrotate does. Without that option it has no effect.
pub fn reopen() {
    if let Some(items) = ITEMS.get() {
        // If the queue stays full, the log is blocked, and a new file would not help it.
        let _ = items.send_timeout(Item::Reopen, FLUSH_TIMEOUT);
    }
}

/// The logger of `--log-format json`; simplelog's is the other one.
struct JsonLogger {
    most: LevelFilter,
    queue: Queue,
}

impl log::Log for JsonLogger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= self.most && metadata.target().starts_with(OWN_LINES)
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            let thread = thread::current();
            let thread = thread.name().unwrap_or("unnamed");
            let text = record.args().to_string();
            let line = line(LogFormat::Json, record.level(), thread, &text);
            if record.level() <= Level::Warn {
                remember(&line);
            }
            self.queue.add(line);
        }
    }

    fn flush(&self) {
        self.queue.wait_until_written();
    }
}

/// One line of `--log-format json`.
#[derive(Serialize)]
struct Json<'a> {
    time: &'a str,
    level: &'a str,
    thread: &'a str,
    text: &'a str,
}

/// One line, with its end. The plain one is for the thread `log` alone, in the form of simplelog's.
fn line(format: LogFormat, level: Level, thread: &str, text: &str) -> Vec<u8> {
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let level = level.as_str();
    let mut line = match format {
        LogFormat::Plain => format!("{time} [{level}] ({thread}) {text}").into_bytes(),
        LogFormat::Json => serde_json::to_vec(&Json { time: &time, level, thread, text })
            .expect("a struct of texts has a JSON form"),
    };
    line.push(b'\n');
    line
}

/// Where the lines go.
enum Destination {
    StandardError,
    /// `--log-file`: its name, and what had this name when it was opened.
    File(PathBuf, File),
}

impl Destination {
    fn open(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else { return Ok(Self::StandardError) };
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|error| {
            format!("--log-file {}: {error}; name a file that can be written", path.display())
        })?;
        Ok(Self::File(path.to_owned(), file))
    }

    /// Opens the file anew. If that fails, the log goes on in the old one.
    fn reopen(&mut self) -> Result<(), String> {
        if let Self::File(path, _) = self {
            *self = Self::open(Some(path))?;
        }
        Ok(())
    }

    /// A failed write is ignored: there is nowhere to report it, and the next line may be written again.
    fn write(&mut self, line: &[u8]) {
        let _ = match self {
            Self::StandardError => io::stderr().write_all(line),
            Self::File(_, file) => file.write_all(line),
        };
    }
}

/// The queue to the thread `log`: it takes lines, and never waits.
struct Queue {
    /// The beginning of a line whose end has not come yet: simplelog writes in pieces.
    line: Vec<u8>,
    items: Sender<Item>,
    counts: Arc<Counts>,
}

/// One item in the queue of the thread `log`.
enum Item {
    Line(Vec<u8>),
    /// A sender that the thread drops once all items before it are written.
    Flush(Sender<()>),
    /// See [`reopen`].
    Reopen,
}

#[derive(Default)]
struct Counts {
    /// Bytes of lines that wait.
    waiting: AtomicUsize,
    /// Lines that were dropped and are not yet mentioned in the log.
    lost: AtomicU64,
}

impl Queue {
    /// Starts the thread that writes to `out`.
    fn open(out: Destination, format: LogFormat) -> io::Result<Self> {
        let (items, waiting) = bounded(QUEUE_LINES);
        let counts = Arc::new(Counts::default());
        let mut writer = LogWriter { format, out, counts: Arc::clone(&counts) };
        let thread = thread::Builder::new().name("log".to_owned());
        thread.spawn(move || writer.run(&waiting))?;
        Ok(Self { line: Vec::new(), items, counts })
    }

    fn add(&self, line: Vec<u8>) {
        let size = line.len();
        let waiting = self.counts.waiting.fetch_add(size, Ordering::Relaxed) + size;
        if waiting > QUEUE_BYTES || self.items.try_send(Item::Line(line)).is_err() {
            self.counts.waiting.fetch_sub(size, Ordering::Relaxed);
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wait_until_written(&self) {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        let (done, written) = bounded(0);
        if self.items.send_deadline(Item::Flush(done), deadline).is_ok() {
            // Nothing is ever sent here: the thread drops its sender, or the deadline passes.
            let _ = written.recv_deadline(deadline);
        }
    }
}

impl Write for Queue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                if is_trouble(&line) {
                    remember(&line);
                }
                self.add(line);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wait_until_written();
        Ok(())
    }
}

/// Whether a plain line is a warning or an error. The level stands behind the time, where no text of a
/// peer can stand.
fn is_trouble(line: &[u8]) -> bool {
    let level = line.split(|&byte| byte == b' ').nth(1);
    matches!(level, Some(b"[WARN]" | b"[ERROR]"))
}

/// Keeps a line for the owner.
fn remember(line: &[u8]) {
    let shown = &line[..line.len().min(MAX_WARNING_BYTES)];
    let text = String::from_utf8_lossy(shown).trim_end().to_owned();
    let mut warnings = WARNINGS.lock().expect("nothing panics while holding it");
    if warnings.len() >= MAX_WARNINGS {
        warnings.pop_front();
    }
    warnings.push_back(text);
}

/// The thread `log`. It never logs itself, because its line would come back to it.
struct LogWriter {
    format: LogFormat,
    out: Destination,
    counts: Arc<Counts>,
}

impl LogWriter {
    fn run(&mut self, items: &Receiver<Item>) {
        for item in items {
            match item {
                Item::Line(line) => {
                    self.out.write(&line);
                    self.counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
                    if items.is_empty() {
                        self.tell_lost();
                    }
                }
                Item::Flush(done) => {
                    self.tell_lost();
                    drop(done);
                }
                Item::Reopen => {
                    if let Err(sentence) = self.out.reopen() {
                        self.write(Level::Error, &sentence);
                    }
                }
            }
        }
    }

    /// Writes how many lines were lost.
    fn tell_lost(&mut self) {
        let lost = self.counts.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            self.write(Level::Warn, &format!("{lost} lines of the log were lost before this"));
        }
    }

    /// Writes a line of its own, which looks like the others.
    fn write(&mut self, level: Level, text: &str) {
        self.out.write(&line(self.format, level, "log", text));
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

/// simplelog's own settings, for plain lines.
fn config() -> Config {
    ConfigBuilder::new()
        .set_time_format_rfc3339()
        // Each line names the thread that logged it: `client`, `broadcaster`.
        .set_thread_level(LevelFilter::Error)
        .set_thread_mode(ThreadLogMode::Names)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .add_filter_allow_str(OWN_LINES)
        .build()
}

/// A peer's bytes, escaped for a log line: a newline in them cannot forge a line, and a long text
/// cannot fill the disk.
pub fn escaped(bytes: &[u8]) -> String {
    const MAX_BYTES: usize = 200;
    let shown = &bytes[..bytes.len().min(MAX_BYTES)];
    let more = if bytes.len() > MAX_BYTES { "…" } else { "" };
    format!("{}{more}", shown.escape_ascii())
}

/// Lets a few lines of one kind through in each period and counts the others. So a flood of bad
/// requests costs a few lines, and does not fill the disk.
#[derive(Default)]
pub struct Limited {
    period: Mutex<Option<Period>>,
}

struct Period {
    began: Instant,
    /// Calls of [`Limited::line`] since then.
    asked: u64,
}

impl Limited {
    const PERIOD: Duration = Duration::from_secs(10);
    const LINES: u64 = 20;

    /// Calls `write` if this line may be written. Its argument is empty, or a note of how many
    /// lines were left out before.
    pub fn line(&self, write: impl FnOnce(&str)) {
        let Some(left_out) = self.ask() else { return };
        match left_out {
            0 => write(""),
            n => write(&format!(" ({n} such lines left out before)")),
        }
    }

    /// `Some(n)` if one more line may be written; `n` lines were left out in the last period.
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
    fn a_line_of_json_is_one_line_whatever_is_in_it() {
        let text = "a \"quote\", a \\, a\nnewline, \u{1b}[31m and ünïcode";
        let line = String::from_utf8(line(LogFormat::Json, Level::Warn, "client-7", text)).unwrap();
        assert_eq!(line.find(|c: char| c.is_control()), Some(line.len() - 1), "{line}");
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((told["level"].as_str(), told["text"].as_str()), (Some("WARN"), Some(text)));
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
