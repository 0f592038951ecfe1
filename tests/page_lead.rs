//! The page of a leader, and what the others see of the acts: each changes every open page, and is told in a sentence.

mod support;

use serde_json::json;
use support::school::OWNER;
use support::{Browser, Line, OWNED, Program, Swallowed};

#[test]
fn a_message_that_is_removed_vanishes_everywhere() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    for text in ["one", "two", "three"] {
        bob.says(text);
        ada.hears("Bob", text);
    }
    ada.turns_to("two");
    ada.clicks("#remove-message");
    for tab in [&mut ada, &mut bob] {
        tab.is_told("Ada removed a message.");
        tab.has_in_the_log(&["one", "three"]);
    }
    // Its author may, too.
    bob.turns_to("one");
    bob.sees_no("#pin-message");
    bob.clicks("#remove-message");
    for tab in [&mut ada, &mut bob] {
        tab.is_told("Bob removed a message.");
        tab.has_in_the_log(&["three"]);
    }
    // Who comes later does not hear it, nor who is back.
    bob.reloads();
    bob.has_in_the_log(&["three"]);
    ada.has_no_complaints();
    bob.has_no_complaints();
}

#[test]
fn what_was_removed_while_the_line_was_down_vanishes_too() {
    let (program, browser) = (Program::start_plainly(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    let line = Line::to(program.address());
    let mut guest = browser.opens_at(&format!("http://{}/#physics", line.address()));
    guest.stays_a_guest();
    for text in ["one", "two"] {
        ada.says(text);
        guest.hears("Ada", text);
    }
    line.swallows(Swallowed::Answers);
    ada.turns_to("one");
    ada.clicks("#remove-message");
    ada.has_in_the_log(&["two"]);
    ada.says("three");
    ada.hears("Ada", "three");
    line.breaks();
    guest.has_in_the_log(&["two", "three"]);
    guest.is_told("Ada removed a message.");
}

#[test]
fn a_guest_may_take_back_what_they_said() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut guest = browser.enters_as_a_guest(&program, "#physics");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    guest.says("oh no");
    bob.hears_text("oh no");
    guest.turns_to("oh no");
    guest.clicks("#remove-message");
    bob.has_in_the_log(&[]);
    guest.has_in_the_log(&[]);
}

#[test]
fn a_room_is_cleared_after_a_second_press() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    bob.says("noise");
    ada.hears("Bob", "noise");
    ada.opens_the_settings();
    ada.clicks("#clear-room");
    ada.reads("#clear-room", "Yes");
    ada.clicks("#clear-room");
    for tab in [&mut ada, &mut bob] {
        tab.is_told("Ada cleared the room.");
        tab.has_in_the_log(&[]);
    }
    bob.says("quiet now");
    ada.hears("Bob", "quiet now");
}

#[test]
fn a_pinned_message_stands_above_the_log() {
    let options = [&OWNED[..], &["--history", "150"]].concat();
    let (program, browser) = (Program::start(&options), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    ada.says("Homework: page 7");
    bob.hears("Ada", "Homework: page 7");
    ada.turns_to("Homework: page 7");
    ada.clicks("#pin-message");
    bob.reads("#pinned", "Homework: page 7");
    // Whoever comes later sees it, even if it is no longer in the log.
    let mut script = program.joins("physics");
    for n in 0..100 {
        script.says(&n.to_string());
        script.hears(&n.to_string());
    }
    let mut cyd = browser.enters_as_a_guest(&program, "#physics");
    cyd.reads("#pinned", "Homework: page 7");
    bob.reloads();
    bob.reads("#pinned", "Homework: page 7");
    ada.turns_to("Homework: page 7");
    ada.reads("#pin-message", "Unpin");
    ada.clicks("#pin-message");
    for tab in [&mut ada, &mut bob, &mut cyd] {
        tab.sees_no("#pinned");
    }
}

#[test]
fn a_muted_member_is_told_where_they_would_write() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    ada.clicks("#people-button");
    ada.turns_to_member("Bob");
    ada.clicks("#mute-member");
    bob.is_told("Ada muted Bob.");
    bob.may_not_speak_because("A leader has muted you");
    ada.reads("#members", "Bob · muted");
    // It holds when he comes back.
    bob.reloads();
    bob.may_not_speak_because("A leader has muted you");
    ada.turns_to_member("Bob");
    ada.reads("#mute-member", "Let speak again");
    ada.clicks("#mute-member");
    bob.is_told("Ada let Bob speak again.");
    bob.may_speak();
    bob.says("thank you");
    ada.hears("Bob", "thank you");
}

#[test]
fn who_is_put_out_is_told_why_and_does_not_come_back_by_himself() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    ada.clicks("#people-button");
    ada.turns_to_member("Bob");
    ada.types("#out-reason", "spam");
    ada.types("#out-minutes", "7");
    ada.clicks("#put-out");
    ada.is_told("Ada put Bob out for 7 minutes: spam.");
    bob.has_state("stopped");
    bob.reads("#words", "Ada put you out: spam. You may come back in 7 minutes.");
    bob.clicks("#retry");
    bob.reads("#words", "You were put out of this room: come back in 7 minutes.");
    bob.has_state("stopped");
    // Other rooms are open to him.
    bob.asks("location.hash = 'lobby'");
    bob.is_connected_to("lobby");
    ada.has_no_complaints();
}

