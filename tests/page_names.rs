//! The page: a name is asked for once, belongs to whoever took it, and goes along into every room.

mod support;

use serde_json::json;
use support::{Browser, Line, Program, Swallowed, V1, Way, bearer, request};

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
fn a_newcomer_is_told_what_a_name_is_for_and_may_go_without_by_a_key() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut bob = browser.enters(&program, "", "Bob");
    let mut guest = browser.opens(&program, "");
    guest.is_asked_for_a_name();
    guest.reads("#name-dialog", "The others see it beside what you say.");
    // Nobody hears of a newcomer who has not answered yet.
    bob.says("who is there?");
    bob.hears("Bob", "who is there?");
    assert_eq!(bob.asks("document.querySelector('#people-button').textContent"), "1 person");
    guest.presses_escape();
    guest.is_connected_to("lobby");
    guest.says("me");
    let name = guest.asks("document.querySelector('#name-button').textContent");
    let name = name.as_str().unwrap();
    assert!(name.starts_with("guest-"), "{name}");
    bob.hears(name, "me");
    bob.is_told(&format!("{name} came"));
    assert_eq!(bob.asks("document.querySelectorAll('#log .notice').length"), 1);
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
    // She is asked whether she means it, and may think better of it.
    ada.clicks("#name-button");
    ada.clicks("#give-up");
    ada.shows("the question", &format!("{TROUBLE}.includes('Do you mean it?')"));
    ada.clicks("#guest");
    ada.shows("no dialog", "!document.querySelector('#name-dialog').open");
    ada.says("still me");
    bob.hears("Ada L.", "still me");
    ada.clicks("#name-button");
    ada.clicks("#give-up");
    ada.clicks("#give-up");
    ada.shows("a guest", "document.querySelector('#name-button').textContent.startsWith('guest-')");
    bob.shows("no Ada", &format!("!{}", there("Ada L.")));
    // Whoever likes may have it now.
    bob.clicks("#name-button");
    bob.takes_the_name("Ada L.");
    let past = ["it is me", "still me"].map(|text| ("Ada L.".to_owned(), text.to_owned()));
    assert_eq!(bob.log(), past, "the past stays");
}

#[test]
fn whoever_enters_or_thinks_better_of_a_name_is_one_line() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut bob = browser.enters(&program, "", "Bob");
    let mut ada = browser.enters(&program, "", "Ada");
    ada.says("here I am");
    bob.hears("Ada", "here I am");
    let notices = "[...document.querySelectorAll('#log .notice')].map((it) => it.textContent)";
    bob.shows("her", &format!("{notices}.join() === 'Ada came'"));
    // A dialog that was opened by mistake is closed without any effect.
    ada.clicks("#name-button");
    ada.types("#name", "Countess");
    ada.clicks("#guest");
    ada.says("still Ada");
    bob.hears("Ada", "still Ada");
    assert_eq!(bob.asks(notices), json!(["Ada came"]));
}

/// A server without a file forgets everyone: the page takes the name again before it says anything.
#[test]
fn a_server_that_has_forgotten_all_is_told_the_name_again() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let address = program.address().to_string();
    let mut ada = browser.enters(&program, "#physics", "Ada");
    ada.asks("told = []; new MutationObserver(() => told.push(document.querySelector('#status').textContent))
        .observe(document.querySelector('#status'), { childList: true, subtree: true, characterData: true }); 0");
    program.gets_signal("KILL");
    program.ends();
    ada.has_state("waiting");
    ada.says("meanwhile");
    let program = Program::start_at(&address);
    let (mut script, _) = V1::over(Way::Plain.connects(program.address()), "/ws/physics");
    ada.hears("Ada", "meanwhile");
    assert_eq!(script.hears("meanwhile")["from"]["name"], "Ada");
    assert_eq!(ada.asks("document.querySelector('#name-button').textContent"), "Ada");
    assert_eq!(ada.asks("told.filter((it) => it.includes('WebSockets'))"), json!([]));
    assert_eq!(ada.asks("document.querySelector('#name-dialog').open"), false);
    ada.reloads();
    ada.shows("her name", "document.querySelector('#name-button').textContent === 'Ada'");
}

