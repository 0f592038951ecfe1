//! Experiments: buttons on the page that show what a rule of RFC 6455 looks like on the wire, and what
//! the server answers.

mod support;

use serde_json::json;
use support::{Browser, Program, Tab, follow_each_other};

/// Each play, what the server reads first, and how it ends.
const PLAYS: [(&str, &str, &str); 10] = [
    ("unmasked", "text", "1002"),
    ("reserved bit", "text", "1002"),
    ("unknown opcode", "reserved", "1002"),
    ("invalid utf8", "text", "1007"),
    ("fragmented", "text, more fragments follow", "1000"),
    ("lone continuation", "continuation", "1002"),
    ("fragmented ping", "ping, more fragments follow", "1002"),
    ("long ping", "ping", "1002"),
    ("half close code", "close", "1002"),
    ("too large", "", "1009"),
];

fn presses(tab: &mut Tab, label: &str) {
    let found = tab.asks(&format!(
        "(() => {{
            const it = [...document.querySelectorAll('#plays button')].find((it) => it.textContent.startsWith({:?}));
            it?.click();
            return it !== undefined;
        }})()",
        format!("{label} §")
    ));
    assert_eq!(found, true, "there is no button {label}");
}

#[test]
fn each_play_shows_its_section_its_frames_and_its_end() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_experiments();
    let told = ada.awaits("fetch('experiments').then((it) => it.json())")["plays"].clone();
    let buttons = ada.asks("document.querySelectorAll('#plays button').length");
    assert_eq!(told.as_array().unwrap().len(), buttons.as_u64().unwrap() as usize);
    for (label, first, code) in PLAYS {
        presses(&mut ada, label);
        ada.reads("#outcome-title", label);
        let end = ada.reads_the_end();
        assert!(end.contains(&format!("closed with {code}")), "{label}: {end}");
        let play = told.as_array().unwrap().iter().find(|it| it["name"] == label.replace(' ', "-"));
        let play = play.expect("the server has it");
        ada.reads("#outcome-title", &format!("§{}", play["section"].as_str().unwrap()));
        let steps = ada.steps();
        assert_eq!((&json!(steps[0]), steps[1].as_str()), (&play["says"], "The handshake"));
        assert!(
            steps[2].starts_with(&format!("The server received: {first}")),
            "{label}: {steps:?}"
        );
        if code != "1000" {
            let last = &steps[steps.len() - 2..];
            assert!(
                last[0].starts_with(&format!("The server refuses it with {code}: ")),
                "{steps:?}"
            );
            assert!(last[1].starts_with("The server answers: close"), "{steps:?}");
            ada.reads("#steps", &format!("code {code}"));
        }
    }
    // The room knows nothing of all that.
    ada.says("still here");
    ada.hears_text("still here");
}

#[test]
fn a_ping_comes_between_the_fragments_of_a_message() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_experiments();
    presses(&mut ada, "fragmented");
    ada.reads_the_end();
    let parts = [
        "received: text",
        "received: ping",
        "answers: pong",
        "received: continuation",
        "answers: text",
    ];
    follow_each_other(&ada.steps(), &parts);
}

#[test]
fn bytes_are_sent_as_they_are_written() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_experiments();
    ada.clicks("#echo-hex");
    ada.types("#echo-text", "48 65 ff");
    ada.presses_enter();
    ada.reads_the_end();
    ada.reads("#steps", "= byte 48 65 ff");
    ada.reads("#steps", "opcode 2: binary");
    ada.types("#echo-text", "4g");
    ada.presses_enter();
    ada.shows("what is wrong", "!document.querySelector('#echo-text').validity.valid");
}

#[test]
fn a_message_over_the_limit_is_sent_and_refused() {
    let (program, browser) = (Program::start(&["--max-message-size", "64K"]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_experiments();
    ada.clicks("#over-limit");
    let end = ada.reads_the_end();
    assert!(end.contains("closed with 1009"), "{end}");
    ada.reads("#outcome-title", "One byte more than the limit of 65536 (§7.4.1)");
    ada.reads("#steps", "length 65537: ");
    ada.reads("#steps", "The server refuses it with 1009");
}

#[test]
fn a_close_has_its_code_and_its_reason() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_experiments();
    for code in ["1000", "4000"] {
        ada.picks("#close-code", code);
        ada.types("#close-reason", "end of class");
        ada.presses_enter();
        ada.reads("#outcome-title", &format!("Close with {code}"));
        let end = ada.reads_the_end();
        assert!(end.contains(&format!("closed with {code}")) && end.contains("cleanly"), "{end}");
        ada.reads("#steps", &format!("code {code}, reason: end of class"));
        ada.reads("#steps", "The server answers: close");
    }
    // 62 of them are 124 bytes: one more than there is room for.
    ada.types("#close-reason", &"ü".repeat(62));
    ada.presses_enter();
    ada.shows("what is wrong", "!document.querySelector('#close-reason').validity.valid");
}

#[test]
fn a_dropped_line_has_no_close_frame() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_experiments();
    ada.clicks("#drop-line");
    let end = ada.reads_the_end();
    assert!(end.contains("closed with 1006, not cleanly"), "{end}");
    assert!(!ada.steps().iter().any(|it| it.contains("close,")), "{:?}", ada.steps());
}

#[test]
fn a_new_experiment_takes_the_place_of_the_one_before() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_experiments();
    presses(&mut ada, "invalid utf8");
    presses(&mut ada, "unmasked");
    let end = ada.reads_the_end();
    assert!(end.contains("closed with 1002"), "{end}");
    let steps = ada.steps();
    assert_eq!(
        steps.iter().filter(|it| it.starts_with("The server received")).count(),
        1,
        "{steps:?}"
    );
}
