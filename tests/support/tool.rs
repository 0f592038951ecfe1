//! A command as its user starts it in a shell: what it is told, what it prints, and how it ends.
//!
//! Not here: the server (`program`).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::program::Log;
use super::{PATIENCE, Program, until};

/// A running command; killed when dropped.
pub struct Tool {
    process: Child,
    /// Its standard input, until it has all.
    pub input: Option<ChildStdin>,
    out: Option<Receiver<String>>,
    errors: Log,
}

impl Tool {
    /// Starts it.
    pub fn starts(arguments: &[&str]) -> Self {
        let mut command = Program::command();
        command.args(arguments);
        Self::runs(command)
    }

    /// Starts any command.
    pub fn runs(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program starts");
        let (lines, out) = mpsc::channel();
        let printed = BufReader::new(process.stdout.take().unwrap());
        // Taken off its hands by a thread: a full pipe would block it.
        thread::spawn(move || {
            for line in printed.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let errors = Log::of(process.stderr.take().unwrap());
        Self { input: process.stdin.take(), process, out: Some(out), errors }
    }

    /// `wsroom WORD URL …` in a room of this server.
    pub fn in_room(word: &str, program: &Program, room: &str, options: &[&str]) -> Self {
        Self::runs(Self::command_in_room(word, program, room, options))
    }

    /// That command.
    pub fn command_in_room(word: &str, program: &Program, room: &str, options: &[&str]) -> Command {
        let mut command = Program::command();
        command.args([word, &format!("{}/ws/{room}", program.url("ws"))]).args(options);
        if let Some(chain) = program.certificate() {
            command.arg("--tls-ca").arg(chain);
        }
        command
    }

    /// It reads this line.
    pub fn says(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it has not all yet");
        writeln!(input, "{line}").expect("it reads");
    }

    /// There is nothing more to read for it.
    pub fn has_all(&mut self) {
        self.input = None;
    }

    /// Nobody reads what it prints.
    pub fn is_not_read(&mut self) {
        self.out = None;
    }

    /// The next line that it prints.
    pub fn next(&mut self) -> String {
        let out = self.out.as_ref().expect("it is read");
        out.recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("it prints nothing; {:?}", self.errors.so_far()))
    }

    /// It prints this line next.
    pub fn prints(&mut self, line: &str) {
        assert_eq!(self.next(), line);
    }

    /// Waits until it has said this to its user, on standard error.
    pub fn complains(&self, text: &str) {
        self.errors.waits_for(text);
    }

    /// Ctrl-C.
    pub fn is_interrupted(&self) {
        let id = self.process.id().to_string();
        assert!(
            Command::new("kill").args(["-s", "INT", &id]).status().expect("kill runs").success()
        );
    }

    /// Whether it has ended by now.
    pub fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    /// Waits for its end: the exit status, the lines that are left, and all that it has said to its
    /// user.
    pub fn ends(mut self) -> (Option<i32>, Vec<String>, String) {
        self.has_all();
        until("the command's end", || self.has_ended());
        let status = self.process.wait().unwrap().code();
        let rest = self.out.take().map_or_else(Vec::new, |out| out.iter().collect());
        (status, rest, self.errors.reads_to_the_end())
    }

    /// It ends well, and has nothing more to say.
    pub fn ends_quietly(self) {
        assert_eq!(self.ends(), (Some(0), Vec::new(), String::new()));
    }

    /// It ends with status 1, and with this among its last words.
    pub fn fails(self, with: &str) {
        let (status, _, errors) = self.ends();
        assert_eq!(status, Some(1), "{errors}");
        assert!(errors.contains(with), "{with:?} is not in: {errors}");
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
