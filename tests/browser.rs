//! The page, as people use it: a real browser opens it, hands type and click, and what one tab
//! says another one shows. `tests/run` gets Chromium; without it these tests fail.
//!
//! Chromium is driven over its own DevTools protocol, JSON on a WebSocket, by the client that the
//! rest of these tests use: see the second half of this file.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Client, PATIENCE, Program, Way, until};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

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
    assert!(matches!(script.next(), Message::Text(text) if text.contains("sealed")));
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
fn plain_clients_are_heard_and_hear() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let mut script = program.joins("physics");
    script.says("42 degrees");
    script.hears("42 degrees");
    ada.shows(
        "a text from no page",
        "document.querySelector('#log .body')?.textContent === '42 degrees'",
    );
    ada.says("thank you");
    let Message::Text(heard) = script.next() else { panic!("no text") };
    let heard: Value = serde_json::from_str(&heard).expect("JSON");
    assert_eq!((&heard["name"], &heard["text"]), (&"Ada".into(), &"thank you".into()));
    ada.has_no_complaints();
}

#[test]
fn hostile_text_is_shown_as_text() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut eve = browser.enters(&program, "", "<b onclick=hacked=1>Eve</b>");
    let mut ada = browser.enters(&program, "", "Ada");
    eve.says(HOSTILE);
    ada.hears("<b onclick=hacked=1>Eve</b>", HOSTILE);
    eve.hears("<b onclick=hacked=1>Eve</b>", HOSTILE);
    // What the page would not send, a script does.
    let mut script = program.joins("lobby");
    script.says(HOSTILE);
    script
        .says(&json!({"name": HOSTILE, "text": "javascript:hacked=1", "tab": HOSTILE}).to_string());
    for odd in
        ["null", "[]", r#"{"text":1}"#, r#"{"name":{},"text":"a"}"#, r#"{"__proto__":1}"#, ""]
    {
        script.says(odd);
    }
    let about = json!({"name": HOSTILE, "file": HOSTILE, "type": "text/html"}).to_string();
    script.shows(&file_frame(&about, b"<script>hacked=1</script>"));
    script.shows(&file_frame("{", b""));
    script.shows(b"wsr1\xff\xff\xff\xff");
    ada.says("the end");
    for tab in [&mut ada, &mut eve] {
        tab.hears("Ada", "the end");
        assert_eq!(tab.log().len(), 1 + 2 + 6 + 3 + 1);
        assert_eq!(tab.asks("typeof hacked"), "undefined");
        for made in
            ["img", "script", "b", "iframe", "[onclick]", "[onerror]", "a:not([href^='blob:'])"]
        {
            let js = format!("document.querySelectorAll(\"#log {made}\").length");
            assert_eq!(tab.asks(&js), 0, "{made} was made of a text");
        }
        tab.has_no_complaints();
    }
}

/// A file as the page sends it: see the README.
fn file_frame(about: &str, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(about.len()).unwrap().to_be_bytes();
    [b"wsr1", &length[..], about.as_bytes(), bytes].concat()
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
fn the_newest_message_stays_in_sight() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.opens(&program, "#physics");
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
                    "(() => {{ const last = document.querySelector('#log').lastElementChild;
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
    let mut ada = browser.opens(&program, "#physics");
    ada.is_connected_to("physics");
    let mut script = program.joins("physics");
    for number in 0..40 {
        script.says(&format!("line {number}"));
    }
    ada.hears("someone", "line 39");
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
    ada.hears("someone", "news");
    assert_eq!(ada.asks("document.querySelector('#scroller').scrollTop === place"), true);
    ada.clicks("#latest");
    ada.shows("the end", at_the_end);
    ada.has_no_complaints();
}

#[test]
fn the_fragment_names_the_room() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    let mut bob = browser.enters(&program, "", "Bob");
    let mut eve = Client::connect(program.address(), "/ws/physics");
    ada.says("only in physics");
    ada.hears("Ada", "only in physics");
    assert!(matches!(eve.next(), Message::Text(text) if text.contains("only in physics")));
    bob.says("only in the lobby");
    bob.hears("Bob", "only in the lobby");
    // Then she goes over.
    ada.asks("location.hash = ''");
    ada.is_connected_to("lobby");
    ada.says("here I am");
    bob.hears("Ada", "here I am");
    assert_eq!(bob.log().len(), 2, "{:?}", bob.log());
    eve.leaves();
    ada.has_no_complaints();
    bob.has_no_complaints();
}

