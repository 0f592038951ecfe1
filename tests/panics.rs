//! A panic is a line of the log like any other: whoever panics does not wait for standard error. It ends
//! the program only if nobody could be heard without that thread.

use std::process::Command;
use std::{env, fs, panic, thread};

use clap::Parser;
use wsroom::ending;
use wsroom::logging;
use wsroom::options::Options;

#[test]
fn a_panic_is_one_line_of_the_log_with_the_name_of_its_thread() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    logging::start(&Options::parse_from(["wsroom", "--log-file", file.to_str().unwrap()])).unwrap();
    let thread = thread::Builder::new().name("client-7".to_owned());
    let panicked = thread.spawn(|| panic!("two\nlines \u{1b}[31m")).unwrap().join();
    // From here on a failure is told as usual.
    let _ = panic::take_hook();
    logging::flush();
    let log = fs::read_to_string(&file).unwrap();
    assert!(panicked.is_err() && log.lines().count() == 1, "{log}");
    for part in ["[ERROR] (client-7) ", "panicked at ", "panics.rs", "two lines \\x1b[31m"] {
        assert!(log.contains(part), "{log}");
    }
}

/// Names the thread that panics, in the process of its own that each case needs.
const WHO: &str = "WSROOM_TEST_PANICS";

#[test]
fn a_panic_ends_the_program_if_nobody_could_be_heard_without_that_thread() {
    let own = env::current_exe().unwrap();
    for (thread, status) in [
        ("broadcaster", 101),
        ("accept", 101),
        ("redis-append-0", 101),
        ("client-7", 0),
        ("writer-7", 0),
        ("page-0", 0),
    ] {
        let mut program = Command::new(&own);
        program.args(["--exact", "--ignored", "a_thread_panics", "--nocapture"]).env(WHO, thread);
        let output = program.output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{thread}: {log}");
        assert!(log.contains(&format!("[ERROR] ({thread}) ")), "the reason is told: {log}");
    }
}

#[test]
#[ignore = "a part of the test above"]
fn a_thread_panics() {
    logging::start(&Options::parse_from(["wsroom"])).unwrap();
    ending::when_a_needed_thread_panics();
    let name = env::var(WHO).expect("the other test has set it");
    let thread = thread::Builder::new().name(name).spawn(|| panic!("on purpose")).unwrap();
    assert!(thread.join().is_err());
    logging::flush();
}
