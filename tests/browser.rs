//! The page, as people use it: a real browser opens it, hands type and click, and what one tab
//! says another one shows. Names and rooms are in `page_names`, breaks in `page_survives`, the wire
//! in `page_wire`, and whoever does not see or click well in `page_for_everyone`.

mod support;

use std::fs;

use serde_json::json;
use support::{Browser, Program, V1, Way, until};
/// Three pixels wide, two high.
const PICTURE: &[u8] = b"\
    \x89PNG\r\n\x1a\n\
    \0\0\0\rIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0\x12\x16\xf1M\
    \0\0\0\x13IDATx\xdac8\xc1\x10\x05A\x0c'4\xa2 \x08\0H\xf8\x07E/\xe0z\xbb\
    \0\0\0\0IEND\xaeB`\x82";

const HOSTILE: &str =
    "<img src=x onerror='hacked=1'><script>hacked=1</script><b>bold</b> &amp; ]]>";

#[test]
fn two_tabs_talk() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let mut bob = browser.enters(&program, "", "Bob");
    ada.says("hello, Bob");
    bob.hears("Ada", "hello, Bob");
    bob.says("grüß dich 👋");
    ada.hears("Bob", "grüß dich 👋");
    let both = [("Ada", "hello, Bob"), ("Bob", "grüß dich 👋")];
    for tab in [&mut ada, &mut bob] {
        assert_eq!(tab.log(), both.map(|(from, text)| (from.to_owned(), text.to_owned())));
        assert_eq!(tab.asks("document.querySelectorAll('#log time[datetime]').length"), 2);
        tab.has_no_complaints();
    }
}

#[test]
fn a_page_over_https_talks_over_wss() {
    let (program, browser) = (Program::start_over(Way::Tls, &[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    assert_eq!(ada.asks("location.protocol"), "https:");
    let mut script = program.joins("physics");
    ada.says("sealed");
    script.hears("sealed");
    ada.hears("Ada", "sealed");
    ada.has_no_complaints();
}

#[test]
fn the_button_sends_and_the_box_is_empty_again() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    ada.types("#text", "by hand");
    ada.clicks("#send");
    ada.hears("Ada", "by hand");
    assert_eq!(ada.asks("document.querySelector('#text').value"), "");
    ada.has_no_complaints();
}

#[test]
fn a_picture_arrives_as_a_picture() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let mut bob = browser.enters(&program, "", "Bob");
    ada.sends_file(&browser.has_file("cat.png", PICTURE));
    for tab in [&mut bob, &mut ada] {
        tab.shows(
            "the picture, loaded",
            "(() => { const it = document.querySelector('#log .message .body img');
                return it?.complete && it.naturalWidth === 3 && it.naturalHeight === 2; })()",
        );
        assert_eq!(tab.asks("document.querySelector('#log .from').textContent"), "Ada");
        assert_eq!(tab.asks("document.querySelector('#log img').alt"), "cat.png");
        tab.clicks("#log .thumbnail");
        tab.shows("it larger", "document.querySelector('#picture[open] img')?.naturalWidth === 3");
        tab.presses_escape();
        tab.shows("the log", "!document.querySelector('#picture').open");
        tab.has_no_complaints();
    }
}

#[test]
fn any_other_file_is_offered_for_download() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let mut bob = browser.enters(&program, "", "Bob");
    let every_byte: Vec<_> = (0..=255).collect();
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='hacked=1'/>";
    let files = [("notes.bin", &every_byte[..]), ("not.png", b"<b>text</b>"), ("drawing.svg", svg)];
    for (name, bytes) in files {
        ada.sends_file(&browser.has_file(name, bytes));
        let link = format!("#log a[download={name:?}]");
        bob.shows(name, &format!("document.querySelector({link:?}) !== null"));
        bob.clicks(&link);
        let saved = browser.downloads().join(name);
        until(name, || fs::read(&saved).is_ok_and(|saved| saved == bytes));
    }
    assert_eq!(bob.asks("document.querySelectorAll('#log img').length"), 0);
    assert_eq!(bob.asks("typeof hacked"), "undefined");
    ada.has_no_complaints();
    bob.has_no_complaints();
}