#[test]
fn the_settings_of_a_room_are_changed_and_seen() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    ada.opens_the_settings();
    ada.types("#set-topic", "Kepler's laws");
    ada.asks("document.querySelector('#set-mode').value = 'read-only'; 0");
    ada.types("#set-key", "abc");
    ada.presses_enter();
    ada.reads("#set-trouble", "4 to 64");
    ada.types("#set-key", "e-equals-mc2");
    ada.presses_enter();
    ada.sees_no("#room-dialog");
    bob.reads("#topic", "Kepler's laws");
    bob.may_not_speak_because("Only leaders speak in this room.");
    ada.may_speak();
    ada.says("listen");
    bob.hears("Ada", "listen");
    // Another room has none of it.
    bob.asks("location.hash = 'lobby'");
    bob.is_connected_to("lobby");
    bob.may_speak();
    bob.sees_no("#banner");
    bob.asks("history.back()");
    bob.shows("the question", "document.querySelector('#key-dialog')?.open === true");
}

#[test]
fn the_end_of_class_sends_everyone_away_but_the_leader() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    ada.opens_the_settings();
    ada.clicks("#end-class");
    ada.clicks("#end-class");
    ada.is_told("Ada ended the class.");
    bob.has_state("stopped");
    bob.reads("#words", "class is over");
    bob.clicks("#retry");
    bob.reads("#words", "This room is closed");
    ada.says("to myself");
    ada.hears("Ada", "to myself");
}

#[test]
fn whoever_has_the_admin_token_becomes_a_leader_on_the_page() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.clicks("#people-button");
    ada.reads("#lead-button", "Lead this room");
    ada.clicks("#lead-button");
    ada.reads("#name-trouble", "A leader needs a name.");
    ada.takes_the_name("Ada");
    ada.clicks("#lead-button");
    ada.shows("the question", "document.querySelector('#lead-dialog').open");
    ada.types("#admin-token", "not-the-token-of-the-owner");
    ada.presses_enter();
    ada.shows("why not", "document.querySelector('#lead-trouble').textContent !== ''");
    ada.types("#admin-token", OWNER);
    ada.presses_enter();
    ada.sees_no("#lead-dialog");
    ada.is_told("made Ada a leader of this room.");
    ada.reads("#lead-button", "Change this room");
    ada.reads("#members", "Ada · you · leads");
    // It is kept nowhere.
    ada.shows("an empty field", "document.querySelector('#admin-token').value === ''");
    let kept = ada.asks("JSON.stringify([{ ...sessionStorage }, { ...localStorage }]) + document.documentElement.outerHTML");
    assert!(!kept.as_str().unwrap().contains(OWNER));
}

#[test]
fn the_owner_makes_another_one_a_leader_and_dismisses_them() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    let mut guest = browser.enters_as_a_guest(&program, "#physics");
    bob.clicks("#people-button");
    for (deed, told, offered) in [
        ("Make a leader", "made Bob a leader of this room.", "Change this room"),
        ("Dismiss as leader", "Bob no longer leads this room.", "Lead this room"),
    ] {
        ada.opens_the_settings();
        ada.clicks("#leaders");
        // A guest has no number by which they could lead.
        let names = ada
            .asks("[...document.querySelectorAll('#lead-who option')].map((it) => it.textContent)");
        assert_eq!(names, json!(["Ada", "Bob"]));
        ada.asks(
            "(() => { const who = document.querySelector('#lead-who');
                who.selectedIndex = 1; who.dispatchEvent(new Event('change')); })()",
        );
        ada.reads("#lead-them", deed);
        ada.types("#admin-token", OWNER);
        ada.presses_enter();
        ada.sees_no("#lead-dialog");
        for tab in [&mut ada, &mut bob, &mut guest] {
            tab.is_told(told);
        }
        bob.reads("#lead-button", offered);
        ada.clicks("#people-button");
    }
    ada.has_no_complaints();
    bob.has_no_complaints();
}

#[test]
fn hands_are_seen_in_their_order() {
    let (program, browser) = (Program::start_plainly(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    let line = Line::to(program.address());
    let mut cyd = browser.opens_at(&format!("http://{}/#physics", line.address()));
    cyd.is_asked_for_a_name();
    cyd.takes_the_name("Cyd");
    cyd.is_connected_to("physics");
    let hands = |names: &[&str]| {
        let shown =
            "[...document.querySelectorAll('#hands li')].map((it) => it.firstChild.textContent)";
        format!("JSON.stringify({shown}) === {:?}", json!(names).to_string())
    };
    cyd.clicks("#hand-button");
    ada.shows("Cyd", &hands(&["Cyd"]));
    bob.clicks("#hand-button");
    for tab in [&mut ada, &mut bob, &mut cyd] {
        tab.shows("both", &hands(&["Cyd", "Bob"]));
    }
    assert_eq!(bob.asks("document.querySelector('#hand-button').ariaPressed"), "true");
    // A line that breaks is no reason to lose one's place.
    line.breaks();
    cyd.is_told("Connection lost.");
    cyd.is_connected_to("physics");
    for tab in [&mut ada, &mut bob, &mut cyd] {
        tab.shows("both", &hands(&["Cyd", "Bob"]));
    }
    ada.clicks("#hands button");
    bob.shows("Bob alone", &hands(&["Bob"]));
    cyd.shows("her own down", "document.querySelector('#hand-button').ariaPressed === 'false'");
    cyd.clicks("#hand-button");
    ada.shows("both", &hands(&["Bob", "Cyd"]));
    ada.clicks("#lower-all");
    for tab in [&mut ada, &mut bob, &mut cyd] {
        tab.shows("none", &hands(&[]));
        tab.sees_no("#hands-line");
    }
    bob.clicks("#hand-button");
    ada.shows("Bob", &hands(&["Bob"]));
    bob.clicks("#hand-button");
    ada.shows("none", &hands(&[]));
    ada.has_no_complaints();
    bob.has_no_complaints();
}
