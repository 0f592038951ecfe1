//! Reading in the page: what was said before, what is sought in it, code, and a room as a file. What is
//! said now is in `browser`.

mod support;

use std::fs;

use serde_json::json;
use support::{Browser, OWNED, Program, Tab, V1, Way, until};

/// The texts of the log, with the notices between them but without comings and goings.
fn lines(tab: &mut Tab) -> Vec<String> {
    let lines = tab.asks(
        "[...document.querySelectorAll('#log li')].map((it) => it.querySelector('.body')?.textContent ?? it.textContent)
            .filter((it) => !/came|left/.test(it))",
    );
    serde_json::from_value(lines).expect("texts")
}

/// Comes to the log, by keyboard.
fn comes_to_the_log(tab: &mut Tab) {
    tab.asks("document.querySelector('#scroller').focus(); 0");
    tab.shows("the way back", "document.querySelector('#earlier') !== null");
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("line {number}")).collect()
}

/// A server with so many messages in the room.
fn with_lines(count: usize) -> Program {
    let program = Program::start(&["--history", "1000"]);
    let mut script = program.joins("physics");
    for line in numbers(0..count) {
        script.says(&line);
        script.hears(&line);
    }
    program
}

#[test]
fn earlier_messages_come_above_and_the_place_stays() {
    let (program, browser) = (with_lines(180), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.hears_text("line 179");
    assert_eq!(lines(&mut ada), numbers(80..180));
    comes_to_the_log(&mut ada);
    ada.scrolls("#scroller", -100_000);
    ada.shows("the top", "document.querySelector('#scroller').scrollTop === 0");
    let place = "[...document.querySelectorAll('#log li')].find((it) => it.textContent.includes('line 80')).getBoundingClientRect().top";
    ada.asks(&format!("place = {place}; 0"));
    ada.clicks("#earlier");
    ada.shows("a page more", "document.querySelectorAll('#log li.message').length === 150");
    ada.shows("the same place", &format!("Math.abs({place} - place) < 2"));
    assert_eq!(lines(&mut ada), numbers(30..180));
    ada.scrolls("#scroller", -100_000);
    ada.shows("the top", "document.querySelector('#scroller').scrollTop === 0");
    ada.clicks("#earlier");
    ada.hears_text("line 0");
    assert_eq!(lines(&mut ada), numbers(0..180));
    ada.shows("that it is all", "document.querySelector('#earlier').hidden && [...document.querySelectorAll('#scroller .notice')].some((it) => it.checkVisibility() && it.textContent.includes('beginning'))");
    ada.has_no_complaints();
}

/// A removed message does not come back, whoever reads, and one of a room with a key is read with it.
#[test]
fn earlier_messages_obey_the_room() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut ada = browser.enters_to_lead(&program, "physics", "Ada");
    program.has_a_room_with("physics", &json!({"key": "sesame"}));
    let mut bob = browser.enters(&program, "#physics?key=sesame", "Bob");
    for number in 0..60 {
        bob.asks(&format!("document.querySelector('#text').value = 'line {number}'; document.querySelector('#compose').requestSubmit(); 0"));
    }
    ada.hears_text("line 59");
    ada.turns_to("line 3");
    ada.clicks("#remove-message");
    ada.shows(
        "it gone",
        "![...document.querySelectorAll('#log .body')].some((it) => it.textContent === 'line 3')",
    );
    // The log is emptied down to its end, as after a long time.
    let mut eve = browser.enters_as_a_guest(&program, "#physics?key=sesame");
    eve.hears_text("line 59");
    comes_to_the_log(&mut eve);
    eve.awaits("import('./log.js').then((log) => { while (log.entries.length > 10) log.remove(log.entries[0]); })");
    eve.awaits("import('./earlier.js').then(async (earlier) => { const { messages } = await earlier.past({ limit: 100 }); return earlier.goTo(messages.find((it) => it.text === 'line 0').id); })");
    let shown = lines(&mut eve);
    assert!(shown.contains(&"line 0".to_owned()), "{shown:?}");
    assert!(!shown.contains(&"line 3".to_owned()), "{shown:?}");
    eve.has_no_complaints();
}