#[test]
fn a_fragment_that_names_no_room_is_explained() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.opens(&program, "#no%20room");
    ada.shows(
        "an explanation",
        "document.querySelector('#status').textContent.includes('no name for a room')",
    );
    assert_eq!(ada.asks("document.querySelector('#send').disabled"), true);
    ada.has_no_complaints();
}

#[test]
fn a_page_comes_back_when_the_server_does() {
    let (program, browser) = (Program::start(&[]), Browser::start());
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
    // What is written meanwhile is not lost.
    ada.types("#text", "after");
    ada.presses_enter();
    assert_eq!(ada.asks("document.querySelector('#text').value"), "after");

    let _program = Program::start_at(&address);
    for tab in [&mut ada, &mut bob] {
        tab.is_connected_to("physics");
    }
    ada.presses_enter();
    bob.hears("Ada", "after");
    bob.says("welcome back");
    ada.hears("Bob", "welcome back");
    let heard = ["before", "after", "welcome back"];
    for tab in [&mut ada, &mut bob] {
        assert_eq!(tab.log().into_iter().map(|(_, text)| text).collect::<Vec<_>>(), heard);
        // Chromium itself reports each attempt that finds no server.
        tab.has_no_complaints_but("WebSocket connection to");
    }
}

#[test]
fn a_server_that_stops_is_no_mystery() {
    let (program, browser) = (Program::start(&[]), Browser::start());
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
    ada.has_no_complaints_but("WebSocket connection to");
}

/// So the policy is in force, and complaints are heard: no other test could fail on them else.
#[test]
fn a_script_put_into_the_page_does_not_run() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.opens(&program, "");
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

// ------------------------------------------------------------------------------ the words

/// A running Chromium with a profile of its own; it ends when dropped.
struct Browser {
    process: Child,
    devtools: DevTools,
    address: SocketAddr,
    /// Its profile, the files that people have, and what they download. Empty at first.
    home: TempDir,
}

/// A window with a page in it, and someone in front of it.
struct Tab {
    devtools: DevTools,
}

