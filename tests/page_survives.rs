//! The page: it comes back from whatever happens, with all that was said meanwhile, and what was
//! written meanwhile is said once.

mod support;

use std::process::Command;

use serde_json::json;
use support::{Browser, Line, Network, Program, Swallowed, Tab, slow_line};

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
    // Or the page would complain of what the kill has cut off.
    ada.has_fetched("presence.js");
    bob.has_fetched("writing.js");

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
fn whoever_does_not_want_to_wait_presses_try_now() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let address = program.address().to_string();
    let mut ada = browser.enters(&program, "#physics", "Ada");
    program.gets_signal("KILL");
    program.ends();
    ada.has_state("waiting");
    ada.reads("#retry", "Try now");
    // From here on the page does nothing by itself.
    ada.asks("window.setTimeout = () => 0; 0");
    let mut command = Program::command();
    command.args(["--listen", &address]);
    let _program = Program::spawn_plainly(command);
    ada.clicks("#retry");
    ada.is_connected_to("physics");
    ada.sees_no("#retry");
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

const NOTHING_WAITS: &str = "document.querySelector('#waiting').childElementCount === 0";

/// The same words each time, from a guest: nothing tells these messages apart but their `ref`.
#[test]
fn when_the_line_is_cut_right_after_a_send_nothing_is_lost_or_said_twice() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let line = Line::to(program.address());
    let mut ada = browser.opens_at(&format!("http://{}/#physics", line.address()));
    ada.stays_a_guest();
    let mut script = program.joins("physics");
    for round in 1..=3 {
        line.swallows(Swallowed::Answers);
        ada.says("ha");
        script.hears("ha"); // it is kept, and she does not know
        line.breaks();
        ada.shows(
            "it as kept",
            &format!("document.querySelectorAll('#log .own .kept').length === {}", 2 * round - 1),
        );
        line.swallows(Swallowed::Words);
        ada.says("ha");
        ada.shows(
            "it under way",
            "document.querySelector('#waiting').textContent.includes('on its way')",
        );
        line.breaks();
        script.hears("ha"); // only now
        ada.shows(
            "it as kept",
            &format!("document.querySelectorAll('#log .own .kept').length === {}", 2 * round),
        );
        ada.shows("nothing that waits", NOTHING_WAITS);
    }
    script.says("the end");
    script.hears("the end");
    ada.hears_text("the end");
    assert_eq!(texts(&mut ada), ["ha", "ha", "ha", "ha", "ha", "ha", "the end"]);
}

/// What a server does not keep, it does not know again.
#[test]
fn what_may_have_been_heard_is_left_to_the_user() {
    let (program, browser) = (Program::start_plainly(&["--history", "0"]), Browser::start());
    let line = Line::to(program.address());
    let mut ada = browser.opens_at(&format!("http://{}/#physics", line.address()));
    ada.stays_a_guest();
    let mut script = program.joins("physics");
    for answer in ["Discard", "Send again"] {
        line.swallows(Swallowed::Answers);
        ada.says(answer);
        script.hears(answer);
        line.breaks();
        ada.shows(
            "the question",
            "document.querySelector('#waiting').textContent.includes('It may have been heard.')",
        );
        ada.is_connected_to("physics");
        assert_eq!(choices(&mut ada), json!(["Send again", "Discard"]));
        ada.chooses(answer);
        ada.shows("nothing that waits", NOTHING_WAITS);
    }
    script.hears("Send again"); // once more, as she wished
    assert_eq!(texts(&mut ada), ["Send again"]);
}

/// What can be done about the only message that waits.
fn choices(tab: &mut Tab) -> serde_json::Value {
    tab.asks("[...document.querySelectorAll('#waiting button')].map((it) => it.textContent)")
}