#[test]
fn a_date_stands_between_two_days_wherever_they_come_from() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("kept").display().to_string();
    let options = ["--history", "1000", "--data", &data];
    let program = Program::start(&options);
    let mut script = program.joins("physics");
    for line in numbers(0..160) {
        script.says(&line);
        script.hears(&line);
    }
    program.gets_signal("TERM");
    program.ends();
    // An id is the time in microseconds: 40 of three days ago, 40 of yesterday, 80 of today.
    let database = rusqlite::Connection::open(&data).unwrap();
    let change = "UPDATE messages SET id = id - ?1 * 86400000000
        WHERE CAST(substr(CAST(payload AS TEXT), 6) AS INTEGER) BETWEEN ?2 AND ?3";
    for (days, first, last) in [(3, 0, 39), (1, 40, 79)] {
        assert_eq!(database.execute(change, (days, first, last)).unwrap(), 40);
    }
    database.execute("UPDATE rooms SET born = born - 4 * 86400000000", ()).unwrap();
    drop(database);

    let (program, browser) = (Program::start(&options), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.hears_text("line 159");
    let mut day = |days: i64| {
        let day = ada.asks(&format!("new Date(Date.now() - {days} * 86_400_000).toLocaleDateString([], {{ dateStyle: 'full' }})"));
        vec![day.as_str().unwrap().to_owned()]
    };
    let (before, yesterday, today) = (day(3), day(1), day(0));
    let newest = [yesterday.clone(), numbers(60..80), today.clone(), numbers(80..160)].concat();
    assert_eq!(lines(&mut ada), newest);
    comes_to_the_log(&mut ada);
    let pages = [
        [
            before.clone(),
            numbers(10..40),
            yesterday.clone(),
            numbers(40..80),
            today.clone(),
            numbers(80..160),
        ]
        .concat(),
        [before, numbers(0..40), yesterday, numbers(40..80), today, numbers(80..160)].concat(),
    ];
    for page in pages {
        ada.clicks("#earlier");
        let first = &page[1];
        ada.hears_text(first);
        assert_eq!(lines(&mut ada), page);
    }
    ada.has_no_complaints();
}

#[test]
fn what_is_kept_is_searched_and_shown_in_its_place() {
    let (program, browser) = (with_lines(300), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.has_a_window_of((1200, 800));
    ada.hears_text("line 299");
    ada.clicks("#history-button");
    ada.shows("the panel", "document.querySelector('#history')?.hidden === false");
    ada.types("#search", "LINE 7");
    ada.presses_enter();
    ada.shows(
        "how many",
        "document.querySelector('#search-state').textContent === '11 messages found.'",
    );
    let hits =
        ada.asks("[...document.querySelectorAll('#hits button')].map((it) => it.textContent)");
    let expected: Vec<_> =
        (70..80).rev().chain([7]).map(|number| format!("line {number}")).collect();
    assert_eq!(hits, json!(expected));
    ada.clicks("#hits li:last-child button");
    let in_sight = "(({ top, bottom }) => top >= 0 && bottom <= innerHeight)(document.querySelector('#log .found').getBoundingClientRect())";
    ada.shows(
        "the first one",
        "document.querySelector('#log .found .body')?.textContent === 'line 7'",
    );
    ada.shows("it in sight", in_sight);
    assert_eq!(lines(&mut ada), numbers(0..300));
    ada.types("#search", "<b>nothing");
    ada.presses_enter();
    ada.shows(
        "none",
        "document.querySelector('#search-state').textContent === '0 messages found.'",
    );
    ada.has_no_complaints();
}

/// A picture of so many bytes: what is behind its end does not matter.
fn picture(bytes: usize) -> Vec<u8> {
    let mut picture = b"\
        \x89PNG\r\n\x1a\n\
        \0\0\0\rIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0\x12\x16\xf1M\
        \0\0\0\x13IDATx\xdac8\xc1\x10\x05A\x0c'4\xa2 \x08\0H\xf8\x07E/\xe0z\xbb\
        \0\0\0\0IEND\xaeB`\x82"
        .to_vec();
    picture.resize(bytes, 0);
    picture
}

#[test]
fn pictures_of_the_past_are_fetched_when_they_come_into_sight() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let (mut script, _) = V1::over(Way::Plain.connects(program.address()), "/ws/physics");
    script.shows("first.png", "image/png", &picture(100_000));
    script.shows("notes.bin", "", &vec![7; 100_000]);
    for line in numbers(0..60) {
        script.says(&line);
    }
    script.shows("last.png", "image/png", &picture(100_000));
    script.sees(&picture(100_000));
    script.sees(&vec![7; 100_000]);
    numbers(0..60).iter().for_each(|line| drop(script.hears(line)));
    script.sees(&picture(100_000));
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let shown = |name: &str| {
        format!("document.querySelector('#log img[alt={name:?}]')?.naturalWidth === 3")
    };
    ada.shows("the last one", &shown("last.png"));
    let fetched = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/messages/')).length";
    assert_eq!(ada.asks(fetched), 1, "nothing that is out of sight");
    assert_eq!(ada.asks("document.querySelectorAll('#log .attachment').length"), 3);
    ada.asks("document.querySelector('#scroller').scrollTop = 0; 0");
    ada.shows("the first one", &shown("first.png"));
    assert_eq!(ada.asks(fetched), 2, "no file but the pictures");
    ada.clicks("#log a[download=\"notes.bin\"]");
    let saved = browser.downloads().join("notes.bin");
    until("the file", || fs::read(&saved).is_ok_and(|bytes| bytes == [7; 100_000]));
    ada.has_no_complaints();
}

