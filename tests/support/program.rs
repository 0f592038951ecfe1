//! The program as its user starts it: its own process, its output, its signals, its exit status.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use super::{Client, PATIENCE, Papers, Visitor, Way, until};

/// A running process; killed when dropped.
pub struct Program {
    pub process: Child,
    address: SocketAddr,
    /// What it printed on standard output.
    pub greeting: String,
    log: Log,
    way: Way,
    papers: Papers,
}

impl Program {
    /// Starts it on a free port of 127.0.0.1 with more options.
    pub fn start(options: &[&str]) -> Self {
        Self::start_over(Way::of_this_run(), options)
    }

    /// Starts it likewise with these options alone, whatever way this run goes.
    pub fn start_plainly(options: &[&str]) -> Self {
        Self::start_over(Way::Plain, options)
    }

    /// Starts it likewise, whatever way this run goes.
    pub fn start_over(way: Way, options: &[&str]) -> Self {
        let mut command = Self::command();
        command.args(["--listen", "127.0.0.1:0"]).args(options);
        Self::spawn_over(way, command)
    }

    /// The program's command, with none of the environment's own settings.
    pub fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wsroom"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WSROOM_")) {
            command.env_remove(name);
        }
        command
    }

    /// Starts any command that runs the program, and waits for its greeting.
    pub fn spawn(command: Command) -> Self {
        Self::spawn_over(Way::of_this_run(), command)
    }

    /// Starts it likewise on a plain port, whatever way this run goes.
    pub fn spawn_plainly(command: Command) -> Self {
        Self::spawn_over(Way::Plain, command)
    }

    /// Starts it likewise, with a standard error that is the test's own.
    pub fn spawn_with_errors(command: Command, errors: Stdio) -> Self {
        Self::spawn_between(Way::of_this_run(), command, Stdio::null(), errors)
    }

    /// Starts it likewise, with a standard input that is the test's own.
    pub fn spawn_with_input(command: Command, input: Stdio) -> Self {
        Self::spawn_between(Way::of_this_run(), command, input, Stdio::piped())
    }

    fn spawn_over(way: Way, command: Command) -> Self {
        Self::spawn_between(way, command, Stdio::null(), Stdio::piped())
    }

    fn spawn_between(way: Way, mut command: Command, input: Stdio, errors: Stdio) -> Self {
        let papers = way.papers();
        command.args(papers.options());
        command.stdin(input).stdout(Stdio::piped()).stderr(errors);
        let mut process = command.spawn().expect("the program starts");
        // Else the test would hold the program's end of its own pipe.
        drop(command);
        let mut log = match process.stderr.take() {
            Some(errors) => Log::of(errors),
            None => Log::of(std::io::empty()),
        };
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C") {
            let count = out.read_line(&mut greeting).expect("its output is text");
            assert!(count > 0, "the program ended: {}", log.reads_to_the_end());
        }
        let first = greeting.split("://").nth(1).and_then(|rest| rest.split('/').next());
        let address = first.and_then(|text| text.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {greeting}"));
        Self { process, address, greeting, log, way, papers }
    }

    /// Starts it with this data file, which a test can keep from growing, as on a full disk: by
    /// [`Program::has_limit`] and `--fsize=1:`.
    pub fn with_a_disk_that_fills(file: &str) -> Self {
        let mut command = Command::new("sh");
        // A process that goes beyond its limit is sent SIGXFSZ unless that is ignored; then it gets an
        // error, as from a full disk.
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(env!("CARGO_BIN_EXE_wsroom"));
        command.args(["--listen", "127.0.0.1:0", "-q", "--data", file]);
        Self::spawn_plainly(command)
    }

    /// Starts it at this address, such as where another one was.
    pub fn start_at(address: &str) -> Self {
        let mut command = Self::command();
        command.args(["--listen", address]);
        Self::spawn(command)
    }

    /// An address of this host that nobody listens on.
    pub fn free_address() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap()
    }

    /// Runs a command to its end.
    pub fn runs_to_the_end(mut command: Command) -> Output {
        command.stdin(Stdio::null()).output().expect("the program starts")
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The way to it.
    pub fn way(&self) -> Way {
        self.way
    }

    /// What other people's programs call it: `http` or `ws`, with an `s` over TLS.
    pub fn url(&self, scheme: &str) -> String {
        match self.way {
            Way::Plain => format!("{scheme}://{}", self.address),
            Way::Tls => format!("{scheme}s://{}", self.address),
        }
    }

    /// Makes curl, or a program that uses OpenSSL, trust its certificate, if it has one.
    pub fn is_trusted_by(&self, command: &mut Command) {
        if let Some(chain) = self.papers.chain() {
            command.env("CURL_CA_BUNDLE", &chain).env("SSL_CERT_FILE", &chain);
        }
    }

    /// The file with its certificate, if it has one.
    pub fn certificate(&self) -> Option<PathBuf> {
        self.papers.chain()
    }

    pub fn joins(&self, room: &str) -> Client {
        self.connects(&format!("/ws/{room}"))
    }

    /// A client at any path, with its query.
    pub fn connects(&self, path: &str) -> Client {
        Client::over(self.way.connects(self.address), path)
    }

    pub fn is_visited(&self) -> Visitor {
        Visitor::over(self.way.connects(self.address))
    }

    /// Sends a signal, by name: `INT`, `TERM`.
    pub fn gets_signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits until a line of its log holds this text, and answers with that line.
    pub fn logs(&self, text: &str) -> String {
        self.log.waits_for(text)
    }

    /// Whether a line of its log holds this text by now.
    pub fn has_logged(&self, text: &str) -> bool {
        self.log.line_with(text).is_some()
    }

    /// Waits for its end: the exit status (`None` if a signal killed it), and all that it logged.
    pub fn ends(mut self) -> (Option<i32>, String) {
        until("the program's end", || self.process.try_wait().unwrap().is_some());
        (self.process.wait().unwrap().code(), self.log.reads_to_the_end())
    }

    /// Takes a limit of prlimit's, such as `--nofile=64:`, while it runs.
    pub fn has_limit(&self, limit: &str) {
        let id = self.process.id().to_string();
        let set = Command::new("prlimit").args(["--pid", &id, limit]).status();
        assert!(set.expect("prlimit runs").success());
    }

    /// A number from /proc/PID/status, such as `Threads` or `VmRSS`.
    pub fn status(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let text = std::fs::read_to_string(path).expect("Linux");
        let line = text.lines().find(|line| line.starts_with(name)).expect("the line is there");
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many descriptors it holds.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("Linux").count()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What it says on standard error, taken off its hands by a thread: a full pipe would block it.
pub(super) struct Log {
    said: Arc<(Mutex<String>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Log {
    pub(super) fn of(errors: impl Read + Send + 'static) -> Self {
        let said = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let told = Arc::clone(&said);
        let reader = thread::spawn(move || {
            let (text, more) = &*told;
            for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
                let mut text = text.lock().unwrap();
                text.push_str(&String::from_utf8_lossy(&line));
                text.push('\n');
                more.notify_all();
            }
        });
        Self { said, reader: Some(reader) }
    }

    /// What it has said by now.
    pub(super) fn so_far(&self) -> String {
        self.said.0.lock().unwrap().clone()
    }

    fn line_with(&self, wanted: &str) -> Option<String> {
        line_with(&self.said.0.lock().unwrap(), wanted)
    }

    pub(super) fn waits_for(&self, wanted: &str) -> String {
        let (text, more) = &*self.said;
        let missing = |text: &mut String| line_with(text, wanted).is_none();
        let (text, _) = more.wait_timeout_while(text.lock().unwrap(), PATIENCE, missing).unwrap();
        line_with(&text, wanted).unwrap_or_else(|| panic!("{wanted:?} is not in the log: {text}"))
    }

    /// All of it, once the program has ended.
    pub(super) fn reads_to_the_end(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.said.0.lock().unwrap().clone()
    }
}

fn line_with(text: &str, wanted: &str) -> Option<String> {
    text.lines().find(|line| line.contains(wanted)).map(str::to_owned)
}
