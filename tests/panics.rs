//! A panic is a line of the log like any other: whoever panics does not wait for standard error.

use std::{fs, panic, thread};

use clap::Parser;
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
