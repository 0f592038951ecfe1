//! The page: a name is asked for once, belongs to whoever took it, and goes along into every room.

mod support;

use serde_json::json;
use support::{Browser, Program};

const TROUBLE: &str = "document.querySelector('#name-trouble').textContent";

#[test]
fn a_name_is_asked_for_once() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    ada.reloads();
    ada.shows("her name", "document.querySelector('#name-button').textContent === 'Ada'");
    assert_eq!(ada.asks("document.querySelector('#name-dialog').open"), false);
    let mut again = browser.opens_again(&ada, &program, "#physics");
    again.shows("her name", "document.querySelector('#name-button').textContent === 'Ada'");
    again.says("from the other window");
    ada.hears("Ada", "from the other window");
    ada.shows("it as hers", "document.querySelector('#log .own .kept') !== null");
}

/// Cookies know no ports: without care each would take the other's key for a wrong one.
#[test]
fn two_servers_on_one_host_are_no_trouble() {
    let browser = Browser::start();
    let (one, other) = (Program::start_plainly(&[]), Program::start_plainly(&[]));
    let mut ada = browser.enters(&one, "", "Ada");
    let mut there = browser.opens_again(&ada, &other, "");
    there.is_asked_for_a_name();
    there.takes_the_name("Countess");
    ada.reloads();
    ada.shows("her name", "document.querySelector('#name-button').textContent === 'Ada'");
    there.reloads();
    there.shows("that one", "document.querySelector('#name-button').textContent === 'Countess'");
    ada.has_no_complaints();
    there.has_no_complaints();
}

#[test]
fn a_guest_is_asked_only_once_too() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut guest = browser.enters_as_a_guest(&program, "");
    guest.reloads();
    guest.is_connected_to("lobby");
    assert_eq!(guest.asks("document.querySelector('#name-dialog').open"), false);
    guest.says("hello");
    guest.shows("hello", "document.querySelector('#log .from')?.textContent.startsWith('guest-')");
}

#[test]
fn a_name_that_is_taken_or_no_name_is_explained() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let _ada = browser.enters(&program, "", "Ada");
    let mut eve = browser.opens(&program, "");
    eve.is_asked_for_a_name();
    eve.types("#name", "ADA");
    eve.presses_enter();
    eve.shows("that it is taken", &format!("{TROUBLE}.includes('Somebody has this name')"));
    eve.types("#name", "  ");
    eve.presses_enter();
    eve.shows("that it is no name", &format!("{TROUBLE}.includes('at least one character')"));
    eve.takes_the_name("Eve");
    eve.has_no_complaints_but("the server responded with a status of 4");
}

#[test]
fn a_new_name_is_told_and_a_name_can_be_given_up() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let mut bob = browser.enters(&program, "", "Bob");
    bob.clicks("#people-button");
    let there = |name: &str| {
        format!(
            "[...document.querySelectorAll('#members li')].some((it) => it.textContent === {name:?})"
        )
    };
    bob.shows("Ada", &there("Ada"));
    ada.clicks("#name-button");
    ada.takes_the_name("Ada L.");
    bob.shows("her new name", &there("Ada L."));
    ada.says("it is me");
    bob.hears("Ada L.", "it is me");
    ada.clicks("#name-button");
    ada.clicks("#guest");
    ada.shows("a guest", "document.querySelector('#name-button').textContent.startsWith('guest-')");
    bob.shows("no Ada", &format!("!{}", there("Ada L.")));
    // Whoever likes may have it now.
    bob.clicks("#name-button");
    bob.takes_the_name("Ada L.");
    assert_eq!(bob.log(), [("Ada L.".to_owned(), "it is me".to_owned())], "the past stays");
}

#[test]
fn the_fragment_names_the_room() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let mut bob = browser.enters(&program, "", "Bob");
    let mut eve = program.joins("physics");
    ada.says("only in physics");
    ada.hears("Ada", "only in physics");
    eve.hears("only in physics");
    bob.says("only in the lobby");
    bob.hears("Bob", "only in the lobby");
    // Then she goes over.
    ada.asks("location.hash = ''");
    ada.is_connected_to("lobby");
    ada.hears("Bob", "only in the lobby");
    ada.says("here I am");
    bob.hears("Ada", "here I am");
    assert_eq!(bob.log().len(), 2, "{:?}", bob.log());
    eve.leaves();
    ada.has_no_complaints();
    bob.has_no_complaints();
}

#[test]
fn rooms_are_listed_and_entered_without_a_reload() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let _class = [program.joins("physics"), program.joins("physics")];
    ada.asks("stayed = true");
    ada.opens_the_rooms();
    let rooms = ada.asks("[...document.querySelectorAll('#rooms li')].map((it) => it.textContent)");
    assert_eq!(rooms, json!(["lobby1 person", "physics2 people"]));
    ada.clicks("#rooms li:nth-child(2) button");
    ada.is_connected_to("physics");
    assert_eq!(ada.asks("[location.hash, stayed]"), json!(["#physics", true]));
    // By name too, while the list changes below, and back with the browser's own button.
    ada.opens_the_rooms();
    let place = "JSON.stringify(document.querySelector('#room').getBoundingClientRect())";
    let before = ada.asks(place);
    ada.shows(
        "the lobby gone from the list",
        "document.querySelectorAll('#rooms li').length === 1",
    );
    assert_eq!(ada.asks(place), before, "the field stays where it is");
    ada.types("#room", "chemistry");
    ada.presses_enter();
    ada.is_connected_to("chemistry");
    ada.asks("history.back()");
    ada.is_connected_to("physics");
}

#[test]
fn a_fragment_that_names_no_room_is_explained() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.opens(&program, "#no%20room");
    ada.shows(
        "an explanation",
        "document.querySelector('#status').textContent.includes('no name for a room')",
    );
    ada.has_no_complaints();
}

#[test]
fn the_projector_shows_how_to_come() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    ada.clicks("#projector-button");
    ada.shows("the code", "document.querySelector('#projector[open] #code')?.naturalWidth > 100");
    assert_eq!(ada.asks("document.querySelector('#projected-room').textContent"), "#physics");
    assert_eq!(
        ada.asks("document.querySelector('#address').textContent"),
        format!("{}/#physics", program.url("http"))
    );
    let _bob = program.joins("physics");
    ada.shows("two", "document.querySelector('#projector .count').textContent === '2 people'");
    ada.clicks("#projector button");
    ada.has_no_complaints();
}
