//! The page is for everyone: by keyboard alone, with a screen reader, large or small, light or dark;
//! and it is light on every network.

mod support;

use serde_json::{Value, json};
use support::{Browser, OWNED, Program, axe, has_no_barrier};

#[test]
fn no_barrier_is_found_in_either_theme() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.opens(&program, "#physics");
    ada.is_asked_for_a_name();
    // Driven from outside, it need not pass the page's policy.
    ada.asks(&(axe() + "; 0"));
    let mut script = program.joins("physics");
    for scheme in ["light", "dark"] {
        ada.prefers(scheme);
        has_no_barrier(&mut ada, &format!("the name, {scheme}"));
    }
    ada.takes_the_name("Ada");
    script.says("hello https://example.org/");
    script.says(&"long ".repeat(500));
    script.says("see `code`, and\n```\nlines\n```");
    ada.says("hello");
    ada.sends_file(&browser.has_file("notes.bin", b"notes"));
    ada.shows("a file", "document.querySelector('#log .attachment') !== null");
    for scheme in ["light", "dark"] {
        ada.prefers(scheme);
        has_no_barrier(&mut ada, &format!("the log, {scheme}"));
        ada.clicks("#people-button");
        ada.opens_the_experiments();
        ada.asks("document.querySelectorAll('details').forEach((it) => { it.open = true; }); 0");
        ada.clicks("#echo-form button");
        ada.reads_the_end();
        has_no_barrier(&mut ada, &format!("the panels, {scheme}"));
        ada.clicks("#people-button");
        ada.clicks("#wire-button");
        ada.clicks("#history-button");
        ada.shows("the history", "document.querySelector('#history')?.hidden === false");
        has_no_barrier(&mut ada, &format!("the history, {scheme}"));
        ada.clicks("#history-button");
        ada.opens_the_rooms();
        has_no_barrier(&mut ada, &format!("the rooms, {scheme}"));
        ada.presses_escape();
        ada.clicks("#projector-button");
        ada.shows("the code", "document.querySelector('#projector[open]') !== null");
        has_no_barrier(&mut ada, &format!("the projector, {scheme}"));
        ada.clicks("#projector-view");
        has_no_barrier(&mut ada, &format!("the code alone, {scheme}"));
        ada.clicks("#projector-view");
        ada.presses_escape();
    }
}

/// What a leader and the members of a room with rules see.
#[test]
fn no_barrier_is_found_where_a_room_is_led() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    let mut bob = browser.enters(&program, "#physics", "Bob");
    for tab in [&mut ada, &mut bob] {
        tab.asks(&(axe() + "; 0"));
    }
    bob.says("hello");
    bob.clicks("#hand-button");
    bob.reads("#hands", "Bob");
    ada.clicks("#people-button");
    ada.turns_to("hello");
    ada.clicks("#pin-message");
    ada.reads("#pinned", "hello");
    ada.turns_to_member("Bob");
    ada.clicks("#mute-member");
    bob.may_not_speak_because("A leader has muted you");
    for scheme in ["light", "dark"] {
        bob.prefers(scheme);
        has_no_barrier(&mut bob, &format!("muted, {scheme}"));
        ada.prefers(scheme);
        has_no_barrier(&mut ada, &format!("a leader, {scheme}"));
        for dialog in
            ["#room-dialog", "#lead-dialog", "#key-dialog", "#message-dialog", "#member-dialog"]
        {
            ada.asks(&format!("document.querySelector({dialog:?}).showModal(); 0"));
            has_no_barrier(&mut ada, &format!("{dialog}, {scheme}"));
            ada.presses_escape();
        }
    }
}

/// One button of the log is in the order of the keyboard, and the arrows lead to the others.
#[test]
fn a_room_can_be_led_by_keyboard() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    let mut script = program.joins("physics");
    for text in ["one", "two", "three"] {
        script.says(text);
        ada.hears_text(text);
    }
    ada.asks("document.querySelector('#scroller').focus(); 0");
    ada.shows("three buttons", "document.querySelectorAll('#log .deeds').length === 3");
    ada.presses_tab();
    let of = |text: &str| {
        format!(
            "document.activeElement.parentElement.querySelector('.body')?.textContent === {text:?}"
        )
    };
    ada.shows("the newest one", &of("three"));
    ada.presses(&json!({"key": "ArrowUp", "code": "ArrowUp", "windowsVirtualKeyCode": 38}));
    ada.shows("the one above", &of("two"));
    ada.presses_enter();
    ada.shows("the message", "document.querySelector('#message-dialog')?.open === true");
    ada.presses_enter(); // on its first button
    ada.has_in_the_log(&["one", "three"]);
    ada.shows(
        "the focus in the page",
        "document.activeElement !== null && document.activeElement !== document.body",
    );
}

