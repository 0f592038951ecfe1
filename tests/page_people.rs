//! The page tells people from connections: a guest has one name in all rooms, a user with two tabs is one
//! person, and a new name is told to the room.

mod support;

use serde_json::json;
use support::{Browser, Program, Tab, bearer, request};

/// What the page itself has said in the log.
const NOTICES: &str = "[...document.querySelectorAll('#log .notice')].map((it) => it.textContent)";

fn name_of(tab: &mut Tab) -> String {
    let name = tab.asks("document.querySelector('#name-button').textContent");
    name.as_str().expect("a name").to_owned()
}

fn is_told(tab: &mut Tab, sentence: &str) {
    tab.shows(sentence, &format!("{NOTICES}.includes({sentence:?})"));
}

fn lists(tab: &mut Tab, people: &[&str]) {
    let list = "[...document.querySelectorAll('#members li')].map((it) => it.textContent)";
    let wanted = json!(people).to_string();
    tab.shows(&wanted, &format!("JSON.stringify({list}) === {wanted:?}"));
}

#[test]
fn a_guest_has_one_name_in_all_rooms() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut guest = browser.enters_as_a_guest(&program, "#physics");
    let name = name_of(&mut guest);
    // Somebody else comes meanwhile, so that the next number is not the same by chance.
    let _bob = browser.enters_as_a_guest(&program, "#physics");
    guest.asks("location.hash = 'chemistry'");
    guest.is_connected_to("chemistry");
    guest.says("in chemistry");
    guest.hears(&name, "in chemistry");
    guest.asks("history.back()");
    guest.is_connected_to("physics");
    guest.says("in physics");
    guest.hears(&name, "in physics");
    guest.reloads();
    guest.is_connected_to("physics");
    assert_eq!(name_of(&mut guest), name);
}

#[test]
fn two_tabs_of_a_user_are_one_person() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut bob = browser.enters(&program, "", "Bob");
    bob.clicks("#people-button");
    let mut ada = browser.enters(&program, "", "Ada");
    is_told(&mut bob, "Ada came");
    let mut again = browser.opens_again(&ada, &program, "");
    again.is_connected_to("lobby");
    lists(&mut bob, &["Bob · you", "Ada · 2 connections"]);
    assert_eq!(bob.asks("document.querySelector('#people-button').textContent"), "2 people");
    ada.asks("location.hash = 'elsewhere'");
    ada.is_connected_to("elsewhere");
    lists(&mut bob, &["Bob · you", "Ada"]);
    again.asks("location.hash = 'elsewhere'");
    is_told(&mut bob, "Ada came · Ada left");
    lists(&mut bob, &["Bob · you"]);
}

#[test]
fn a_new_name_is_told_to_the_room() {
    let options = ["--admin-token", "a-token-of-the-admin"];
    let (program, browser) = (Program::start(&options), Browser::start());
    let mut bob = browser.enters(&program, "", "Bob");
    let mut ada = browser.enters(&program, "", "Ada");
    is_told(&mut bob, "Ada came");
    ada.says("hello");
    bob.hears("Ada", "hello");
    ada.clicks("#name-button");
    ada.takes_the_name("Ada L.");
    is_told(&mut bob, "Ada is called Ada L. now.");
    is_told(&mut ada, "Ada is called Ada L. now.");
    // Whoever is removed goes on as a guest.
    let user = ada.awaits("fetch('users/me').then((it) => it.json())")["id"].clone();
    let key = bearer("a-token-of-the-admin");
    let removal = request("DELETE", &format!("/users/{user}"), &[&key], "");
    assert_eq!(program.is_visited().asks(removal).status, 204);
    ada.shows("a guest", "document.querySelector('#name-button').textContent.startsWith('guest-')");
    let guest = name_of(&mut ada);
    is_told(&mut bob, &format!("Ada L. is called {guest} now."));
}
