//! The page shows what is on the wire: each message of the room, from the start on, and why a
//! connection failed.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use support::{Browser, PATIENCE, Program, Tab, follow_each_other};

/// What each frame in the panel is, and what it holds.
fn frames(tab: &mut Tab) -> Vec<(String, String)> {
    let shown = tab.asks(
        "[...document.querySelectorAll('#frames li')].filter((it) => !it.hidden).map((it) =>
            [it.querySelector('.what').textContent, it.querySelector('.line').textContent])",
    );
    serde_json::from_value(shown).expect("pairs of strings")
}

fn shows_a_frame(tab: &mut Tab, sign: &str, part: &str) {
    let js = format!(
        "[...document.querySelectorAll('#frames li')].some((it) =>
            it.textContent.startsWith({sign:?}) && it.textContent.includes({part:?}))"
    );
    tab.shows(part, &js);
}

#[test]
fn each_frame_is_shown_as_it_passes() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    ada.opens_the_wire();
    ada.says("to be seen");
    shows_a_frame(&mut ada, "↑", r#""text":"to be seen","ref":"#);
    shows_a_frame(&mut ada, "↓", r#""user":1,"name":"Ada"}"#);
    let mut script = program.joins("physics");
    script.shows(b"\x00\x01Hello, this is more than a line\xff");
    shows_a_frame(
        &mut ada,
        "↓",
        "0000  00 01 48 65 6c 6c 6f 2c  ..Hello,\n0008  20 74 68 69 73 20 69 73   this is",
    );
    // One frame: its line of JSON, and the bytes behind it.
    let (what, line) = frames(&mut ada).pop().unwrap();
    assert!(line.starts_with(r#"{"type":"binary","id":"#) && line.ends_with('}'), "{line}");
    let payload = line.len() + 1 + 34;
    let sizes = format!("binary, payload {payload} bytes, wire {}", 4 + payload);
    assert!(what.ends_with(&sizes), "{what}");
    // What they mean can be read.
    let answer =
        ada.awaits("fetch(document.querySelector('#wire a').href).then((it) => it.status)");
    assert_eq!(answer, 200);
    ada.shows(
        "sums",
        "/↓ \\d+ in, .* ↑ \\d+ out, /.test(document.querySelector('#totals').textContent)",
    );
    ada.has_no_complaints();
}

/// The panel has lines with these parts, in their order.
fn shows_frames_of(tab: &mut Tab, parts: &[&str]) {
    let lines: Vec<String> = frames(tab).into_iter().map(|(_, line)| line).collect();
    follow_each_other(&lines, parts);
}

#[test]
fn what_passed_before_the_panel_was_opened_is_there() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    script.says("before");
    ada.says("mine");
    ada.hears_text("mine");
    ada.opens_the_wire();
    shows_a_frame(&mut ada, "↑", r#""text":"mine""#);
    shows_frames_of(&mut ada, &["welcome", "live", "before", "mine", "mine"]);
    // While it is closed, too.
    ada.clicks("#wire-button");
    ada.shows("no panel", "document.querySelector('#wire').hidden");
    script.says("meanwhile");
    ada.hears_text("meanwhile");
    ada.clicks("#wire-button");
    shows_a_frame(&mut ada, "↓", "meanwhile");
    shows_frames_of(&mut ada, &["welcome", "before", "meanwhile"]);
}

#[test]
fn the_last_two_hundred_frames_are_kept_and_of_long_ones_the_beginning() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    for number in 0..210 {
        script.says(&format!("number {number}."));
    }
    script.shows(&[7; 100_000]);
    script.says(&"x".repeat(100_000));
    script.says("the last");
    ada.hears_text("the last");
    ada.opens_the_wire();
    shows_a_frame(&mut ada, "↓", "the last");
    let shown = frames(&mut ada);
    assert_eq!(shown.len(), 200);
    assert!(shown[0].1.contains("number 1"), "{:?}", shown[0]);
    let kept = "import('./connection.js').then(({ witness }) =>
        witness.past.map(({ bytes, length }) => [bytes.buffer.byteLength, length]))";
    let kept: Vec<(usize, usize)> = serde_json::from_value(ada.awaits(kept)).unwrap();
    assert!(kept.iter().all(|(kept, _)| *kept <= 4_096), "{kept:?}");
    assert_eq!(kept.iter().filter(|(_, length)| *length > 100_000).count(), 2);
}

#[test]
fn frames_are_filtered_copied_and_cleared() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    ada.opens_the_wire();
    script.says("apples");
    script.says("pears");
    script.says("ripe pears");
    shows_a_frame(&mut ada, "↓", "ripe pears");
    ada.types("#filter", "APPLE");
    assert_eq!(frames(&mut ada).len(), 1);
    ada.types("#filter", "pears");
    ada.asks("copied = ''; document.addEventListener('copy', () => { copied = String(getSelection()); }); 0");
    ada.clicks("#copy");
    ada.shows("the copy", "copied.includes('pears') && !copied.includes('apples')");
    ada.reads("#wire-note", "Copied 2 frames");
    ada.clicks("#clear");
    assert_eq!(frames(&mut ada), []);
    script.says("more pears");
    shows_a_frame(&mut ada, "↓", "more pears");
}