#[test]
fn what_the_server_refuses_can_be_sent_again_only_if_that_helps() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("kept").display().to_string();
    let mut command = Command::new("sh");
    // Beyond its limit of file sizes a process gets an error, as from a full disk, if this signal is
    // ignored.
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(env!("CARGO_BIN_EXE_wsroom"));
    command.args(["--listen", "127.0.0.1:0", "--data", &data, "--max-message-size", "1K"]);
    let (program, browser) = (Program::spawn_plainly(command), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let mut script = program.joins("physics");
    // The page refuses by itself what is too large. Here it grows on its way.
    ada.asks(
        "send = WebSocket.prototype.send;
        WebSocket.prototype.send = function (it) { send.call(this, it.replace('grows', 'x'.repeat(2_000))); }; 0",
    );
    ada.says("grows");
    ada.shows("why", "document.querySelector('#waiting').textContent.includes('a message has 1024 bytes at most')");
    assert_eq!(choices(&mut ada), json!(["Discard"]));
    ada.chooses("Discard");
    // A disk that is full may have room again.
    program.has_limit("--fsize=1:");
    ada.says("later");
    ada.shows("a choice", "document.querySelectorAll('#waiting button').length === 2");
    assert_eq!(choices(&mut ada), json!(["Send again", "Discard"]));
    program.has_limit("--fsize=unlimited:");
    ada.chooses("Send again");
    script.hears("later");
    ada.hears("Ada", "later");
    assert_eq!(ada.asks(NOTHING_WAITS), true);
}

#[test]
fn a_duplicated_tab_takes_over_and_the_first_one_may_go_on() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut first = browser.enters(&program, "#physics", "Ada");
    let mut script = program.joins("physics");
    first.says("before");
    script.hears("before");
    first.hears("Ada", "before");
    let mut second = browser.duplicates(&mut first);
    second.is_connected_to("physics");
    first.has_state("elsewhere");
    first.shows("why", "document.querySelector('#words').textContent === 'This conversation is open in another tab.'");
    // It does not take the other one's place, whoever looks at it, and what is written there waits.
    first.asks("document.dispatchEvent(new Event('visibilitychange')); window.dispatchEvent(new Event('online')); 0");
    first.says("from the first");
    second.says("from the second");
    script.hears("from the second");
    first.has_state("elsewhere");
    assert_eq!(first.asks("document.querySelector('#retry').textContent"), "Go on here");
    first.clicks("#retry");
    first.is_connected_to("physics");
    script.hears("from the first");
    for tab in [&mut first, &mut second] {
        tab.hears("Ada", "from the first");
        tab.hears("Ada", "from the second");
        assert_eq!(texts(tab), ["before", "from the second", "from the first"]);
        tab.has_state("open");
    }
    let session = "sessionStorage.getItem('wsroom.session')";
    assert_ne!(first.asks(session), second.asks(session));
    // Each goes on with its own.
    first.reloads();
    first.is_connected_to("physics");
    second.says("still here");
    first.hears("Ada", "still here");
    second.has_state("open");
}

/// With its session a tab keeps a guest's name, and knows its own words; and a word that has the same
/// place in the page is not taken for one from before.
#[test]
fn a_guest_who_reloads_is_the_same_one() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut guest = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    let name = guest.asks("document.querySelector('#name-button').textContent");
    for text in ["first", "first of another page"] {
        guest.says(text);
        script.hears(text);
        guest.hears_text(text);
        guest.shows("nothing that waits", NOTHING_WAITS);
        guest.reloads();
        guest.is_connected_to("physics");
    }
    guest.hears_text("first of another page");
    assert_eq!(guest.asks("document.querySelector('#name-button').textContent"), name);
    assert_eq!(guest.asks("document.querySelectorAll('#log .own').length"), 2);
    guest.asks("location.hash = 'chemistry'");
    guest.is_connected_to("chemistry");
    guest.asks("location.hash = 'physics'");
    guest.is_connected_to("physics");
    guest.says("back again");
    script.hears("back again");
}

/// The browser answers the server's pings by itself, and does not tell the page when none come.
#[test]
fn whoever_only_listens_notices_a_dead_line() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let line = Line::to(program.address());
    let mut ada = browser.opens_in_fast_time(&format!("http://{}/#physics", line.address()), 20);
    ada.stays_a_guest();
    let mut script = program.joins("physics");
    line.swallows(Swallowed::Answers);
    script.says("unheard");
    script.hears("unheard");
    ada.shows(
        "that it is lost",
        "document.querySelector('#log').textContent.includes('The server does not answer')",
    );
    line.is_sound();
    ada.hears_text("unheard");
}

/// Nothing is seen of a picture until it is whole: its silence is like that of a dead line. The page
/// gives it more time with each attempt. For her it takes more than a minute.
#[test]
fn a_picture_on_a_very_slow_line_arrives_at_last() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let line = Line::to(program.address());
    let mut ada = browser.opens_in_fast_time(&format!("http://{}/#physics", line.address()), 20);
    ada.stays_a_guest();
    let mut script = program.joins("physics");
    line.is_slow_to_answer(20_000);
    script.shows(&[7; 100_000]);
    ada.shows("it", "document.querySelector('#log .attachment') !== null");
    assert!(notices(&mut ada).contains("does not answer"), "it was not slow");
}