#[test]
fn what_is_dropped_or_pasted_is_sent() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let mut bob = browser.enters(&program, "", "Bob");
    let brings = |name: &str, then: &str| {
        format!(
            "(() => {{
                const data = new DataTransfer();
                data.items.add(new File(['in it'], {name:?}));
                const how = {{ bubbles: true, cancelable: true }};
                {then}
            }})()"
        )
    };
    let drops = "return ['dragover', 'drop'].map((kind) =>
        !window.dispatchEvent(new DragEvent(kind, { ...how, dataTransfer: data })) + ' ' + document.querySelector('#drop').hidden)";
    // The browser would open the file if the page let it.
    assert_eq!(ada.asks(&brings("dropped.txt", drops)), json!(["true false", "true true"]));
    let pastes = "document.querySelector('#text').dispatchEvent(new ClipboardEvent('paste', { ...how, clipboardData: data })); return 0";
    ada.asks(&brings("pasted.txt", pastes));
    for name in ["dropped.txt", "pasted.txt"] {
        let offered = format!(
            "[...document.querySelectorAll('#log .attachment')].some((it) => it.textContent.includes({name:?}))"
        );
        bob.shows(name, &offered);
    }
}

#[test]
fn the_newest_message_stays_in_sight() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.is_connected_to("physics");
    let mut script = program.joins("physics");
    // A phone that is turned, and its keyboard that comes and goes.
    for size in [(390, 700), (700, 390), (390, 700), (390, 350), (390, 700), (1200, 900)] {
        ada.has_a_window_of(size);
        ada.shows(
            "its new size",
            &format!("innerWidth === {} && innerHeight === {}", size.0, size.1),
        );
        for number in 0..3 {
            script.says(&format!("{number}: {size:?} {}", "and so on ".repeat(20)));
            ada.shows(
                "the newest message",
                &format!(
                    "(() => {{ const last = [...document.querySelectorAll('#log .message')].at(-1);
                        return Boolean(last?.textContent.includes('{number}: {size:?}'))
                            && last.getBoundingClientRect().bottom
                                <= document.querySelector('footer').getBoundingClientRect().top; }})()"
                ),
            );
        }
    }
    ada.has_no_complaints();
}

#[test]
fn who_looks_back_is_left_in_peace() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    ada.is_connected_to("physics");
    let mut script = program.joins("physics");
    for number in 0..40 {
        script.says(&format!("line {number}"));
    }
    ada.hears_text("line 39");
    let at_the_end = "(() => { const it = document.querySelector('#scroller');
        return it.scrollHeight - it.scrollTop - it.clientHeight < 2; })()";
    ada.shows("the end", at_the_end);
    ada.scrolls("#scroller", -400);
    ada.shows(
        "earlier messages",
        "(() => { const it = document.querySelector('#scroller');
            place = it.scrollTop;
            return it.scrollHeight - it.scrollTop - it.clientHeight > 300; })()",
    );
    script.says("news");
    ada.shows("that there is more", "!document.querySelector('#latest').hidden");
    ada.hears_text("news");
    assert_eq!(ada.asks("document.querySelector('#scroller').scrollTop === place"), true);
    ada.clicks("#latest");
    ada.shows("the end", at_the_end);
    ada.has_no_complaints();
}

/// So the policy is in force, and complaints are heard: no other test could fail on them else.
#[test]
fn a_script_put_into_the_page_does_not_run() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "");
    ada.is_connected_to("lobby");
    ada.has_no_complaints();
    ada.asks(
        "const it = document.createElement('script'); it.textContent = 'hacked=1'; document.body.append(it); 0",
    );
    assert_eq!(ada.asks("typeof hacked"), "undefined");
    until("a complaint", || {
        ada.complaints().iter().any(|it| it.contains("Content Security Policy"))
    });
    ada.asks("console.error('something broke')");
    until("a complaint", || ada.complaints().iter().any(|it| it.contains("something broke")));
}

#[test]
fn plain_clients_are_heard_and_hear() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let mut script = program.joins("physics");
    script.says("42 degrees");
    script.hears("42 degrees");
    ada.hears_text("42 degrees");
    ada.says("thank you");
    script.hears("thank you");
    ada.has_no_complaints();
}

