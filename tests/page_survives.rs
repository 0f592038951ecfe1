//! The page: it comes back from whatever happens, with all that was said meanwhile, and what was
//! written meanwhile is said once.

mod support;

use support::{Browser, Network, Program, Tab};

fn texts(tab: &mut Tab) -> Vec<String> {
    tab.log().into_iter().map(|(_, text)| text).collect()
}

fn notices(tab: &mut Tab) -> String {
    tab.asks(
        "[...document.querySelectorAll('#log .notice')].map((it) => it.textContent).join('\\n')",
    )
    .as_str()
    .unwrap()
    .to_owned()
}

#[test]
fn after_a_kill_everything_is_there_and_what_waited_is_said_once() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("kept").display().to_string();
    let (program, browser) = (Program::start_plainly(&["--data", &data]), Browser::start());
    let address = program.address().to_string();
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    ada.says("before");
    ada.hears("Ada", "before");
    bob.hears("Ada", "before");

    program.gets_signal("KILL");
    assert_eq!(program.ends().0, None);
    for tab in [&mut ada, &mut bob] {
        tab.has_state("waiting");
        tab.shows("why", "document.querySelector('#status').textContent.includes('Trying again')");
    }
    // What is written meanwhile waits, visibly.
    ada.says("meanwhile");
    ada.shows("it waits", "document.querySelector('#waiting').textContent.includes('meanwhile')");
    assert_eq!(ada.asks("document.querySelector('#text').value"), "");

    let mut command = Program::command();
    command.args(["--listen", &address, "--data", &data]);
    let program = Program::spawn_plainly(command);
    let mut script = program.joins("physics");
    script.says("first");
    script.hears("first");
    for tab in [&mut ada, &mut bob] {
        tab.is_connected_to("physics");
    }
    bob.hears("Ada", "meanwhile");
    bob.says("welcome back");
    for tab in [&mut ada, &mut bob] {
        tab.hears("Bob", "welcome back");
        let mut heard = texts(tab);
        assert_eq!(heard.pop().as_deref(), Some("welcome back"));
        // Whoever was first back: each is there, and once.
        heard[1..].sort();
        assert_eq!(heard, ["before", "first", "meanwhile"]);
        // Chromium itself reports each attempt that finds no server.
        tab.has_no_complaints_but("ERR_CONNECTION_REFUSED");
    }
    assert_eq!(ada.asks("document.querySelector('#waiting').childElementCount"), 0);
}

#[test]
fn what_was_kept_just_before_the_break_is_not_said_twice() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let mut script = program.joins("physics");
    // Her message leaves, and its echo never comes: the connection is gone.
    ada.asks(
        "send = WebSocket.prototype.send;
        WebSocket.prototype.send = function (it) { send.call(this, it); this.onmessage = null; setTimeout(() => this.close(), 200); }; 0",
    );
    ada.says("just in time");
    script.hears("just in time");
    ada.asks("WebSocket.prototype.send = send; 0");
    ada.shows("it as kept", "document.querySelector('#log .own .kept') !== null");
    ada.is_connected_to("physics");
    assert_eq!(ada.asks("document.querySelector('#waiting').childElementCount"), 0);
    ada.says("and on");
    script.hears("and on");
    ada.hears("Ada", "and on");
    assert_eq!(texts(&mut ada), ["just in time", "and on"]);
}

#[test]
fn what_came_in_between_is_fetched_and_counted() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let mut script = program.joins("physics");
    script.says("heard");
    script.hears("heard");
    ada.hears_text("heard");
    ada.has_network(Network::Down);
    ada.asks("sockets = 0; 0");
    // Chromium lets open WebSockets live on without a network: it is shut as a dead line would be.
    ada.asks("WebSocket.prototype.send = function () { this.close(); }; 0");
    ada.types("#text", "x");
    ada.shows("that it is lost", "document.querySelector('#status').dataset.state !== 'open'");
    for number in 0..3 {
        script.says(&format!("missed {number}"));
        script.hears(&format!("missed {number}"));
    }
    ada.has_network(Network::Up);
    ada.is_connected_to("physics");
    ada.hears_text("missed 2");
    assert_eq!(texts(&mut ada), ["heard", "missed 0", "missed 1", "missed 2"]);
    assert!(notices(&mut ada).contains("3 came in between"), "{}", notices(&mut ada));
}

#[test]
fn what_is_gone_for_good_is_said() {
    let (program, browser) = (Program::start_plainly(&["--history", "5"]), Browser::start());
    let address = program.address().to_string();
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let mut script = program.joins("physics");
    script.says("before");
    ada.hears_text("before");
    // Without a file everything ends with the server.
    program.gets_signal("KILL");
    program.ends();
    let program = Program::start_at(&address);
    ada.is_connected_to("physics");
    ada.shows(
        "that something is gone",
        "document.querySelector('#log').textContent.includes('gone for good')",
    );
    program.joins("physics").says("a new beginning");
    ada.hears_text("a new beginning");
}

#[test]
fn a_server_that_stops_is_no_mystery() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let address = program.address().to_string();
    let mut ada = browser.enters(&program, "", "Ada");
    program.gets_signal("TERM");
    // The page answers the Close, so the end is an orderly one.
    let (status, log) = program.ends();
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("left room lobby: closed"), "{log}");
    ada.has_state("waiting");
    ada.shows(
        "why",
        "document.querySelector('#log').textContent.includes('stopping or restarting')",
    );
    let _program = Program::start_at(&address);
    ada.is_connected_to("lobby");
}

#[test]
fn nobody_is_bothered_while_the_page_is_hidden() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let address = program.address().to_string();
    let mut ada = browser.enters_as_a_guest(&program, "");
    ada.is_connected_to("lobby");
    ada.asks(
        "attempts = 0; Real = WebSocket;
        WebSocket = class extends Real { constructor(...all) { super(...all); attempts += 1; } }; 0",
    );
    ada.asks("Object.defineProperty(document, 'hidden', { value: true, configurable: true }); 0");
    program.gets_signal("KILL");
    program.ends();
    ada.shows(
        "that it waits for her",
        "document.querySelector('#status').textContent.includes('when you are back')",
    );
    let _program = Program::start_at(&address);
    assert_eq!(ada.asks("attempts"), 0);
    // And at once when the browser has a network again, once she looks.
    ada.asks("delete document.hidden; window.dispatchEvent(new Event('online')); 0");
    assert_eq!(ada.asks("attempts"), 1);
    ada.is_connected_to("lobby");
}

#[test]
fn what_cannot_be_sent_any_more_is_told() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    program.gets_signal("KILL");
    program.ends();
    ada.has_state("waiting");
    ada.says("too late");
    ada.asks("location.hash = 'chemistry'");
    ada.shows(
        "what was not sent",
        "document.querySelector('#log').textContent.includes('Not sent to #physics: too late')",
    );
    // And one that waits can be taken back.
    ada.says("no, rather not");
    ada.clicks("#waiting button");
    assert_eq!(ada.asks("document.querySelector('#waiting').childElementCount"), 0);
}
