//! The page draws real frames, as the server tells them: the handshake, and each frame bit by bit.

mod support;

use serde_json::Value;
use support::{Browser, Program, Tab};
use tungstenite::handshake::derive_accept_key;

/// What stands behind a word in a text, to the end of the line.
fn behind<'a>(text: &'a str, word: &str) -> &'a str {
    let rest = text.split(word).nth(1).unwrap_or_else(|| panic!("no {word} in {text}"));
    rest.lines().next().unwrap_or_default().trim()
}

#[test]
fn the_handshake_is_the_one_that_the_server_saw() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_wire();
    ada.clicks("#wire summary");
    ada.reads("#handshake", "101 Switching Protocols");
    let told = ada.asks("document.querySelector('#handshake').innerText");
    let told = told.as_str().unwrap();
    for line in ["→ GET /echo?frames HTTP/1.1", "→ Upgrade: websocket", "← upgrade: websocket"]
    {
        assert!(told.contains(line), "{line} is not in {told}");
    }
    assert_eq!(behind(told, "→ Host: "), program.address().to_string());
    let key = behind(told, "→ Sec-WebSocket-Key: ");
    assert_eq!(behind(told, "← sec-websocket-accept: "), derive_accept_key(key.as_bytes()));
    // The room's own is not made up.
    assert!(!told.contains("/ws/physics"), "{told}");
    ada.reads(
        "#wire",
        "A browser shows a page nothing of the handshake of the room's own connection.",
    );
    let secret = "sessionStorage.getItem('wsroom.session')";
    assert_eq!(ada.asks(&format!("/^[\\w-]{{22,64}}$/.test({secret})")), true);
    let is_shown = format!("document.documentElement.outerHTML.includes({secret})");
    assert_eq!(ada.asks(&is_shown), false, "the session is a secret");
    ada.has_no_complaints();
}

/// The frames that are drawn.
fn drawn(tab: &mut Tab) -> Vec<Drawn> {
    let told = tab.asks(
        "[...document.querySelectorAll('.frame')].map((it) => [
            it.querySelector('summary').textContent,
            [...it.querySelectorAll('.bits b')].map((it) => it.textContent).join(''),
            [...it.querySelectorAll('ul li')].map((it) => it.textContent).join('\\n'),
            it.querySelector('pre')?.textContent ?? '',
        ])",
    );
    let told: Vec<[String; 4]> = serde_json::from_value(told).expect("strings");
    told.into_iter()
        .map(|[title, bits, words, payload]| Drawn { title, bits, words, payload })
        .collect()
}

#[derive(Debug)]
struct Drawn {
    title: String,
    bits: String,
    words: String,
    payload: String,
}

impl Drawn {
    fn header(&self) -> Vec<u8> {
        bytes(behind(&self.words, "header "))
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
}

fn bits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:08b}")).collect()
}

#[test]
fn a_frame_is_drawn_bit_by_bit_and_unmasked_byte_by_byte() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_experiments();
    ada.types("#echo-text", "Hello");
    ada.presses_enter();
    assert!(ada.reads_the_end().contains("closed with 1000"));
    let frames = drawn(&mut ada);
    let [received, answered] = frames.as_slice() else { panic!("{frames:?}") };

    assert_eq!(
        received.title,
        "The server received: text, 11 bytes on the wire, 5 of them payload"
    );
    let [masked, key, plain] =
        ["masked ", "⊕ key  ", "= byte "].map(|word| bytes(behind(&received.payload, word)));
    assert_eq!(plain, b"Hello");
    let unmasked: Vec<u8> = masked.iter().zip(&key).map(|(byte, key)| byte ^ key).collect();
    assert_eq!(unmasked, b"Hello");
    let header = received.header();
    assert_eq!((header[..2].to_vec(), &header[2..]), (vec![0x81, 0x85], &key[..4]));
    assert_eq!(received.bits, bits(&[header, masked].concat()));
    for words in ["FIN 1", "opcode 1: text", "MASK 1", "length 5: in the 7 bits"] {
        assert!(received.words.contains(words), "{received:?}");
    }

    assert_eq!(answered.title, "The server answers: text, 7 bytes on the wire, 5 of them payload");
    assert_eq!(answered.bits, bits(b"\x81\x05Hello"));
    assert!(answered.words.contains("MASK 0"), "{answered:?}");
    ada.has_no_complaints();
}