#[test]
fn everything_fits_at_every_size() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", &"W".repeat(40));
    program.has_a_room_with("physics", &json!({"topic": "W".repeat(200)}));
    ada.clicks("#hand-button");
    ada.reads("#hands", "W");
    let mut script = program.joins("physics");
    script.says(&"x".repeat(300));
    script
        .says("\u{202b}مرحبا بالجميع, and on https://example.org/".trim_start_matches('\u{202b}'));
    ada.says(&"wide ".repeat(40));
    ada.hears_text("wide ".repeat(40).trim_end());
    // 320 px is also what 200 % zoom leaves of 640.
    for size in [(320, 480), (390, 760), (640, 400), (1000, 700), (1900, 1000)] {
        ada.has_a_window_of(size);
        ada.shows("its new size", &format!("innerWidth === {}", size.0));
        for panels in [&[][..], &["#people-button", "#wire-button"], &["#history-button"]] {
            panels.iter().for_each(|panel| ada.clicks(panel));
            let both = "document.querySelectorAll('aside:not([hidden])').length";
            ada.shows("the panels", &format!("{both} === {}", panels.len()));
            let beyond = ada.asks(
                "[...document.querySelectorAll('body *')].filter((it) => it.checkVisibility() && !it.closest('.unseen, .more .head, pre') &&
                    (it.getBoundingClientRect().right > innerWidth + 1 || it.getBoundingClientRect().left < -1)).map((it) => it.outerHTML.slice(0, 80))",
            );
            assert_eq!(beyond, json!([]), "{size:?}, {panels:?}");
            assert_eq!(ada.asks("document.documentElement.scrollWidth <= innerWidth"), true);
            let box_in_sight =
                "document.querySelector('#send').getBoundingClientRect().bottom <= innerHeight";
            assert_eq!(ada.asks(box_in_sight), true, "{size:?}, {panels:?}");
            panels.iter().for_each(|panel| ada.clicks(panel));
        }
    }
}

#[test]
fn a_phone_has_its_buttons_in_one_row() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#a-room-with-a-long-name", &"W".repeat(40));
    ada.has_a_finger_for_a_mouse();
    for width in [320, 390, 640, 800] {
        ada.has_a_window_of((width, 760));
        ada.shows("its new size", &format!("innerWidth === {width}"));
        let is_one_row = "(() => {
            const all = [...document.querySelectorAll('header button')].map((it) => it.getBoundingClientRect());
            return Math.max(...all.map(({ top }) => top)) < Math.min(...all.map(({ bottom }) => bottom));
        })()";
        assert_eq!(ada.asks(is_one_row), true, "{width} px");
        let narrowest = ada.asks("Math.min(...[...document.querySelectorAll('header button')].map((it) => it.getBoundingClientRect().width))");
        assert!(narrowest.as_f64().unwrap() >= 36.0, "{width} px: {narrowest} px for a finger");
    }
    // What is an icon there has a name all the same.
    ada.has_a_window_of((390, 760));
    for (button, name) in [("#wire-button", "The wire"), ("#projector-button", "Projector")] {
        ada.shows("an icon", &format!("document.querySelector('{button} svg').checkVisibility()"));
        assert_eq!(
            ada.asks(&format!("document.querySelector({button:?}).textContent.trim()")),
            name
        );
    }
    // The log has most of the height.
    let share = ada.asks("document.querySelector('#scroller').clientHeight / innerHeight");
    assert!(share.as_f64().unwrap() > 0.7, "{share}");
}

#[test]
fn a_phone_says_in_a_line_or_two_why_there_is_no_connection() {
    let (program, browser) = (Program::start_plainly(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    program.gets_signal("KILL");
    program.ends();
    ada.has_state("waiting");
    ada.reads("#retry", "Try now");
    for width in [320, 390] {
        ada.has_a_window_of((width, 640));
        ada.shows("its new size", &format!("innerWidth === {width}"));
        let height = ada.asks("document.querySelector('#status').clientHeight");
        assert!(height.as_f64().unwrap() < 45.0, "{width} px: {height} px high");
    }
}

/// A dialog gives the focus back to its button, which does not look pressed then either.
#[test]
fn what_was_tapped_looks_as_before_when_its_dialog_is_closed() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "");
    ada.has_a_window_of((390, 760));
    ada.has_a_finger_for_a_mouse();
    for (button, dialog, close) in [
        ("#rooms-button", "#rooms-dialog", "#rooms-dialog form[method] button"),
        ("#projector-button", "#projector", "#projector form button:last-child"),
        ("#name-button", "#name-dialog", "#guest"),
    ] {
        let looks = format!(
            "(({{ backgroundColor, outlineStyle }}) => backgroundColor + outlineStyle)(getComputedStyle(document.querySelector({button:?})))"
        );
        let untouched = ada.asks(&looks);
        ada.clicks(button);
        ada.shows("the dialog", &format!("document.querySelector({dialog:?})?.open === true"));
        ada.clicks(close);
        ada.sees_no(dialog);
        assert_eq!(ada.asks(&looks), untouched, "{button}");
    }
}

/// A finger leaves `:hover` behind on what it has touched.
#[test]
fn what_a_finger_has_left_does_not_look_pressed() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "");
    let looks = "getComputedStyle(document.querySelector('#people-button')).backgroundColor";
    let untouched = ada.asks(looks);
    // With a mouse it is seen what would be pressed.
    ada.clicks("#people-button");
    ada.clicks("#people-button");
    assert_ne!(ada.asks(looks), untouched);
    ada.has_a_finger_for_a_mouse();
    for _ in 0..2 {
        ada.clicks("#people-button");
    }
    assert_eq!(ada.asks(looks), untouched);
}

