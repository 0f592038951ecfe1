//! `wsroom record` and `wsroom play`: what was said in a room is said again, text and bytes, in its order
//! and in its time.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{Program, Tool, V1};

fn recording(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// `wsroom play FILE URL …`.
fn plays(program: &Program, file: &Path, options: &[&str]) -> Tool {
    let file = file.display().to_string();
    let mut command = Program::command();
    command.args(["play", &file, &format!("{}/ws/b", program.url("ws"))]).args(options);
    if let Some(chain) = program.certificate() {
        command.arg("--tls-ca").arg(chain);
    }
    Tool::runs(command)
}

#[test]
fn a_room_is_recorded_and_played_again() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("class.jsonl");
    let program = Program::start(&["-q"]);
    let (mut ada, _) = V1::over(program.way().connects(program.address()), "/ws/a");
    ada.says("before");
    ada.hears("before");
    let options = [&*file.display().to_string(), "--last", "10"];
    let record = Tool::in_room("record", &program, "a", &options);
    ada.says("with \"quotes\"\nand two lines");
    ada.shows("a.bin", "application/x", b"\x00\n\xff");
    support::until("three lines", || file.exists() && recording(&file).len() == 3);
    record.is_interrupted();
    let (status, _, errors) = record.ends();
    assert_eq!(status, Some(0), "{errors}");
    assert!(errors.contains("3 messages are in"), "{errors}");
    let lines = recording(&file);
    assert!(lines.iter().all(|line| line["at"].is_string() && line["id"].is_i64()), "{lines:?}");
    assert_eq!((&lines[2]["base64"], &lines[2]["name"]), (&json!("AAr/"), &json!("a.bin")));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let (mut bob, _) = V1::over(program.way().connects(program.address()), "/ws/b");
    plays(&program, &file, &["--speed", "max"]).ends_quietly();
    bob.hears("before");
    bob.hears("with \"quotes\"\nand two lines");
    let shown = bob.sees(b"\x00\n\xff");
    assert_eq!((&shown["name"], &shown["media_type"]), (&json!("a.bin"), &json!("application/x")));
    // A recording is not written over.
    Tool::in_room("record", &program, "a", &options).fails("exists");
    assert_eq!(recording(&file), lines);
}

#[test]
fn the_time_between_messages_can_be_shortened() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("class.jsonl");
    let hour: i64 = 3_600_000_000;
    let said = |text: &str, hours| json!({"type": "message", "text": text, "id": hours * hour});
    let act = json!({"type": "act", "act": "end", "id": 2 * hour});
    let lines = [said("one", 1), act, said("two", 2)].map(|line| line.to_string() + "\n");
    fs::write(&file, lines.concat()).unwrap();
    let program = Program::start(&["-q"]);
    let mut ada = program.joins("b");
    let slow = plays(&program, &file, &[]);
    ada.hears("one");
    // The other one comes in an hour.
    ada.says("meanwhile");
    ada.hears("meanwhile");
    slow.is_interrupted();
    assert_eq!(slow.ends().0, Some(0));
    for speed in ["100000", "max"] {
        plays(&program, &file, &["--speed", speed]).ends_quietly();
        ada.hears("one");
        ada.hears("two");
    }
    let mut wrong = Command::new(env!("CARGO_BIN_EXE_wsroom"));
    wrong.args(["play", "any", "ws://127.0.0.1/ws", "--speed", "fast"]);
    Tool::runs(wrong).fails("such as 1, 10 or 0.5");
}

#[test]
fn what_is_no_recording_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let program = Program::start(&["-q"]);
    plays(&program, &place.path().join("missing"), &[]).fails("missing");
    let file = place.path().join("text");
    fs::write(&file, "hello\n{\"type\":\"message\",\"text\":\"said\"}\n").unwrap();
    let mut ada = program.joins("b");
    plays(&program, &file, &[]).fails("line 1 is not said");
    ada.hears("said");
}
