//! The program as its user starts it: its own process, its output, its signals, its exit status.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};

use super::{Client, Visitor, until};

/// A running process; killed when dropped.
pub struct Program {
    pub process: Child,
    address: SocketAddr,
    /// What it printed on standard output.
    pub greeting: String,
}

impl Program {
    /// Starts it on a free port of 127.0.0.1 with more options.
    pub fn start(options: &[&str]) -> Self {
        let mut command = Self::command();
        command.args(["--listen", "127.0.0.1:0"]).args(options);
        Self::spawn(command)
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
    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program starts");
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C") {
            let count = out.read_line(&mut greeting).expect("its output is text");
            if count == 0 {
                let mut errors = String::new();
                process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
                panic!("the program ended: {errors}");
            }
        }
        let first = greeting.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = first.and_then(|text| text.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {greeting}"));
        Self { process, address, greeting }
    }

    /// Runs a command to its end.
    pub fn runs_to_the_end(mut command: Command) -> Output {
        command.stdin(Stdio::null()).output().expect("the program starts")
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn joins(&self, room: &str) -> Client {
        Client::connect(self.address, &format!("/ws/{room}"))
    }

    pub fn is_visited(&self) -> Visitor {
        Visitor::connect(self.address)
    }

    /// Sends a signal, by name: `INT`, `TERM`.
    pub fn gets_signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for its end: the exit status (`None` if a signal killed it), and what it logged.
    pub fn ends(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        let mut errors = self.process.stderr.take().unwrap();
        until("the program's end", || self.process.try_wait().unwrap().is_some());
        errors.read_to_string(&mut log).unwrap();
        (self.process.wait().unwrap().code(), log)
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