#[test]
fn the_keyboard_is_enough() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let mut reached = Vec::new();
    for _ in 0..20 {
        ada.presses_tab();
        let id = ada.asks("document.activeElement.id");
        reached.push(id.as_str().unwrap().to_owned());
    }
    let order = [
        "rooms-button",
        "people-button",
        "name-button",
        "wire-button",
        "projector-button",
        "scroller",
        "history-button",
        "hand-button",
        "file",
        "text",
        "send",
    ];
    let first = reached.iter().position(|id| id == order[0]).expect("the first button is reached");
    assert_eq!(reached[first..first + order.len()], order, "{reached:?}");
    // A panel, and a dialog that gives the focus back.
    ada.asks("document.querySelector('#people-button').focus(); 0");
    ada.presses_enter();
    ada.shows("the people", "document.querySelector('#people')?.hidden === false");
    ada.asks("document.querySelector('#rooms-button').focus(); 0");
    ada.presses_enter();
    ada.shows("the rooms", "document.querySelector('#rooms-dialog')?.open === true");
    ada.presses_escape();
    ada.shows("the focus where it was", "document.activeElement.id === 'rooms-button'");
}

/// A panel has the keyboard at once, not behind every link of the log, and gives it back.
#[test]
fn a_panel_is_entered_and_left_by_keyboard() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    ada.says("https://example.org/");
    ada.hears_text("https://example.org/");
    for (panel, first) in [("wire", "summary"), ("people", "button")] {
        ada.asks(&format!("document.querySelector('#{panel}-button').focus(); 0"));
        ada.presses_enter();
        ada.shows("the focus in it", &format!("document.activeElement.id === '{panel}'"));
        ada.presses_tab();
        let inside = format!("document.activeElement.matches('#{panel} {first}')");
        ada.shows("the focus on the first thing there", &inside);
        ada.presses_escape();
        ada.shows("no panel", &format!("document.querySelector('#{panel}').hidden"));
        assert_eq!(ada.asks("document.activeElement.id"), format!("{panel}-button"));
        let state = format!("document.querySelector('#{panel}-button').ariaExpanded");
        assert_eq!(ada.asks(&state), "false");
    }
    // Whoever filters empties the field first.
    ada.opens_the_wire();
    ada.types("#filter", "x");
    ada.presses_escape();
    ada.shows("no filter", "document.querySelector('#filter').value === ''");
    assert_eq!(ada.asks("document.querySelector('#wire').hidden"), false);
    ada.presses_escape();
    ada.shows("no panel", "document.querySelector('#wire').hidden");
}

/// On a phone there is no room for both, the log and a panel.
#[test]
fn on_a_phone_a_panel_has_the_whole_height() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    ada.has_a_window_of((390, 844));
    for panel in ["wire", "people"] {
        ada.clicks(&format!("#{panel}-button"));
        ada.shows("it", &format!("document.querySelector('#{panel}')?.hidden === false"));
        let left = format!(
            "document.querySelector('main').clientHeight - document.querySelector('#{panel}').offsetHeight"
        );
        assert_eq!(ada.asks(&left), 0);
        ada.clicks(&format!("#{panel}-button"));
        ada.shows(
            "the log",
            "document.querySelector('#scroller').checkVisibility({ visibilityProperty: true })",
        );
    }
}

#[test]
fn a_screen_reader_is_told() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let roles = ada.asks("['#scroller', '#status', '#typing', '#name-trouble'].map((it) => document.querySelector(it).getAttribute('role'))");
    assert_eq!(roles, json!(["log", "status", "status", "alert"]));
    let unnamed = ada.asks("[...document.querySelectorAll('input, textarea, select, button, dialog, aside, meter')].filter((it) =>
        !(it.getAttribute('aria-label') || it.getAttribute('aria-labelledby') || it.labels?.length || it.textContent.trim())).map((it) => it.outerHTML)");
    assert_eq!(unnamed, json!([]));
}

#[test]
fn the_page_is_light_and_asks_nobody_else() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    // What opens with a button is fetched when that is pressed.
    let loaded = ada.asks(
        "[...new Map(performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
            .filter((it) => it.initiatorType !== 'fetch').map((it) => [it.name, it.decodedBodySize]))]",
    );
    let loaded: Vec<(String, u64)> = serde_json::from_value(loaded).unwrap();
    assert!(loaded.len() >= 9, "{loaded:?}");
    assert!(loaded.iter().all(|(url, _)| url.starts_with(&program.url("http"))), "{loaded:?}");
    let sum: u64 = loaded.iter().map(|(_, bytes)| bytes).sum();
    assert!(sum < 64 << 10, "the page has {sum} bytes");
    let policy: Value =
        ada.awaits("fetch('/').then((it) => it.headers.get('Content-Security-Policy'))");
    assert!(!policy.as_str().unwrap().contains("unsafe"), "{policy}");
}