#[test]
fn a_length_takes_7_bits_16_more_or_64_more() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_experiments();
    for (length, short, words) in [
        (125, 125, "in the 7 bits"),
        (126, 126, "so they hold 126, and 16 more bits hold it"),
        (70_000, 127, "so they hold 127, and 64 more bits hold it"),
    ] {
        ada.asks(&format!("document.querySelector('#echo-text').value = 'x'.repeat({length}); 0"));
        ada.clicks("#echo-form button");
        ada.reads("#steps", &format!("length {length}: "));
        ada.reads_the_end();
        let frames = drawn(&mut ada);
        for frame in [frames.first().unwrap(), frames.last().unwrap()] {
            assert!(frame.words.contains(&format!("length {length}: ")), "{frame:?}");
            assert!(frame.words.contains(words), "{frame:?}");
            assert_eq!(frame.bits[9..16], format!("{short:07b}"), "{frame:?}");
            let extended = frame.header()[2..].to_vec();
            let shown = u64::from_str_radix(
                match short {
                    126 => &frame.bits[16..32],
                    127 => &frame.bits[16..80],
                    _ => &frame.bits[9..16],
                },
                2,
            );
            assert_eq!(shown.unwrap(), length, "{extended:?}");
        }
        let more = length > 64;
        assert_eq!(frames[0].payload.contains(&format!("… of {length} bytes")), more);
    }
}

/// A diagram has no more bits in a row than the RFC's.
#[test]
fn a_diagram_has_32_bits_in_a_row_at_any_width() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.opens_the_experiments();
    ada.clicks("#echo-form button");
    ada.reads_the_end();
    let widths = "[...document.querySelectorAll('.bits tr')].map((it) => [...it.cells].reduce((sum, { colSpan }) => sum + colSpan, 0))";
    let widths: Vec<u32> = serde_json::from_value(ada.asks(widths)).unwrap();
    assert!(widths.len() >= 6 && widths.iter().all(|width| *width == 32), "{widths:?}");
    for size in [(320, 600), (390, 844), (1280, 800)] {
        ada.has_a_window_of(size);
        ada.shows("its new size", &format!("innerWidth === {}", size.0));
        let beyond = "(() => { const edge = document.querySelector('#wire').getBoundingClientRect().right;
            return [...document.querySelectorAll('.bits td, .frame pre')].filter((it) => it.getBoundingClientRect().right > edge || it.scrollWidth > it.clientWidth + 1).map((it) => it.textContent); })()";
        assert_eq!(ada.asks(beyond), Value::Array(Vec::new()), "{size:?}");
    }
}

#[test]
fn the_echo_is_timed_and_comes_back_by_itself() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let address = program.address().to_string();
    let mut ada = browser.enters_as_a_guest(&program, "");
    ada.opens_the_experiments();
    ada.shows(
        "two round trips",
        "document.querySelector('#plot').getAttribute('points')?.split(' ').length >= 2",
    );
    let time =
        "/^There and back in [0-9.]+ ms/.test(document.querySelector('#round-trip').textContent)";
    ada.shows("their time", time);
    program.gets_signal("TERM");
    program.ends();
    ada.shows("that it is gone", &format!("!{time}"));
    let program = Program::start_at(&address);
    ada.shows("round trips again", time);
    ada.clicks("#echo-form button");
    assert!(ada.reads_the_end().contains("closed with 1000"));
    // The panel's own connection ends with it.
    ada.clicks("#wire-button");
    program.logs("left the echo");
}
