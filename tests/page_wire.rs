//! The page shows what is on the wire: each frame, the handshake, the echo, why a connection failed;
//! and a tab may be as slow as a bad network, so that a class sees what happens then.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::json;
use support::{Browser, PATIENCE, Program, Tab};

/// What each frame in the panel is, and what it holds.
fn frames(tab: &mut Tab) -> Vec<(String, String)> {
    let shown = tab.asks(
        "[...document.querySelectorAll('#frames li')].filter((it) => !it.hidden).map((it) =>
            [it.querySelector('.what').textContent, it.querySelector('pre').textContent])",
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
    assert!(what.contains(&format!("binary, {} bytes", line.len() + 1 + 34)), "{what}");
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

#[test]
fn frames_are_filtered_held_copied_and_cleared() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    ada.opens_the_wire();
    script.says("apples");
    script.says("pears");
    shows_a_frame(&mut ada, "↓", "pears");
    ada.types("#filter", "APPLE");
    assert_eq!(frames(&mut ada).len(), 1);
    ada.types("#filter", "a");
    ada.asks("copied = ''; document.addEventListener('copy', () => { copied = String(getSelection()); }); 0");
    ada.clicks("#copy");
    ada.shows("the copy", "copied.includes('apples') && copied.includes('pears')");
    ada.clicks("#pause");
    script.says("unseen");
    ada.hears_text("unseen");
    assert!(!frames(&mut ada).iter().any(|(_, payload)| payload.contains("unseen")));
    ada.clicks("#pause");
    ada.clicks("#clear");
    assert_eq!(frames(&mut ada), []);
    script.says("seen again");
    shows_a_frame(&mut ada, "↓", "seen again");
}

#[test]
fn the_handshake_and_the_close_are_explained() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_wire();
    ada.clicks("#wire summary");
    let told = ada.asks("document.querySelector('#handshake').innerText");
    let told = told.as_str().unwrap();
    for line in [
        "→ GET /ws/physics?last=100&files=later&session=… HTTP/1.1",
        "→ Upgrade: websocket",
        "← HTTP/1.1 101 Switching Protocols",
        "← Sec-WebSocket-Protocol: wsroom.v1",
    ] {
        assert!(told.contains(line), "{line} is not in {told}");
    }
    let secret = "sessionStorage.getItem('wsroom.session')";
    assert_eq!(ada.asks(&format!("/^[\\w-]{{22,64}}$/.test({secret})")), true);
    let is_shown = format!("document.documentElement.outerHTML.includes({secret})");
    assert_eq!(ada.asks(&is_shown), false, "the session is a secret");
    program.gets_signal("TERM");
    ada.shows("the close", "document.querySelector('#last-close').textContent === 'Last closed with 1001: The server is stopping or restarting.'");
}

#[test]
fn the_echo_answers_and_is_timed() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "");
    ada.opens_the_wire();
    ada.asks("document.querySelector('#echo-form').closest('details').open = true; 0");
    ada.shows(
        "two round trips",
        "document.querySelector('#plot').getAttribute('points')?.split(' ').length >= 2",
    );
    ada.shows(
        "their time",
        "/There and back in [0-9.]+ ms/.test(document.querySelector('#round-trip').textContent)",
    );
    ada.types("#echo-text", "grüß dich");
    ada.presses_enter();
    ada.shows(
        "it",
        "/^text, [0-9.]+ ms\\ngrüß dich$/.test(document.querySelector('#echo-answer').textContent)",
    );
    ada.clicks("#echo-hex");
    ada.types("#echo-text", "48 65 ff");
    ada.presses_enter();
    ada.shows(
        "it",
        "document.querySelector('#echo-answer').textContent.includes('0000  48 65 ff')",
    );
    ada.types("#echo-text", "4g");
    ada.presses_enter();
    ada.shows("what is wrong", "!document.querySelector('#echo-text').validity.valid");
    // The panel's own connection ends with it.
    ada.clicks("#wire-button");
    program.logs("left the echo");
    ada.has_no_complaints();
}

#[test]
fn the_echo_comes_back_and_the_last_close_is_of_a_connection() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let address = program.address().to_string();
    let mut ada = browser.enters_as_a_guest(&program, "");
    ada.opens_the_wire();
    ada.asks("document.querySelector('#echo-form').closest('details').open = true; 0");
    let round_trips =
        "document.querySelector('#round-trip').textContent.startsWith('There and back')";
    ada.shows("a round trip", round_trips);
    program.gets_signal("TERM");
    program.ends();
    ada.shows("that it is gone", &format!("!{round_trips}"));
    // Attempts that fail are no connections that end.
    ada.shows(
        "an attempt",
        "document.querySelector('#status').textContent.includes('cannot be reached')",
    );
    assert_eq!(
        ada.asks("document.querySelector('#last-close').textContent"),
        "Last closed with 1001: The server is stopping or restarting."
    );
    let _program = Program::start_at(&address);
    ada.shows("round trips again", round_trips);
    ada.types("#echo-text", "there again");
    ada.presses_enter();
    ada.shows("it", "document.querySelector('#echo-answer').textContent.includes('there again')");
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
    shows_a_frame(&mut ada, "↓", "x… of ");
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

#[test]
fn a_slow_student_falls_behind_and_comes_back() {
    let (program, browser) = (Program::start_plainly(&["-v"]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    ada.opens_the_wire();
    ada.asks("(() => { const it = document.querySelector('#slow'); it.closest('details').open = true; it.value = '1000'; it.dispatchEvent(new Event('change')); })()");
    program.logs("is behind");
    ada.is_connected_to("physics");
    let mut script = program.joins("physics");
    let mut said = 0;
    let mut says = |count: usize, size: usize| {
        for number in said..said + count {
            let text = format!("{number} {}", "x".repeat(size));
            script.says(&text);
            script.hears(&text);
        }
        said += count;
    };
    says(30, 800);
    // What the server tells, not what it keeps: it is less with every second.
    ada.shows("what waits", "document.querySelector('#queue').value > 10000 && document.querySelector('#queue').max === 65536 && document.querySelector('#queue-words').textContent.includes('waiting')");
    ada.asks("most = document.querySelector('#queue').value; 0");
    ada.shows("less", "document.querySelector('#queue').value < most");
    assert!(!program.has_logged("too much waited"));
    let asked = ada.asks("performance.getEntriesByType('resource').map((it) => it.name).filter((it) => it.includes('/rooms/'))");
    assert_eq!(asked, json!([]), "nothing is fetched for it");
    says(60, 2_000);
    program.logs("too much waited");
    // At full speed again, nothing is missing.
    ada.asks("(() => { const it = document.querySelector('#slow'); it.value = ''; it.dispatchEvent(new Event('change')); })()");
    ada.shows("all of it", "document.querySelectorAll('#log .message').length === 90");
    let numbers = ada
        .asks("[...document.querySelectorAll('#log .body')].map((it) => parseInt(it.textContent))");
    assert_eq!(numbers, json!((0..90).collect::<Vec<_>>()));
}
