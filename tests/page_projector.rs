//! The projector: the conversation in large letters beside the code, or the code alone; what is pinned and whose hand
//! is raised; and an address that works for others.

mod support;

use serde_json::json;
use support::{Browser, OWNED, Program, Tab};

const CODE: &str = "document.querySelector('#projector[open] #code')?.naturalWidth > 100";

fn projects(tab: &mut Tab) {
    tab.clicks("#projector-button");
    tab.shows("the code", CODE);
}

/// How high the letters of a message are, in pixels.
fn letters(tab: &mut Tab) -> f64 {
    let size = "parseFloat(getComputedStyle(document.querySelector('#log .body')).fontSize)";
    tab.asks(size).as_f64().expect("a number")
}

#[test]
fn the_conversation_goes_on_in_large_letters_beside_the_code() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    ada.has_a_window_of((1280, 720));
    bob.says("before");
    ada.hears("Bob", "before");
    let small = letters(&mut ada);
    projects(&mut ada);
    for n in 0..30 {
        bob.says(&format!("line {n}"));
    }
    ada.hears("Bob", "line 29");
    assert!(letters(&mut ada) > small * 1.4, "{small} px before");
    ada.shows(
        "the newest message at the end, beside the code",
        "(() => {
            const last = [...document.querySelectorAll('#log .body')].at(-1).getBoundingClientRect();
            const code = document.querySelector('#code').getBoundingClientRect();
            return last.bottom <= innerHeight && last.top > innerHeight / 2 && last.right <= code.left && code.bottom <= innerHeight;
        })()",
    );
    // It goes back to where it was, and goes on there.
    ada.presses_escape();
    ada.shows(
        "the log in the page",
        "document.querySelector('#main > #scroller > #log')?.checkVisibility() === true",
    );
    assert!((letters(&mut ada) - small).abs() < 0.1);
    bob.says("after");
    ada.hears("Bob", "after");
    ada.shows(
        "the newest message in sight",
        "[...document.querySelectorAll('#log .body')].at(-1).getBoundingClientRect().bottom <=
            document.querySelector('#scroller').getBoundingClientRect().bottom",
    );
    ada.has_no_complaints();
}

#[test]
fn a_button_shows_the_code_alone_and_larger() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    ada.has_a_window_of((1280, 720));
    ada.says("hello");
    ada.hears("Ada", "hello");
    projects(&mut ada);
    let width = "document.querySelector('#code').getBoundingClientRect().width";
    let small = ada.asks(width).as_f64().expect("a number");
    ada.clicks("#projector-view");
    ada.sees_no("#log");
    let large = ada.asks(width).as_f64().expect("a number");
    assert!(large > small * 1.3, "{small} px, then {large} px");
    ada.reads("#projector-view", "Conversation");
    ada.clicks("#projector-view");
    ada.reads("#log", "hello");
    ada.has_no_complaints();
}

#[test]
fn what_is_pinned_and_whose_hand_is_raised_is_on_it() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    program.has_a_room_with("physics", &json!({"topic": "Kepler"}));
    ada.says("Homework: page 7");
    ada.turns_to("Homework: page 7");
    ada.clicks("#pin-message");
    ada.reads("#pinned", "Homework: page 7");
    projects(&mut ada);
    bob.clicks("#hand-button");
    for _ in ["beside the conversation", "beside the code alone"] {
        ada.reads("#projector #topic", "Kepler");
        ada.reads("#projector #pinned", "Homework: page 7");
        ada.reads("#projector #hands", "Bob");
        ada.clicks("#projector-view");
    }
    // It can be lowered from there.
    ada.clicks("#projector #hands button");
    ada.sees_no("#hands-line");
    ada.clicks("#projector form button:last-child");
    ada.reads("body > #banner #pinned", "Homework: page 7");
    ada.has_no_complaints();
}

