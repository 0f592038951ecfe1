//! The page and the rules of who may enter: it brings a room's key from a link, asks for it, and explains in words
//! why somebody is not let in.

mod support;

use serde_json::json;
use support::{Browser, OWNED, Program, Tab};

fn program() -> Program {
    let program = Program::start(&OWNED);
    program.has_a_room_with("physics", &json!({"key": "e-equals-mc2"}));
    program
}

fn is_asked_for_the_key(tab: &mut Tab, why: &str) {
    tab.shows("the question", "document.querySelector('#key-dialog')?.open === true");
    tab.reads("#key-trouble", why);
}

#[test]
fn a_link_brings_the_key_and_it_leaves_the_address_bar() {
    let (program, browser) = (program(), Browser::start());
    let mut ada = browser.opens(&program, "#physics?key=e-equals-mc2");
    ada.stays_a_guest();
    ada.is_connected_to("physics");
    assert_eq!(ada.asks("location.hash"), "#physics");
    ada.says("hello");
    ada.hears_text("hello");
    // The tab remembers it, and another one of hers does not know it.
    ada.reloads();
    ada.is_connected_to("physics");
    let mut again = browser.opens_again(&ada, &program, "#physics");
    is_asked_for_the_key(&mut again, "This room has a key");
    // The wire does not show it.
    ada.opens_the_wire();
    let is_told = "document.querySelector('#handshake').textContent.includes('101 Switching')";
    ada.shows("the handshake", is_told);
    assert_eq!(ada.asks("document.documentElement.outerHTML.includes('e-equals-mc2')"), false);
    ada.clicks("#wire-button");
    // Whoever is there shows others how to come.
    ada.clicks("#projector-button");
    ada.reads("#address", "/#physics?key=e-equals-mc2");
    ada.reads("#key-note", "The key of the room is in this link");
    ada.has_no_complaints();
}

#[test]
fn without_the_key_the_page_asks_for_it() {
    let (program, browser) = (program(), Browser::start());
    let mut ada = browser.opens(&program, "#physics");
    ada.is_asked_for_a_name();
    ada.clicks("#guest");
    is_asked_for_the_key(&mut ada, "This room has a key");
    ada.types("#room-key", "e-equals-mc3");
    ada.presses_enter();
    is_asked_for_the_key(&mut ada, "not the key of this room");
    // She may think better of it, and again.
    ada.presses_escape();
    ada.has_state("locked");
    ada.reads("#words", "not the key of this room");
    ada.clicks("#retry");
    is_asked_for_the_key(&mut ada, "not the key of this room");
    ada.types("#room-key", "http://x/#physics?key=e-equals-mc2");
    ada.presses_enter();
    ada.is_connected_to("physics");
    assert_eq!(ada.asks("location.hash"), "#physics");
    // Rooms without a key are as they were.
    ada.asks("location.hash = 'chemistry'");
    ada.is_connected_to("chemistry");
}

#[test]
fn a_closed_room_is_explained() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    program.has_a_room_with("physics", &json!({"mode": "closed"}));
    program.has_a_room_with("chemistry", &json!({"topic": "salts"}));
    let _in_chemistry = program.joins("chemistry");
    let mut ada = browser.opens(&program, "#physics");
    ada.is_asked_for_a_name();
    ada.clicks("#guest");
    ada.has_state("stopped");
    ada.reads("#words", "This room is closed");
    // The list of rooms says what another one is about.
    ada.opens_the_rooms();
    ada.reads("#rooms", "1 person · salts");
    ada.presses_escape();
    program.has_a_room_with("physics", &json!({"mode": "open"}));
    ada.clicks("#retry");
    ada.is_connected_to("physics");
}
