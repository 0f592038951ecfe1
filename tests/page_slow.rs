//! A tab may be as slow as a bad network, so that a class sees what happens then: what waits, when the
//! server lets go, and what comes back.

mod support;

use serde_json::json;
use support::{Browser, Program, follow_each_other};

#[test]
fn a_slow_student_falls_behind_and_comes_back() {
    let (program, browser) = (Program::start_plainly(&["-v"]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    ada.opens_the_wire();
    ada.unfolds("#slow");
    ada.picks("#slow", "1000");
    program.logs("is behind");
    ada.is_connected_to("physics");
    let mut script = program.joins("physics");
    let mut said = 0;
    let mut says = |count: usize, size: usize| {
        for number in said..said + count {
            let text = format!("{number} {}", "x".repeat(size));
            script.says(&text);
            script.hears(&text);
        }
        said += count;
    };
    says(30, 800);
    // What the server tells, not what it keeps: it is less with every second.
    ada.shows("what waits", "document.querySelector('#queue').value > 10000 && document.querySelector('#queue').max === 65536 && document.querySelector('#queue-words').textContent.includes('waiting')");
    ada.asks("most = document.querySelector('#queue').value; 0");
    ada.shows("less", "document.querySelector('#queue').value < most");
    assert!(!program.has_logged("too much waited"));
    let asked = ada.asks("performance.getEntriesByType('resource').map((it) => it.name).filter((it) => it.includes('/rooms/'))");
    assert_eq!(asked, json!([]), "nothing is fetched for it");
    says(60, 2_000);
    program.logs("too much waited");
    ada.reads("#slow-story", "Closed with 1006");
    // At full speed again, nothing is missing.
    ada.picks("#slow", "");
    ada.shows("all of it", "document.querySelectorAll('#log .message').length === 90");
    let numbers = ada
        .asks("[...document.querySelectorAll('#log .body')].map((it) => parseInt(it.textContent))");
    assert_eq!(numbers, json!((0..90).collect::<Vec<_>>()));
    // The story of it, each line with its time.
    ada.reads("#slow-story", "nothing is missing.");
    let story =
        ada.asks("[...document.querySelectorAll('#slow-story li')].map((it) => it.textContent)");
    let story: Vec<String> = serde_json::from_value(story).unwrap();
    follow_each_other(
        &story,
        &[
            "This tab asks for 1000 bytes a second",
            "wait on the server for this tab",
            "No Close frame came",
            "This tab reads as fast as it can again.",
            "Connected again: it asks for all since the last message it had",
            "afterwards; nothing is missing.",
        ],
    );
    let has_time =
        |line: &String| line.as_bytes()[..8].iter().all(|it| it.is_ascii_digit() || *it == b':');
    assert!(story.iter().all(has_time), "{story:#?}");
}