#[test]
fn code_is_shown_as_code_and_can_be_copied() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    script.says("run `cargo test <b>` then:\n```rust\nfn main() {\n    todo!(\"https://example.org\")\n}\n```\nand ` that ``` is all");
    ada.shows("two pieces", "document.querySelectorAll('#log code').length === 2");
    let pieces = ada.asks("[...document.querySelectorAll('#log code')].map((it) => [it.textContent, it.parentElement.tagName, getComputedStyle(it).fontFamily.includes('monospace')])");
    let block = "fn main() {\n    todo!(\"https://example.org\")\n}";
    assert_eq!(pieces, json!([["cargo test <b>", "DIV", true], [block, "PRE", true]]));
    assert_eq!(ada.asks("document.querySelectorAll('#log .body :is(a, b)').length"), 0);
    let text = ada.asks("document.querySelector('#log .body').textContent");
    assert_eq!(text, format!("run cargo test <b> then:\n{block}and ` that ``` is all"));
    // As on a page that came over plain http.
    ada.asks("Object.defineProperty(navigator, 'clipboard', { value: undefined }); 0");
    ada.asks(
        "document.addEventListener('copy', () => { copied = document.activeElement.value; }); 0",
    );
    for (button, code) in [("pre .copy", block), (".body > .copy", "cargo test <b>")] {
        ada.clicks(&format!("#log {button}"));
        assert_eq!(ada.asks("copied"), code);
        ada.shows(
            "that it is",
            &format!("document.querySelector('#log {button}.copied') === document.activeElement"),
        );
    }
    ada.has_no_complaints();
}

#[test]
fn a_room_is_saved_as_a_file() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    ada.says("<script>hacked=1</script> & more");
    ada.sends_file(&browser.has_file("notes.bin", b"notes"));
    ada.shows("the file", "document.querySelector('#log .attachment') !== null");
    ada.clicks("#history-button");
    ada.shows("the panel", "document.querySelector('#history')?.hidden === false");
    let mut saves = |form: &str, name: &str| {
        ada.clicks(&format!("[data-save={form}]"));
        let file = browser.downloads().join(name);
        until(name, || fs::read_to_string(&file).is_ok_and(|text| text.contains("notes.bin")));
        fs::read_to_string(&file).unwrap()
    };
    let text = saves("text", "physics.txt");
    assert!(text.starts_with("#physics\n"), "{text}");
    assert!(text.contains(" Ada: <script>hacked=1</script> & more\n"), "{text}");
    assert!(text.contains(" Ada: [notes.bin, 5 bytes]\n"), "{text}");
    let page = saves("page", "physics.html");
    assert!(page.contains("&lt;script&gt;hacked=1&lt;/script&gt; &amp; more"), "{page}");
    assert!(page.contains("href=\"data:application/octet-stream;base64,bm90ZXM=\""), "{page}");
    let all: serde_json::Value = serde_json::from_str(&saves("json", "physics.json")).unwrap();
    assert_eq!(
        (&all[0]["text"], &all[1]["base64"]),
        (&json!("<script>hacked=1</script> & more"), &json!("bm90ZXM="))
    );
    ada.has_no_complaints();
    // The saved page shows what was said, and runs nothing.
    let mut saved =
        browser.opens_at(&format!("file://{}", browser.downloads().join("physics.html").display()));
    saved.shows(
        "it",
        "document.body.textContent.includes('hacked=1') && typeof hacked === 'undefined'",
    );
}