#[test]
fn a_page_that_broke_a_rule_comes_back_when_asked() {
    let (program, browser) =
        (Program::start_plainly(&["--max-message-size", "1K"]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.asks(
        "send = WebSocket.prototype.send;
        WebSocket.prototype.send = function (it) { send.call(this, it.replace('grows', 'x'.repeat(20_000))); }; 0",
    );
    ada.says("grows");
    ada.has_state("stopped");
    ada.shows("why", "document.querySelector('#words').textContent === 'The last message was larger than the server takes.'");
    // It would be the same again: so it is not sent by itself.
    ada.shows("a choice", "document.querySelectorAll('#waiting button').length === 2");
    assert_eq!(ada.asks("document.querySelector('#retry').textContent"), "Try again");
    ada.clicks("#retry");
    ada.is_connected_to("physics");
    ada.chooses("Discard");
    ada.says("small");
    ada.hears_text("small");
}

/// Half a character, as scripts and broken clipboards make them, is no JSON.
#[test]
fn half_a_character_is_mended() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    ada.asks("document.querySelector('#text').value = 'half ' + String.fromCharCode(0xd83d); document.querySelector('#send').click(); 0");
    script.hears("half \u{fffd}");
    ada.shows("it as kept", "document.querySelector('#log .own .kept') !== null");
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
    // Chromium lets open WebSockets live on without a network, and waits for the other side's Close
    // then: it is shut as a dead line would be.
    ada.asks(
        "WebSocket.prototype.send = function () {
            const { onclose } = this;
            this.onclose = null;
            this.close();
            onclose.call(this, new CloseEvent('close', { code: 1006 }));
        }; 0",
    );
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
fn a_hidden_page_comes_back_slowly_and_counts_what_it_hears() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let address = program.address().to_string();
    let mut ada = browser.opens_in_fast_time(&format!("{}/#physics", program.url("http")), 10);
    ada.stays_a_guest();
    ada.asks(
        "attempts = 0; Real = WebSocket;
        WebSocket = class extends Real { constructor(...all) { super(...all); attempts += 1; } }; 0",
    );
    ada.asks("Object.defineProperty(document, 'hidden', { value: true, configurable: true }); 0");
    program.gets_signal("KILL");
    program.ends();
    let patience =
        "Number(/ in (\\d+) s/.exec(document.querySelector('#status').textContent)?.[1])";
    ada.shows("a long pause", &format!("{patience} > 10"));
    assert_eq!(ada.asks("attempts"), 0);
    let program = Program::start_at(&address);
    let mut script = program.joins("physics");
    script.says("meanwhile");
    ada.hears_text("meanwhile");
    assert_eq!(ada.asks("attempts"), 1);
    assert_eq!(ada.asks("document.title"), "(1) physics · wsroom");
}

#[test]
fn whoever_looks_or_is_impatient_need_not_wait() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "");
    for hurry in ["look", "press"] {
        // The pause would be half a minute.
        ada.asks(
            "Object.defineProperty(document, 'hidden', { value: true, configurable: true }); 0",
        );
        assert_eq!(ada.asks("document.querySelector('#retry').hidden"), true);
        ada.asks("send = WebSocket.prototype.send; WebSocket.prototype.send = function () { this.close(); }; 0");
        ada.says(hurry);
        ada.shows("a way to try", "!document.querySelector('#retry').hidden");
        ada.asks("WebSocket.prototype.send = send; 0");
        match hurry {
            "look" => ada.asks(
                "delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); 0",
            ),
            _ => {
                ada.clicks("#retry");
                ada.asks("delete document.hidden; 0")
            }
        };
        ada.is_connected_to("lobby");
    }
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

/// Nothing answers a note that somebody is writing: silence is no sign then.
#[test]
fn a_keystroke_in_a_quiet_room_is_no_reason_to_leave() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut ada = browser.opens_in_fast_time(&program.url("http"), 60);
    ada.stays_a_guest();
    ada.types("#text", "x");
    ada.asks("setTimeout(() => { minutes = 'passed'; }, 120_000); 0");
    ada.shows("two minutes", "globalThis.minutes === 'passed'");
    ada.presses_enter();
    ada.hears_text("x");
    assert_eq!(notices(&mut ada), "");
    assert!(!program.has_logged("left room lobby"));
}

