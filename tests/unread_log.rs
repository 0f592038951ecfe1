//! Nobody waits for the log: not for a pipe that nobody reads, and not for a full disk.

mod support;

use std::io::{PipeReader, Read, Write};
use std::thread;

use support::{Program, Visitor, until};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A program whose standard error is a pipe that is full from the start and stays full.
fn start_unread(options: &[&str]) -> (Program, PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    // It ends when the reader does.
    thread::spawn(move || while filler.write_all(&[b'.'; 4096]).is_ok() {});
    let mut command = Program::command();
    command.args(["--listen", "127.0.0.1:0"]).args(options);
    (Program::spawn_with_errors(command, writer.into()), reader)
}

fn talks(program: &Program, text: &str) {
    let mut ada = program.joins("lab");
    ada.says(text);
    ada.hears(text);
    ada.leaves();
}

fn is_well(program: &Program) {
    let answer = program.is_visited().asks(HEALTH);
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// 65,536 bytes of lines fit into a pipe, and some more into the program: this is beyond both.
#[test]
fn over_a_thousand_join_and_leave_while_nobody_reads_the_log() {
    let (program, pipe) = start_unread(&["-vv"]);
    let mut bob = program.joins("lab");
    for number in 0..1100 {
        talks(&program, &number.to_string());
        bob.hears(&number.to_string());
        if number % 100 == 0 {
            is_well(&program);
        }
    }
    program.gets_signal("TERM");
    bob.is_told(1001);
    assert_eq!(program.ends().0, Some(0));
    drop(pipe);
}

#[test]
fn when_the_log_is_read_again_it_says_how_many_lines_were_lost() {
    let (program, mut pipe) = start_unread(&["-vv"]);
    let mut ada = program.joins("lab");
    for number in 0..1500 {
        ada.says(&number.to_string());
        ada.hears(&number.to_string());
    }
    let reader = thread::spawn(move || {
        let (mut log, mut piece) = (Vec::new(), [0; 4096]);
        while !has(&log, "lines of the log were lost") {
            let count = pipe.read(&mut piece).unwrap();
            assert!(count > 0, "the pipe ended");
            log.extend(piece[..count].iter().filter(|&&byte| byte != b'.'));
        }
    });
    until("the reader", || reader.is_finished());
    reader.join().unwrap();
    is_well(&program);
}

fn has(log: &[u8], text: &str) -> bool {
    let tail = &log[log.len().saturating_sub(8192)..];
    String::from_utf8_lossy(tail).contains(text)
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /dev/full")]
fn a_log_on_a_full_disk_harms_nobody() {
    let program = Program::start(&["-vv", "--log-file", "/dev/full"]);
    for number in 0..100 {
        talks(&program, &number.to_string());
    }
    is_well(&program);
    program.gets_signal("TERM");
    assert_eq!(program.ends().0, Some(0));
}

#[test]
fn the_last_lines_are_in_the_log_when_the_program_has_ended() {
    let program = Program::start(&[]);
    let visitors: Vec<Visitor> = (0..10).map(|_| program.is_visited()).collect();
    program.gets_signal("TERM");
    drop(visitors);
    let (status, log) = program.ends();
    assert_eq!(status, Some(0));
    let stopping = log.lines().rfind(|line| line.contains("stopping"));
    assert!(stopping.is_some_and(|line| line.contains("[INFO]")), "{log}");
}