/// Nothing is said in the name of a guest.
#[test]
fn whoever_was_removed_while_the_line_was_down_takes_the_name_again() {
    let options = ["--admin-token", "a-token-of-the-admin"];
    let (program, browser) = (Program::start_plainly(&options), Browser::start());
    let mut bob = browser.enters(&program, "#physics", "Bob");
    let line = Line::to(program.address());
    let mut ada = browser.opens_at(&format!("http://{}/#physics", line.address()));
    ada.is_asked_for_a_name();
    ada.takes_the_name("Ada");
    ada.is_connected_to("physics");
    let user = ada.awaits("fetch('users/me').then((it) => it.json())")["id"].clone();
    line.swallows(Swallowed::Answers);
    ada.says("before");
    bob.hears("Ada", "before"); // and she does not know
    let key = bearer("a-token-of-the-admin");
    let removed =
        program.is_visited().asks(request("DELETE", &format!("/users/{user}"), &[&key], ""));
    assert_eq!(removed.status, 204, "{removed:?}");
    line.breaks();
    ada.shows(
        "that it is lost",
        "document.querySelector('#log').textContent.includes('Connection lost.')",
    );
    ada.says("after");
    bob.hears("Ada", "after");
    assert_eq!(ada.asks("document.querySelector('#name-dialog').open"), false);
    assert_eq!(ada.awaits("fetch('users/me').then((it) => it.status)"), 200);
    // She is another user now, of whom the server does not know what she has said.
    ada.shows(
        "the question",
        "document.querySelector('#waiting').textContent.includes('It may have been heard.')",
    );
    ada.chooses("Discard");
    for tab in [&mut ada, &mut bob] {
        let heard = ["before", "after"].map(|text| ("Ada".to_owned(), text.to_owned()));
        assert_eq!(tab.log(), heard);
    }
}

#[test]
fn a_guest_who_takes_a_name_does_not_leave() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut bob = browser.enters(&program, "", "Bob");
    let mut ada = browser.enters_as_a_guest(&program, "");
    ada.says("who am I?");
    bob.hears_text("who am I?");
    bob.asks("told = []; new MutationObserver(() => told.push(document.querySelector('#log').textContent))
        .observe(document.querySelector('#log'), { childList: true, subtree: true, characterData: true }); 0");
    ada.clicks("#name-button");
    ada.takes_the_name("Ada");
    ada.says("Ada");
    bob.hears("Ada", "Ada");
    bob.shows(
        "her by her name",
        "document.querySelector('#log .notice')?.textContent === 'Ada came'",
    );
    assert_eq!(bob.asks("told.some((it) => it.includes(' left'))"), false);
    assert_eq!(bob.asks("document.querySelector('#people-button').textContent"), "2 people");
}

#[test]
fn a_name_that_somebody_else_has_by_now_is_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("other").display().to_string();
    let other = Program::start_plainly(&["--data", &data]);
    let browser = Browser::start();
    let _other_ada = browser.enters(&other, "", "Ada");
    other.gets_signal("TERM");
    other.ends();

    let program = Program::start_plainly(&[]);
    let address = program.address().to_string();
    let mut ada = browser.enters(&program, "#physics", "Ada");
    program.gets_signal("KILL");
    program.ends();
    ada.has_state("waiting");
    ada.says("meanwhile");
    let mut command = Program::command();
    command.args(["--listen", &address, "--data", &data]);
    let program = Program::spawn_plainly(command);
    let mut script = program.joins("physics");
    ada.shows("that it is taken", &format!("{TROUBLE}.includes('Somebody has this name')"));
    ada.is_asked_for_a_name();
    script.says("nothing before");
    script.hears("nothing before");
    ada.takes_the_name("Ada L.");
    script.hears("meanwhile");
    ada.hears("Ada L.", "meanwhile");
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

/// Nobody is left nowhere: the page stays where it was, or goes to the lobby.
#[test]
fn an_impossible_room_is_refused_and_spaces_are_mended() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.opens(&program, "#größe");
    ada.stays_a_guest();
    ada.is_connected_to("lobby");
    let told =
        |text: &str| format!("document.querySelector('#log').textContent.includes({text:?})");
    ada.shows("why", &told("“größe” is no name for a room: it takes"));
    ada.asks("location.hash = 'my class'");
    ada.is_connected_to("my-class");
    assert_eq!(ada.asks("location.hash"), "#my-class");
    ada.asks("location.hash = 'a/b'");
    ada.shows("why", &told("“a/b” is no name for a room"));
    ada.is_connected_to("my-class");
    assert_eq!(ada.asks("location.hash"), "#my-class");
    // In the dialog, too.
    ada.opens_the_rooms();
    ada.types("#room", "größe");
    ada.presses_enter();
    ada.shows(
        "why",
        "document.querySelector('#room-trouble').textContent.includes('letters A to Z')",
    );
    assert_eq!(ada.asks("document.querySelector('#rooms-dialog').open"), true);
    ada.types("#room", "#our other  class ");
    ada.presses_enter();
    ada.is_connected_to("our-other-class");
    assert_eq!(ada.asks("location.hash"), "#our-other-class");
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
    ada.clicks("#projector form button:last-child");
    ada.sees_no("#projector");
    ada.has_no_complaints();
}