#[test]
fn hostile_text_is_shown_as_text() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut eve = browser.enters(&program, "", "<b onclick=hacked=1>Eve</b>");
    let mut ada = browser.enters(&program, "", "Ada");
    eve.says(HOSTILE);
    ada.hears("<b onclick=hacked=1>Eve</b>", HOSTILE);
    let (mut script, _) = V1::over(Way::Plain.connects(program.address()), "/ws/lobby");
    let odd =
        ["null", "[]", r#"{"type":"message","text":"x"}"#, "javascript:hacked=1", "\u{202e}abc"];
    for text in odd {
        script.says(text);
    }
    script.shows(HOSTILE, "text/html", b"<script>hacked=1</script>");
    script.shows("cat\u{202e}gnp.exe", "image/png", b"MZ");
    ada.says("the end");
    for tab in [&mut ada, &mut eve] {
        tab.hears("Ada", "the end");
        assert_eq!(tab.log().len(), 1 + odd.len() + 2 + 1);
        tab.shows("the files", "document.querySelectorAll('#log .attachment').length === 2");
        assert_eq!(tab.asks("typeof hacked"), "undefined");
        for made in
            ["img", "script", "b", "iframe", "[onclick]", "[onerror]", "a:not([href^='blob:'])"]
        {
            let js = format!("document.querySelectorAll(\"#log {made}\").length");
            assert_eq!(tab.asks(&js), 0, "{made} was made of a text");
        }
        let name = "[...document.querySelectorAll('#log a')].at(-1)?.download";
        assert_eq!(tab.asks(name), "catgnp.exe", "no name turns the text round");
        tab.has_no_complaints();
    }
}

#[test]
fn comings_and_goings_are_told_together() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    ada.clicks("#people-button");
    ada.shows("one", "document.querySelector('#people-button').textContent === '1 person'");
    let class: Vec<_> = (0..10).map(|_| program.joins("physics")).collect();
    ada.shows("all", "document.querySelector('#people-button').textContent === '11 people'");
    ada.shows("their names", "document.querySelectorAll('#members li').length === 11");
    ada.shows(
        "that they came, in one line",
        "[...document.querySelectorAll('#log .notice')].some((it) => it.textContent.includes('and 7 others came'))",
    );
    class.into_iter().for_each(support::Client::leaves);
    ada.shows("one", "document.querySelector('#people-button').textContent === '1 person'");
    assert_eq!(ada.asks("document.querySelectorAll('#log .notice').length"), 1);
    ada.has_no_complaints();
}

#[test]
fn who_writes_is_seen_to() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let mut bob = browser.enters(&program, "", "Bob");
    ada.types("#text", "well");
    bob.shows("it", "document.querySelector('#typing').textContent === 'Ada is writing…'");
    ada.presses_enter();
    bob.hears("Ada", "well");
    bob.shows("nothing", "document.querySelector('#typing').textContent === ''");
    assert_eq!(ada.asks("document.querySelector('#typing').textContent"), "", "not of oneself");
}

/// Two tabs of one user have one name, and are two members.
#[test]
fn who_writes_is_told_by_their_id_and_not_by_their_name() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let mut other = browser.opens_again(&ada, &program, "");
    other.is_connected_to("lobby");
    let mut bob = browser.enters(&program, "", "Bob");
    // His clock stands still for whoever writes; and he notes who does when he hears something.
    bob.asks(
        "later = setTimeout; window.setTimeout = (then, pause) => pause === 4000 ? 0 : later(then, pause); heard = [];
        new MutationObserver(() => heard.push(document.querySelector('#typing').textContent))
            .observe(document.querySelector('#log'), { childList: true, subtree: true }); 0",
    );
    ada.types("#text", "well");
    bob.shows("it", "document.querySelector('#typing').textContent === 'Ada is writing…'");
    other.says("from the other tab");
    bob.hears("Ada", "from the other tab");
    assert_eq!(bob.asks("heard.at(-1)"), "Ada is writing…", "in the first one");
    ada.presses_enter();
    bob.hears("Ada", "well");
    bob.shows("nothing", "document.querySelector('#typing').textContent === ''");
}

#[test]
fn who_thinks_better_of_it_writes_no_more() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let mut bob = browser.opens_in_fast_time(&program.url("http"), 10);
    bob.stays_a_guest();
    bob.asks(
        "told = []; new MutationObserver(() => told.push(document.querySelector('#typing').textContent))
            .observe(document.querySelector('#typing'), { childList: true }); 0",
    );
    ada.types("#text", "well");
    bob.shows("it, and then nothing", "told.join() === 'Ada is writing…,'");
}