#[test]
fn frames_are_chosen_by_direction_and_type() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    ada.says("mine");
    ada.hears_text("mine");
    script.shows(b"bytes");
    ada.opens_the_wire();
    shows_a_frame(&mut ada, "↓", "62 79 74 65 73");
    shows_a_frame(&mut ada, "↓", "joined");
    let all = frames(&mut ada).len();
    ada.picks("#direction", "↑");
    let sent = frames(&mut ada);
    assert!(!sent.is_empty() && sent.iter().all(|(what, _)| what.starts_with('↑')), "{sent:?}");
    ada.picks("#direction", "");
    ada.picks("#type", "binary");
    let binary = frames(&mut ada);
    assert!(binary.len() == 1 && binary[0].0.contains("binary"), "{binary:?}");
    // What has passed can be chosen by its name in wsroom.v1.
    ada.picks("#type", "message");
    shows_frames_of(&mut ada, &["mine", "mine"]);
    assert_eq!(frames(&mut ada).len(), 2);
    ada.picks("#type", "");
    assert_eq!(frames(&mut ada).len(), all);
}

#[test]
fn what_comes_during_a_pause_is_shown_afterwards() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    ada.opens_the_wire();
    shows_a_frame(&mut ada, "↓", "joined");
    ada.clicks("#pause");
    for text in ["one", "two"] {
        script.says(text);
        ada.hears_text(text);
    }
    ada.reads("#pause", "Resume, 2 new");
    assert!(!frames(&mut ada).iter().any(|(_, line)| line.contains("one")));
    ada.clicks("#pause");
    shows_a_frame(&mut ada, "↓", "two");
    shows_frames_of(&mut ada, &["joined", "one", "two"]);
    assert_eq!(ada.asks("document.querySelector('#pause').textContent"), "Pause");
}

#[test]
fn json_unfolds_into_many_lines() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_wire();
    shows_a_frame(&mut ada, "↓", "live");
    ada.clicks("#frames li:last-child summary");
    ada.shows(
        "its lines",
        r#"document.querySelector('#frames li:last-child pre')?.textContent.startsWith('{\n  "type": "live",\n  "last": ')"#,
    );
}

#[test]
fn the_close_is_told_and_stays() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_wire();
    program.gets_signal("TERM");
    let told = "Last closed with 1001: The server is stopping or restarting.";
    ada.reads("#last-close", told);
    shows_a_frame(&mut ada, "×", "1001: The server is stopping or restarting.");
    program.ends();
    // Attempts that fail are no connections that end.
    ada.reads("#status", "cannot be reached");
    assert_eq!(ada.asks("document.querySelector('#last-close').textContent"), told);
}