/// A room without rules tells of a hand only when it is raised.
#[test]
fn a_hand_that_was_raised_before_somebody_came_is_on_it() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut bob = browser.enters(&program, "#physics", "Bob");
    bob.clicks("#hand-button");
    bob.reads("#hands", "Bob");
    let mut ada = browser.enters(&program, "#physics", "Ada");
    projects(&mut ada);
    ada.reads("#projector #hands", "Bob");
    ada.has_no_complaints();
}

#[test]
fn the_link_is_copied() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    projects(&mut ada);
    ada.clicks("#copy-link");
    ada.reads("#copy-link", "Copied");
    ada.presses_escape();
    ada.clicks("#text");
    ada.presses(&json!({"key": "v", "modifiers": 2, "commands": ["paste"]}));
    let link = format!("{}/#physics", program.url("http"));
    ada.shows("the link", &format!("document.querySelector('#text').value.trim() === {link:?}"));
}

/// This program listens on 127.0.0.1, which leads each computer to itself.
#[test]
fn an_address_for_this_computer_alone_is_said_to_be_one() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    projects(&mut ada);
    ada.reads("#reach-note", "This address works on this computer alone.");
    ada.reads("#reach-note", "--listen 0.0.0.0:8080");
    ada.has_no_complaints();
}

#[test]
fn where_there_is_an_address_for_others_it_is_shown_instead() {
    let (program, browser) = (Program::start_at("0.0.0.0:0"), Browser::start());
    let port = program.address().port();
    let mut ada = browser.opens_at(&format!("http://127.0.0.1:{port}/#physics"));
    ada.stays_a_guest();
    projects(&mut ada);
    let interfaces = if_addrs::get_if_addrs().unwrap().into_iter();
    let is_alone = !interfaces.map(|it| it.ip()).any(|ip| ip.is_ipv4() && !ip.is_loopback());
    let note = format!(
        "127.0.0.1:{port} works on this computer alone. This address is the one for others."
    );
    ada.reads(
        "#reach-note",
        if is_alone { "This address works on this computer alone." } else { &note },
    );
    assert_eq!(
        ada.asks("document.querySelector('#address').textContent.includes('127.0.0.1')"),
        is_alone
    );
}

#[test]
fn another_room_ends_it() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    projects(&mut ada);
    ada.asks("location.hash = 'chemistry'");
    ada.is_connected_to("chemistry");
    ada.sees_no("#projector");
    ada.says("here");
    ada.hears("Ada", "here");
    projects(&mut ada);
    ada.reads("#address", "/#chemistry");
}

#[test]
fn it_fits_at_every_size() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", &"W".repeat(40));
    program.has_a_room_with("physics", &json!({"topic": "W".repeat(200)}));
    ada.says(&"x".repeat(300));
    ada.hears_text(&"x".repeat(300));
    for size in [(320, 480), (390, 760), (640, 400), (1000, 700), (1900, 1000)] {
        ada.has_a_window_of(size);
        ada.shows("its new size", &format!("innerWidth === {}", size.0));
        projects(&mut ada);
        for view in ["the conversation", "the code alone"] {
            let beyond = ada.asks(
                "[...document.querySelectorAll('#projector *')].filter((it) => it.checkVisibility() && !it.closest('.unseen, .more .head') &&
                    (it.getBoundingClientRect().right > innerWidth + 1 || it.getBoundingClientRect().left < -1)).map((it) => it.outerHTML.slice(0, 80))",
            );
            assert_eq!(beyond, json!([]), "{size:?}, {view}");
            let code = "document.querySelector('#code').getBoundingClientRect()";
            ada.asks("document.querySelector('#code').scrollIntoView({ block: 'nearest' }); 0");
            let is_whole = ada.asks(&format!(
                "{code}.top >= 0 && {code}.bottom <= innerHeight && {code}.width > 90"
            ));
            assert_eq!(is_whole, true, "{size:?}, {view}");
            ada.clicks("#projector-view");
        }
        ada.presses_escape();
    }
}
