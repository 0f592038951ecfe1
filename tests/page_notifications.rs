//! The page tells of new messages while nobody looks at it: by a notification of the browser, or by a sound, where
//! whoever sits there has switched it on.

mod support;

use serde_json::{Value, json};
use support::{Browser, Program, Tab};

/// Notes each notification that the browser has really shown, and each tone that was started.
const EAR: &str = "
    shown = []; rung = 0;
    Real = Notification;
    Notification = class extends Real {
        constructor(title, how) {
            super(title, how);
            this.addEventListener('show', () => shown.push(`${title}: ${how.body}`));
        }
    };
    start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (...when) { rung += 1; start.apply(this, when); };
    0";

fn opens_the_switches(tab: &mut Tab) {
    tab.asks(EAR);
    tab.clicks("#people-button");
    tab.reads("#people summary", "While this page is out of sight");
    tab.clicks("#people summary");
    tab.shows("the switches", "document.querySelector('#sound').checkVisibility()");
}

/// Chromium without a screen hides no window: the page is told so instead.
fn looks_away(tab: &mut Tab) {
    tab.asks("Object.defineProperty(document, 'hidden', { value: true, configurable: true }); 0");
}

fn is_alerted(tab: &mut Tab, shown: &Value) {
    tab.shows(&shown.to_string(), &format!("JSON.stringify(shown) === {:?}", shown.to_string()));
}

#[test]
fn a_message_is_shown_while_nobody_looks() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    ada.may_be_notified("granted");
    opens_the_switches(&mut ada);
    assert_eq!(ada.asks("document.querySelector('#notify').checked"), false, "off at first");
    bob.says("nobody has asked for it");
    ada.hears("Bob", "nobody has asked for it");
    ada.clicks("#notify");
    is_alerted(&mut ada, &json!(["wsroom: New messages are shown like this."]));
    bob.says("she looks");
    ada.hears("Bob", "she looks");
    looks_away(&mut ada);
    bob.says("Kepler's laws?");
    is_alerted(
        &mut ada,
        &json!(["wsroom: New messages are shown like this.", "Bob in #physics: Kepler's laws?"]),
    );
    ada.has_no_complaints();
}

/// What was said before somebody came is not new.
#[test]
fn it_stays_on_and_the_past_is_not_told() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    ada.may_be_notified("granted");
    opens_the_switches(&mut ada);
    ada.clicks("#notify");
    is_alerted(&mut ada, &json!(["wsroom: New messages are shown like this."]));
    bob.says("before");
    ada.hears("Bob", "before");
    ada.reloads();
    ada.asks(EAR);
    looks_away(&mut ada);
    ada.hears("Bob", "before");
    ada.has_state("open");
    bob.says("after");
    is_alerted(&mut ada, &json!(["Bob in #physics: after"]));
    assert_eq!(ada.asks("localStorage.getItem('wsroom.alerts')"), "notify");
}

#[test]
fn a_browser_that_forbids_it_is_explained() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    ada.may_be_notified("denied");
    opens_the_switches(&mut ada);
    ada.reads("#notify-note", "This browser forbids it to this page");
    assert_eq!(ada.asks("document.querySelector('#notify').disabled"), true);
}

/// Such a page came over plain http from another computer; here it is told so. The sound is left.
#[test]
fn where_no_browser_allows_it_the_page_says_so() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    ada.asks("Object.defineProperty(window, 'isSecureContext', { value: false }); 0");
    opens_the_switches(&mut ada);
    ada.reads("#notify-note", "only over https, or on this computer itself");
    assert_eq!(ada.asks("document.querySelector('#notify').disabled"), true);
    assert_eq!(ada.asks("document.querySelector('#sound').disabled"), false);
}

#[test]
fn a_sound_is_off_until_it_is_asked_for() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    opens_the_switches(&mut ada);
    looks_away(&mut ada);
    bob.says("silence");
    ada.hears("Bob", "silence");
    assert_eq!(ada.asks("rung"), 0);
    ada.clicks("#sound");
    ada.shows("it, to hear how it is", "rung === 1");
    bob.says("ring");
    ada.shows("the sound", "rung === 2");
    ada.clicks("#sound");
    bob.says("silence again");
    ada.hears("Bob", "silence again");
    assert_eq!(ada.asks("rung"), 2);
    ada.has_no_complaints();
}