#[test]
fn an_own_message_is_marked_when_it_is_kept() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    let mut bob = browser.enters(&program, "", "Bob");
    ada.says("is it kept?");
    ada.shows("the mark", "document.querySelector('#log .own .kept') !== null");
    assert_eq!(ada.asks("document.querySelector('#waiting').childElementCount"), 0);
    bob.hears("Ada", "is it kept?");
    assert_eq!(bob.asks("document.querySelectorAll('#log .own, #log .kept').length"), 0);
    let time = "!Number.isNaN(Date.parse(document.querySelector('#log time').dateTime))";
    assert_eq!(bob.asks(time), true);
}

#[test]
fn links_lead_out_safely_and_only_to_the_web() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    ada.says("see http://127.0.0.1:1/a?b=(c), or javascript:alert(1), ok");
    ada.shows("a link", "document.querySelectorAll('#log .body a').length === 1");
    let link = ada.asks(
        "(({ href, target, rel }) => [href, target, rel])(document.querySelector('#log .body a'))",
    );
    assert_eq!(link, json!(["http://127.0.0.1:1/a?b=(c)", "_blank", "noopener noreferrer"]));
}

#[test]
fn an_address_ends_where_its_sentence_goes_on() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    let address = "https://en.wikipedia.org/wiki/Rust_(programming_language)";
    let sentences = [
        address.to_owned(),
        format!("({address})"),
        format!("[see {address}]."),
        format!("{address}?!"),
        format!("({address}), or http://"),
    ];
    for sentence in &sentences {
        script.says(sentence);
        ada.hears_text(sentence);
    }
    ada.shows("links", "document.querySelectorAll('#log .body a').length === 5");
    let links = ada.asks("[...document.querySelectorAll('#log .body a')].map((it) => it.href)");
    assert_eq!(links, json!(vec![address; 5]));
    // A wall of brackets costs the reader nothing.
    script.says(&format!("{address}{}", ")".repeat(19_000)));
    ada.shows("it", "document.querySelectorAll('#log .body a').length === 6");
    assert_eq!(ada.asks("[...document.querySelectorAll('#log .body a')].at(-1).href"), address);
}

#[test]
fn what_is_folded_takes_no_focus() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    script.says(&format!("{}https://example.org/", "line\n".repeat(50)));
    ada.shows("it folded", "document.querySelector('#log .folded a') !== null && document.querySelector('#log .message > button') !== null");
    let after_tab = |tab: &mut support::Tab| {
        tab.asks("document.querySelector('#scroller').focus({ preventScroll: true }); 0");
        tab.presses_tab();
        tab.asks("document.activeElement.textContent")
    };
    assert_eq!(after_tab(&mut ada), "Show all");
    ada.presses_enter();
    assert_eq!(after_tab(&mut ada), "https://example.org/");
}

#[test]
fn whoever_says_something_sees_it() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    for number in 0..40 {
        script.says(&format!("line {number}"));
    }
    ada.hears_text("line 39");
    ada.scrolls("#scroller", -400);
    ada.shows(
        "earlier messages",
        "!document.querySelector('#scroller').classList.contains('following')",
    );
    ada.says("mine");
    ada.shows(
        "it",
        "(() => { const last = [...document.querySelectorAll('#log .message')].at(-1);
            return last.textContent.includes('mine') && last.getBoundingClientRect().bottom
                <= document.querySelector('footer').getBoundingClientRect().top; })()",
    );
    assert_eq!(ada.asks("document.querySelector('#latest').hidden"), true);
}