impl Browser {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        for folder in ["files", "downloads"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        let mut process = Command::new("chromium")
            .args(["--headless", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", home.path().join("profile").display()))
            // Its sandbox does not start as root, and the only page it opens is ours.
            .arg("--no-sandbox")
            // Nothing but the page: no call home, no proxy.
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--disable-quic", "--no-proxy-server"])
            .args(["--disable-gpu", "--disable-dev-shm-usage", "--disable-smooth-scrolling"])
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("chromium starts: tests/run gets it");
        let url = devtools_url(&mut process);
        let address = url.strip_prefix("ws://").and_then(|rest| rest.split('/').next());
        let address = address.and_then(|address| address.parse().ok()).expect("an address");
        let mut devtools = DevTools::connect(address, &url);
        let downloads = home.path().join("downloads");
        devtools.does(
            "Browser.setDownloadBehavior",
            &json!({"behavior": "allow", "downloadPath": downloads}),
        );
        Self { process, devtools, address, home }
    }

    /// Opens the page with a fragment, in a window of its own: a tab behind another one is hidden.
    fn opens(&self, program: &Program, fragment: &str) -> Tab {
        let mut devtools = DevTools::connect(self.address, &self.devtools.url);
        let made =
            devtools.does("Target.createTarget", &json!({"url": "about:blank", "newWindow": true}));
        let target = made["targetId"].as_str().expect("a target");
        let url = format!("ws://{}/devtools/page/{target}", self.address);
        let mut tab = Tab { devtools: DevTools::connect(self.address, &url) };
        for domain in ["Page", "Runtime", "Log"] {
            tab.devtools.does(&format!("{domain}.enable"), &json!({}));
        }
        // As a person does whom the certificate does not put off.
        tab.devtools.does("Security.setIgnoreCertificateErrors", &json!({"ignore": true}));
        let page = format!("{}/{fragment}", program.url("http"));
        tab.devtools.does("Page.navigate", &json!({"url": page}));
        tab.shows(
            "the page",
            "document.readyState === 'complete' && location.href !== 'about:blank'",
        );
        tab
    }

    /// Opens the page, waits until it is connected, and types a name.
    fn enters(&self, program: &Program, fragment: &str, name: &str) -> Tab {
        let mut tab = self.opens(program, fragment);
        tab.has_state("open");
        tab.types("#name", name);
        tab
    }

    /// A file on this person's disk.
    fn has_file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.home.path().join("files").join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn downloads(&self) -> PathBuf {
        self.home.path().join("downloads")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.devtools.says("Browser.close", &json!({}));
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where Chromium says that it can be driven; the rest of what it says is dropped.
fn devtools_url(process: &mut Child) -> String {
    let errors = BufReader::new(process.stderr.take().unwrap());
    let (found, url) = mpsc::channel();
    thread::spawn(move || {
        for line in errors.lines().map_while(Result::ok) {
            if let Some(url) = line.strip_prefix("DevTools listening on ") {
                let _ = found.send(url.to_owned());
            }
        }
    });
    url.recv_timeout(PATIENCE).expect("chromium says where it can be driven")
}

impl Tab {
    /// What an expression evaluates to in the page.
    fn asks(&mut self, js: &str) -> Value {
        let asked = json!({"expression": js, "returnByValue": true});
        let mut answer = self.devtools.does("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{js}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true in the page.
    fn shows(&mut self, what: &str, js: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.asks(js) != true {
            if Instant::now() > deadline {
                let page = self.asks("document.body.innerText");
                panic!(
                    "waited in vain for {what}: {js}\nthe page: {page}\n{:?}",
                    self.complaints()
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn has_state(&mut self, state: &str) {
        self.shows(
            state,
            &format!("document.querySelector('#status')?.dataset.state === {state:?}"),
        );
    }

    fn is_connected_to(&mut self, room: &str) {
        let words = format!("Connected to {room}");
        let js = format!("document.querySelector('#status').textContent.trim() === {words:?}");
        self.shows(&words, &js);
        self.has_state("open");
    }

    fn has_a_window_of(&mut self, (width, height): (u32, u32)) {
        self.devtools.does(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}),
        );
    }

    /// Clicks in the middle of an element, which must be what is there to be clicked.
    fn clicks(&mut self, selector: &str) {
        let found = self.asks(&format!(
            "(() => {{
                const it = document.querySelector({selector:?});
                it.scrollIntoView({{ block: 'nearest' }});
                const {{ x, y, width, height }} = it.getBoundingClientRect();
                const middle = [x + width / 2, y + height / 2];
                return it.contains(document.elementFromPoint(...middle)) ? middle : null;
            }})()"
        ));
        assert!(found.is_array(), "{selector} cannot be clicked");
        for kind in ["mousePressed", "mouseReleased"] {
            self.devtools.does(
                "Input.dispatchMouseEvent",
                &json!({"type": kind, "x": found[0], "y": found[1], "button": "left", "clickCount": 1}),
            );
        }
    }

    /// Turns the mouse wheel over an element.
    fn scrolls(&mut self, selector: &str, by: i32) {
        let js = format!(
            "(({{ x, y }}) => [x + 9, y + 9])(document.querySelector({selector:?}).getBoundingClientRect())"
        );
        let place = self.asks(&js);
        self.devtools.does(
            "Input.dispatchMouseEvent",
            &json!({"type": "mouseWheel", "x": place[0], "y": place[1], "deltaX": 0, "deltaY": by}),
        );
    }

    /// Clicks into a field, and types in place of what is there.
    fn types(&mut self, field: &str, text: &str) {
        self.clicks(field);
        let select =
            json!({"type": "keyDown", "key": "a", "modifiers": 2, "commands": ["selectAll"]});
        self.devtools.does("Input.dispatchKeyEvent", &select);
        for key in text.chars() {
            self.presses(&json!({"key": key, "text": key}));
        }
        assert_eq!(self.asks(&format!("document.querySelector({field:?}).value")), text);
    }

    fn presses_enter(&mut self) {
        self.presses(
            &json!({"key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}),
        );
    }

    fn presses(&mut self, key: &Value) {
        for kind in ["keyDown", "keyUp"] {
            let mut event = key.clone();
            event["type"] = kind.into();
            self.devtools.does("Input.dispatchKeyEvent", &event);
        }
    }

    fn says(&mut self, text: &str) {
        self.types("#text", text);
        self.presses_enter();
    }

    /// Picks a file in the dialog behind the button.
    fn sends_file(&mut self, file: &Path) {
        let input = json!({"expression": "document.querySelector('#file')"});
        let input = self.devtools.does("Runtime.evaluate", &input);
        let picked = json!({"files": [file], "objectId": input["result"]["objectId"]});
        self.devtools.does("DOM.setFileInputFiles", &picked);
    }

    /// Waits for a message from someone in the log.
    fn hears(&mut self, from: &str, text: &str) {
        let wanted = (from.to_owned(), text.to_owned());
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(&wanted) {
            assert!(Instant::now() < deadline, "{wanted:?} is not in {:?}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Who said what, in order.
    fn log(&mut self) -> Vec<(String, String)> {
        let shown = self.asks(
            "[...document.querySelectorAll('#log > li.message')].map((it) =>
                [it.querySelector('.from').textContent, it.querySelector('.body').textContent])",
        );
        serde_json::from_value(shown).expect("pairs of strings")
    }

    /// Errors and warnings in the console so far, and scripts that broke.
    fn complaints(&mut self) -> &[String] {
        // All that came before its answer has been read with it.
        self.asks("0");
        &self.devtools.complaints
    }

    fn has_no_complaints(&mut self) {
        assert_eq!(self.complaints(), &[] as &[String]);
    }

    fn has_no_complaints_but(&mut self, expected: &str) {
        let others: Vec<_> = self.complaints().iter().filter(|it| !it.contains(expected)).collect();
        assert!(others.is_empty(), "{others:?}");
    }
}

/// One connection to the DevTools of Chromium: a question, its answer, and events in between.
struct DevTools {
    url: String,
    socket: WebSocket<TcpStream>,
    questions: u64,
    complaints: Vec<String>,
}

impl DevTools {
    fn connect(address: SocketAddr, url: &str) -> Self {
        let stream = TcpStream::connect(address).expect("chromium accepts");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let (socket, _) = tungstenite::client(url, stream).expect("chromium can be driven");
        Self { url: url.to_owned(), socket, questions: 0, complaints: Vec::new() }
    }

    /// Says what to do, without waiting for it.
    fn says(&mut self, method: &str, parameters: &Value) {
        self.questions += 1;
        let question = json!({"id": self.questions, "method": method, "params": parameters});
        let _ = self.socket.send(Message::text(question.to_string()));
    }

    /// Says what to do, and waits for the answer.
    fn does(&mut self, method: &str, parameters: &Value) -> Value {
        self.says(method, parameters);
        loop {
            let message = self.socket.read().unwrap_or_else(|error| panic!("{method}: {error}"));
            let Message::Text(text) = message else { continue };
            let mut told: Value = serde_json::from_str(&text).expect("DevTools speaks JSON");
            if told["id"] == self.questions {
                assert!(told["error"].is_null(), "{method}: {}", told["error"]);
                return told["result"].take();
            }
            self.complaints.extend(complaint(&told));
        }
    }
}

/// What an event complains of, if it does.
fn complaint(event: &Value) -> Option<String> {
    let (told, entry) = (&event["params"], &event["params"]["entry"]);
    let is_bad = |level: &Value| ["error", "warning", "assert"].iter().any(|bad| level == bad);
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(told["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" if is_bad(&told["type"]) => Some(told["args"].to_string()),
        "Log.entryAdded" if is_bad(&entry["level"]) => Some(entry.to_string()),
        "Page.javascriptDialogOpening" => panic!("the page opened a dialog: {told}"),
        _ => None,
    }
}