#[test]
fn a_long_frame_is_cut_and_its_lines_stay_whole() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    ada.opens_the_wire();
    script.shows(&[7; 1_000]);
    shows_a_frame(&mut ada, "↓", "\n… of 1000 bytes");
    script.says(&"x".repeat(5_000));
    shows_a_frame(&mut ada, "↓", "x… of 51");
    for size in [(1280, 800), (390, 844)] {
        ada.has_a_window_of(size);
        ada.shows("its new size", &format!("innerWidth === {}", size.0));
        let fits = ada.asks(
            "(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(document.querySelector('#frames pre.binary'))",
        );
        assert_eq!(fits, true, "{size:?}");
        let lines = ada.asks(
            "(() => { const it = document.querySelector('#frames pre.binary'), range = new Range();
                range.selectNodeContents(it.firstChild ? it : it);
                return new Set([...range.getClientRects()].map(({ top }) => top)).size; })()",
        );
        assert_eq!(lines, 1_000 / 8 - (1_000 - 256) / 8 + 1, "{size:?}");
    }
}

/// On a phone there is no room for both, the log and the wire.
#[test]
fn on_a_phone_the_wire_has_the_place_of_the_log() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    ada.has_a_window_of((390, 844));
    for number in 0..30 {
        script.says(&format!("line {number}"));
    }
    ada.hears_text("line 29");
    ada.opens_the_wire();
    // What is seen of it: the panel may have to be scrolled.
    let height = ada.asks(
        "(() => { const [frames, panel] = ['#frames', '#wire'].map((it) => document.querySelector(it).getBoundingClientRect());
            return Math.min(frames.bottom, panel.bottom) - Math.max(frames.top, panel.top); })()",
    );
    assert!(height.as_f64().unwrap() > 280.0, "{height}");
    script.says("the last");
    ada.hears_text("the last");
    ada.clicks("#wire-button");
    ada.shows(
        "the newest message",
        "[...document.querySelectorAll('#log .message')].at(-1).getBoundingClientRect().bottom
            <= document.querySelector('footer').getBoundingClientRect().top",
    );
}

/// A proxy that passes requests on, but takes out what asks for a WebSocket, as many do.
fn proxy_that_drops_upgrade(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                client.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if client.read(&mut byte).unwrap_or(0) == 0 {
                        return;
                    }
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let kept: Vec<_> = head
                    .split_inclusive("\r\n")
                    .filter(|line| {
                        !line.starts_with("Upgrade:") && !line.starts_with("Connection:")
                    })
                    .collect();
                let mut server = TcpStream::connect(server).unwrap();
                server.write_all(kept.concat().as_bytes()).unwrap();
                let _ = std::io::copy(&mut server, &mut client);
            });
        }
    });
    address
}

#[test]
fn a_proxy_that_drops_upgrade_is_found_out() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let proxy = proxy_that_drops_upgrade(program.address());
    let mut ada = browser.opens_at(&format!("http://{proxy}/"));
    ada.is_asked_for_a_name();
    ada.clicks("#guest");
    ada.shows(
        "why",
        "document.querySelector('#status').textContent.includes('WebSockets do not get through')",
    );
    // The next attempt would fare no better. Somebody may have mended the proxy.
    ada.has_state("stopped");
    assert_eq!(ada.asks("document.querySelector('#retry').textContent"), "Try again");
    ada.opens_the_wire();
    ada.shows("what to do", "document.querySelector('#proxy-help').offsetHeight > 0 &&
        document.querySelector('#proxy-help').textContent.includes('proxy_set_header Upgrade $http_upgrade;')");
}

#[test]
fn a_full_house_is_told_as_the_server_tells_it() {
    // A browser opens several connections at once to load a page.
    let (program, browser) = (Program::start_plainly(&["--max-clients", "20"]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "");
    let _others: Vec<_> = (0..19).map(|_| program.joins("lobby")).collect();
    ada.shows("all", "document.querySelector('#people-button').textContent === '20 people'");
    // Her connection breaks, and somebody else takes the place.
    ada.asks("WebSocket.prototype.send = function () { this.close(); }; 0");
    ada.types("#text", "x");
    ada.shows("that it is lost", "document.querySelector('#status').dataset.state !== 'open'");
    program.logs("left room lobby");
    let _last = program.joins("lobby");
    ada.shows("why", "document.querySelector('#status').textContent.includes('full')");
}