#[test]
fn a_line_that_does_not_answer_is_given_up() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut ada = browser.opens_in_fast_time(&program.url("http"), 60);
    ada.stays_a_guest();
    ada.asks("send = WebSocket.prototype.send; WebSocket.prototype.send = () => {}; 0");
    ada.says("into the void");
    ada.shows(
        "that it is lost",
        "document.querySelector('#log').textContent.includes('The server does not answer')",
    );
    ada.asks("WebSocket.prototype.send = send; 0");
    ada.hears_text("into the void");
}

/// A mebibyte at 20 KB a second takes longer than the server usually takes to answer.
#[test]
fn a_slow_upload_is_heard_once() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut script = program.joins("physics");
    let line = slow_line(program.address(), 20_000 * 20);
    let mut ada = browser.opens_in_fast_time(&format!("http://{line}/#physics"), 20);
    ada.stays_a_guest();
    let bytes = vec![7; 1_000_000];
    ada.sends_file(&browser.has_file("large.bin", &bytes));
    script.sees(&bytes);
    ada.shows("that it is kept", "document.querySelector('#log .kept') !== null");
    ada.says("the end");
    script.hears("the end");
    assert_eq!(notices(&mut ada), "");
}

/// What she says is answered when the picture that was on its way to her is there.
#[test]
fn a_slow_student_is_not_taken_for_a_dead_line() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut ada = browser.opens_in_fast_time(&format!("{}/#physics", program.url("http")), 60);
    ada.stays_a_guest();
    ada.opens_the_wire();
    ada.unfolds("#slow");
    ada.picks("#slow", "10000");
    ada.is_connected_to("physics");
    let mut script = program.joins("physics");
    // Six seconds, six minutes for her.
    script.shows(&[7; 60_000]);
    script.sees(&[7; 60_000]);
    ada.says("nice");
    ada.hears_text("nice");
    let notices = notices(&mut ada);
    assert!(!notices.contains("does not answer"), "{notices}");
}

#[test]
fn an_upload_is_not_sent_twice_to_somebody_who_changes_meanwhile() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut script = program.joins("physics");
    let line = slow_line(program.address(), 200_000);
    let mut ada = browser.opens_at(&format!("http://{line}/#physics"));
    ada.stays_a_guest();
    ada.opens_the_wire();
    let bytes = vec![7; 600_000];
    ada.sends_file(&browser.has_file("large.bin", &bytes));
    ada.shows(
        "it on its way",
        "document.querySelector('#waiting').textContent.includes('on its way')",
    );
    // Another pace and back, another name, and a word more, all before it is there.
    for pace in ["10000", ""] {
        ada.asks(&format!("(() => {{ const it = document.querySelector('#slow'); it.closest('details').open = true; it.value = '{pace}'; it.dispatchEvent(new Event('change')); }})()"));
    }
    ada.clicks("#name-button");
    ada.types("#name", "Ada");
    ada.presses_enter();
    ada.shows("no dialog", "!document.querySelector('#name-dialog').open");
    ada.says("and this");
    script.sees(&bytes);
    script.hears("and this");
    ada.hears("Ada", "and this");
    assert_eq!(ada.log().len(), 2, "{:?}", ada.log());
}

#[test]
fn what_has_become_too_large_can_be_discarded() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let address = program.address().to_string();
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    program.gets_signal("KILL");
    program.ends();
    ada.has_state("waiting");
    ada.says(&"long ".repeat(500));
    let mut command = Program::command();
    command.args(["--listen", &address, "--max-message-size", "1K"]);
    let _program = Program::spawn_plainly(command);
    ada.is_connected_to("physics");
    ada.shows(
        "why it is not sent",
        "document.querySelector('#waiting').textContent.includes('Not sent: it has 2 KB, and a message here has 1 KB at most.')",
    );
    assert_eq!(ada.asks("document.querySelectorAll('#waiting button').length"), 1);
    ada.shows("the end", "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight < 2)(document.querySelector('#scroller'))");
    ada.clicks("#waiting button");
    assert_eq!(ada.asks("document.querySelector('#waiting').childElementCount"), 0);
    ada.says("short");
    ada.hears_text("short");
    ada.is_connected_to("physics");
}