#[test]
fn between_two_days_stands_a_date() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("kept").display().to_string();
    let program = Program::start(&["--data", &data]);
    let mut script = program.joins("physics");
    for day in ["long ago", "the day before", "yesterday", "yesterday again"] {
        script.says(day);
        script.hears(day);
    }
    program.gets_signal("TERM");
    program.ends();
    // An id is the time in microseconds.
    let database = rusqlite::Connection::open(&data).unwrap();
    for (days, text) in [(3, "long ago"), (2, "the day before"), (1, "yesterday%")] {
        let change = "UPDATE messages SET id = id - ?1 WHERE CAST(payload AS TEXT) LIKE ?2";
        database.execute(change, (days * 86_400_000_000_i64, text)).unwrap();
    }
    // The room is older than what was said in it.
    database.execute("UPDATE rooms SET born = born - 4 * 86400000000", ()).unwrap();
    drop(database);

    let (program, browser) = (Program::start(&["--data", &data]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    program.joins("physics").says("today");
    ada.hears_text("today");
    let shown = ada.asks(
        "[...document.querySelectorAll('#log li')].map((it) => it.querySelector('.body')?.textContent ?? it.textContent)
            .filter((it) => !/came|left/.test(it))",
    );
    let day = |days: i64| {
        ada.asks(&format!("new Date(Date.now() - {days} * 86_400_000).toLocaleDateString([], {{ dateStyle: 'full' }})"))
    };
    let mut day = day;
    let expected = json!([
        day(3),
        "long ago",
        day(2),
        "the day before",
        day(1),
        "yesterday",
        "yesterday again",
        day(0),
        "today"
    ]);
    assert_eq!(shown, expected);
}

#[test]
fn a_long_text_is_folded_and_lines_stay() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    let long = "line\n".repeat(100) + "the end";
    script.says(&long);
    ada.shows("it folded", "document.querySelector('#log .folded')?.offsetHeight < 250 && document.querySelector('#log .message > button') !== null");
    ada.clicks("#log .message > button");
    ada.shows("all of it", "!document.querySelector('#log .folded') && document.querySelector('#log .body').offsetHeight > 1000");
    // A huge one does not hold up the browser, and can be had whole.
    script.says(&"x".repeat(500_000));
    ada.shows("a file", "document.querySelector('#log a[download=\"message.txt\"]') !== null");
    ada.types("#text", "one");
    ada.presses(&json!({"key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13, "modifiers": 8}));
    ada.presses(&json!({"key": "2", "text": "2"}));
    ada.presses_enter();
    ada.hears_text("one\n2");
}

#[test]
fn what_is_too_large_is_refused_before_it_is_sent() {
    let (program, browser) = (Program::start(&["--max-message-size", "100K"]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    ada.sends_file(&browser.has_file("large.bin", &vec![7; 102_401]));
    ada.shows("the limit", "document.querySelector('#log').textContent.includes('large.bin was not sent: it has 102 KB, and a message here has 102 KB at most')");
    // One that just fits goes, and shows how far it is meanwhile.
    ada.sends_file(&browser.has_file("fits.bin", &vec![7; 102_400]));
    ada.shows("the file", "document.querySelector('#log a[download=\"fits.bin\"]') !== null");
    ada.has_state("open");
    ada.has_no_complaints();
}

#[test]
fn a_large_file_shows_how_far_it_is() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "", "Ada");
    ada.asks("bars = 0; new MutationObserver(() => { bars += document.querySelectorAll('#waiting progress').length })
        .observe(document.querySelector('#waiting'), { childList: true }); 0");
    ada.sends_file(&browser.has_file("large.bin", &vec![7; 1_000_000]));
    ada.shows("the file", "document.querySelector('#log a[download=\"large.bin\"]') !== null");
    assert_ne!(ada.asks("bars"), 0, "there was nothing to see while it was under way");
}

#[test]
fn what_nobody_has_seen_is_counted_in_the_title() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    // Chromium without a screen hides no window: the page is told so instead.
    ada.asks("Object.defineProperty(document, 'hidden', { value: true, configurable: true }); 0");
    script.says("one");
    script.says("two");
    ada.shows("two", "document.title === '(2) physics · wsroom'");
    ada.asks("delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); 0");
    ada.shows("none", "document.title === 'physics · wsroom'");
}

#[test]
fn thousands_of_messages_are_no_burden() {
    let (program, browser) = (Program::start(&["--history", "1000"]), Browser::start());
    let mut ada = browser.enters_as_a_guest(&program, "#physics");
    let mut script = program.joins("physics");
    for number in 0..5_000 {
        script.says(&format!("line {number}"));
    }
    ada.hears_text("line 4999");
    let lines = ada.asks("document.querySelectorAll('#log li').length");
    assert_eq!(lines, 2_000, "the log is bounded");
    ada.types("#text", "still at hand");
    ada.has_no_complaints();
}
