//! Python with the package `websockets`, which `tests/run` gets, and the client that is written in
//! it: `tests/client.py`, in a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::{PATIENCE, until};

/// A Python that has `websockets`: the one that `tests/run` sets up, or else the system's. It knows
/// of no proxy.
pub fn python() -> Command {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("outside").join("bin/python");
    let python = if own.exists() { own } else { "python3".into() };
    let imported = Command::new(&python).args(["-c", "import websockets"]).output();
    assert!(
        imported.is_ok_and(|output| output.status.success()),
        "{} has no websockets: tests/run gets it",
        python.display()
    );
    let mut command = Command::new(python);
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command
}

/// A running `tests/client.py`; killed when dropped.
pub struct PythonClient {
    process: Child,
    input: Option<ChildStdin>,
    heard: Receiver<String>,
}

impl PythonClient {
    /// Joins room `a` with this session. After a break it pauses for some milliseconds.
    pub fn joins(server: SocketAddr, session: &str) -> Self {
        let mut process = python()
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client.py"))
            .args([&format!("ws://{server}/ws/a"), "0.005", session])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python starts");
        let (told, heard) = mpsc::channel();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).all(|line| told.send(line).is_ok()));
        Self { input: process.stdin.take(), process, heard }
    }

    pub fn says(&mut self, text: &str) {
        let input = self.input.as_mut().expect("it may say more");
        input.write_all(format!("{text}\n").as_bytes()).expect("it reads");
    }

    /// The next message is this text; answers with its author's name.
    pub fn hears(&mut self, text: &str) -> String {
        let line = self.heard.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|_| panic!("waited in vain for {text:?}"));
        let (_id, rest) = line.split_once(' ').expect("an id");
        let name = rest.strip_suffix(text).map(str::trim_end).filter(|name| !name.is_empty());
        name.unwrap_or_else(|| panic!("{line:?} instead of {text:?}")).to_owned()
    }

    /// Has no more to say, and leaves when all is answered. Answers with what it has complained of.
    pub fn leaves(mut self) -> String {
        drop(self.input.take());
        self.ends_with(0)
    }

    /// Ends with this exit status, by itself. Answers with what it has complained of.
    pub fn ends_with(&mut self, status: i32) -> String {
        until("the client's end", || self.process.try_wait().unwrap().is_some());
        let mut complaints = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(status), "{complaints}");
        complaints
    }
}

impl Drop for PythonClient {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
