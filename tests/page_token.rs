//! The page on a server that asks for a token: it brings the token from a link, or asks for it, and
//! then goes on; and it tells others only if it is told.

mod support;

use std::fs;

use support::{Browser, Program, Tab, axe, has_no_barrier};
use tempfile::NamedTempFile;

const TOKEN: &str = "the-token-of-the-physics-class";
const NEW: &str = "the-token-of-the-next-term";

/// What the browser itself complains of where the page is refused.
const REFUSED: &str = "401";

fn program() -> Program {
    Program::start(&["--token", TOKEN])
}

/// The page at a link with a token.
fn follows(browser: &Browser, program: &Program, token: &str) -> Tab {
    browser.opens_at(&format!("{}/?token={token}#physics", program.url("http")))
}

fn is_asked_for_the_token(tab: &mut Tab, why: &str) {
    tab.shows(
        "the question for the token",
        "document.querySelector('#token-dialog')?.open === true",
    );
    let js = format!("document.querySelector('#token-trouble').textContent.includes({why:?})");
    tab.shows(why, &js);
}

fn brings(tab: &mut Tab, token: &str) {
    tab.types("#token", token);
    tab.presses_enter();
}

/// The token is in no place that others see.
fn shows_no_token(tab: &mut Tab) {
    let shown = tab.asks("location.href + document.cookie + document.documentElement.outerHTML");
    assert!(!shown.as_str().unwrap().contains("the-token-of"), "{shown}");
}

#[test]
fn a_link_brings_the_token_and_it_leaves_the_address_bar() {
    let (program, browser) = (program(), Browser::start());
    let mut ada = follows(&browser, &program, TOKEN);
    ada.is_asked_for_a_name();
    assert_eq!(ada.asks("location.href"), format!("{}/#physics", program.url("http")));
    ada.takes_the_name("Ada");
    ada.is_connected_to("physics");
    shows_no_token(&mut ada);
    ada.says("hello");
    ada.hears("Ada", "hello");
    // The echo and the lists carry it too, and so does the next visit.
    ada.opens_the_wire();
    ada.asks("document.querySelector('#echo-text').closest('details').open = true; 0");
    ada.shows(
        "the echo",
        "document.querySelector('#round-trip').textContent.startsWith('There and back')",
    );
    ada.opens_the_rooms();
    ada.reloads();
    ada.is_connected_to("physics");
    ada.has_no_complaints();
}

#[test]
fn without_a_token_the_page_asks_and_goes_on() {
    let (program, browser) = (program(), Browser::start());
    let mut ada = browser.opens(&program, "#physics");
    is_asked_for_the_token(&mut ada, "asks for its token");
    ada.asks(&(axe() + "; 0"));
    has_no_barrier(&mut ada, "the question");
    brings(&mut ada, "short");
    is_asked_for_the_token(&mut ada, "16 to 128");
    brings(&mut ada, NEW);
    is_asked_for_the_token(&mut ada, "not good here");
    // It stays until there is one.
    ada.presses_escape();
    is_asked_for_the_token(&mut ada, "not good here");
    brings(&mut ada, &format!("http://x/?token={TOKEN}#physics"));
    ada.is_asked_for_a_name();
    ada.takes_the_name("Ada");
    ada.is_connected_to("physics");
    shows_no_token(&mut ada);
    ada.has_no_complaints_but(REFUSED);
}

#[test]
fn a_link_with_a_wrong_token_is_explained() {
    let (program, browser) = (program(), Browser::start());
    let mut ada = follows(&browser, &program, NEW);
    is_asked_for_the_token(&mut ada, "not good here");
    assert_eq!(ada.asks("location.search"), "");
    brings(&mut ada, TOKEN);
    ada.stays_a_guest();
    ada.is_connected_to("physics");
}

#[test]
fn a_page_that_comes_back_to_a_new_token_asks_for_it() {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), TOKEN).unwrap();
    let program = Program::start(&["--token-file", file.path().to_str().unwrap()]);
    let browser = Browser::start();
    let mut ada = follows(&browser, &program, TOKEN);
    ada.stays_a_guest();
    fs::write(file.path(), NEW).unwrap();
    program.gets_signal("HUP");
    program.logs("1 are good now");
    // Nobody is put out.
    ada.says("still here");
    ada.hears_text("still here");
    // Her line breaks: a tab at another pace connects anew.
    ada.opens_the_wire();
    ada.asks("document.querySelector('#slow').closest('details').open = true; 0");
    ada.asks("const slow = document.querySelector('#slow'); slow.value = '10000'; slow.dispatchEvent(new Event('change')); 0");
    is_asked_for_the_token(&mut ada, "not good here");
    brings(&mut ada, NEW);
    ada.is_connected_to("physics");
    ada.says("back again");
    ada.hears_text("back again");
}

#[test]
fn the_projector_shows_the_token_only_if_the_page_was_given_it() {
    let (program, browser) = (program(), Browser::start());
    let mut ada = follows(&browser, &program, TOKEN);
    ada.stays_a_guest();
    let link = |tab: &mut Tab, ending: &str, note: &str| {
        tab.clicks("#projector-button");
        tab.shows("the projector", "document.querySelector('#projector')?.open === true");
        let shown = tab.asks("document.querySelector('#address').textContent");
        assert!(shown.as_str().unwrap().ends_with(ending), "{shown}");
        let said = tab.asks("document.querySelector('#token-note').textContent");
        assert!(said.as_str().unwrap().contains(note), "{said}");
    };
    link(&mut ada, &format!("/?token={TOKEN}#physics"), "can come in");
    // Another tab of her browser is let in by the cookie alone.
    let mut again = browser.opens_again(&ada, &program, "#physics");
    again.is_connected_to("physics");
    link(&mut again, "/#physics", "is asked for");
    let open = Program::start(&[]);
    let mut bob = browser.enters_as_a_guest(&open, "#physics");
    link(&mut bob, "/#physics", "");
    assert_eq!(bob.asks("document.querySelector('#token-note').textContent"), "");
}
