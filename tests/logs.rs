//! The log's file is opened again on SIGHUP, as logrotate needs it, and its lines can be JSON.
#![cfg(unix)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Program, until};
use tempfile::TempDir;

/// A program that logs to a file in a folder of its own.
struct Logged {
    program: Program,
    folder: TempDir,
}

impl Logged {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let file = folder.path().join("logs/log");
        let program = Program::start(&["--log-file", file.to_str().unwrap()]);
        Self { program, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Somebody comes and goes, and this file comes to tell it.
    fn is_visited_as_told_in(&self, room: &str, file: &Path) {
        self.program.joins(room).leaves();
        comes_to_have(file, &format!("left room {room}"));
    }

    fn ends(self) {
        self.program.gets_signal("TERM");
        assert_eq!(self.program.ends().0, Some(0));
    }
}

fn has(file: &Path, text: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|log| log.contains(text))
}

fn comes_to_have(file: &Path, text: &str) {
    until(&format!("{text:?} in {}", file.display()), || has(file, text));
}

#[test]
fn after_logrotate_the_lines_go_to_a_new_file() {
    let logged = Logged::start();
    let (log, rotated) = (logged.file("logs/log"), logged.file("logs/log.1"));
    logged.is_visited_as_told_in("physics", &log);
    fs::rename(&log, &rotated).unwrap();
    // Until the signal comes, nothing is lost: the file has only another name.
    logged.is_visited_as_told_in("chemistry", &rotated);
    logged.program.gets_signal("HUP");
    until("a new file", || log.exists());
    logged.is_visited_as_told_in("biology", &log);
    assert!(!has(&rotated, "biology") && !has(&log, "physics") && !has(&log, "chemistry"));
    logged.ends();
}

#[test]
fn a_file_that_cannot_be_opened_again_leaves_the_log_in_the_old_one() {
    let logged = Logged::start();
    logged.is_visited_as_told_in("physics", &logged.file("logs/log"));
    let moved = logged.file("moved");
    fs::rename(logged.file("logs"), &moved).unwrap();
    logged.program.gets_signal("HUP");
    let old = moved.join("log");
    comes_to_have(&old, "[ERROR] (log) --log-file ");
    logged.is_visited_as_told_in("chemistry", &old);
    logged.ends();
}

#[test]
fn each_line_is_one_object_of_json_whatever_a_client_says() {
    let program = Program::start(&["-vv", "--log-format", "json"]);
    program.joins("physics").leaves();
    let hostile = "GET /\"},{\"level\":\"\\\u{1b}[31m HTTP/1.1\r\nHost: \"\\\r\n\r\n";
    program.is_visited().sends(hostile).reads_to_the_end();
    program.logs("refused");
    program.gets_signal("TERM");
    let (status, log) = program.ends();
    assert_eq!(status, Some(0));
    for line in log.lines() {
        let told: serde_json::Value = serde_json::from_str(line).expect(line);
        let told = told.as_object().expect("an object");
        let keys: Vec<&str> = told.keys().map(String::as_str).collect();
        assert_eq!(keys, ["level", "text", "thread", "time"], "{line}");
        let time = told["time"].as_str().unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{line}");
        let level = told["level"].as_str().unwrap();
        assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level), "{line}");
    }
    let joined = log.lines().find(|line| line.contains("joined room physics"));
    let joined: serde_json::Value = serde_json::from_str(joined.expect("it is told")).unwrap();
    assert_eq!((&joined["level"], &joined["thread"]), (&"INFO".into(), &"door".into()));
}
