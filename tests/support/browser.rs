//! People in front of browsers: a real Chromium, driven over its own DevTools protocol, JSON on a
//! WebSocket, by the client that the rest of these tests use. `tests/run` gets Chromium.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::devtools::DevTools;
use super::{PATIENCE, Program, until};

/// A running Chromium with a profile of its own; it ends when dropped.
pub struct Browser {
    process: Child,
    devtools: DevTools,
    address: SocketAddr,
    /// Its profile, the files that people have, and what they download. Empty at first.
    home: TempDir,
}

/// A window with a page in it, and someone in front of it.
pub struct Tab {
    devtools: DevTools,
    /// Whose cookies it has.
    person: String,
    /// What the DevTools call it.
    target: String,
    /// What was asked for this person holds as long as this connection.
    context: Option<DevTools>,
}

impl Browser {
    pub fn start() -> Self {
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
            // It has a mouse, which Chromium without a screen has not.
            .arg("--blink-settings=primaryPointerType=4,availablePointerTypes=4,primaryHoverType=2,availableHoverTypes=2")
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

    /// Opens the page with a fragment, as somebody who has never been there: each has cookies of
    /// their own.
    pub fn opens(&self, program: &Program, fragment: &str) -> Tab {
        self.opens_at(&format!("{}/{fragment}", program.url("http")))
    }

    /// Opens any address likewise.
    pub fn opens_at(&self, url: &str) -> Tab {
        self.opens_after(url, "")
    }

    /// Opens any address likewise, where the page's own clock and timers are so many times faster:
    /// to see what it does after a minute without waiting for one.
    pub fn opens_in_fast_time(&self, url: &str, times: u32) -> Tab {
        let clock = format!(
            "(() => {{
                const {{ setTimeout: later }} = window;
                const {{ now }} = Date;
                const began = now();
                window.setTimeout = (then, pause = 0) => later(then, pause / {times});
                Date.now = () => began + (now() - began) * {times};
            }})();"
        );
        self.opens_after(url, &clock)
    }

    /// Opens any address likewise, after a script that runs before the page's own.
    fn opens_after(&self, url: &str, script: &str) -> Tab {
        let mut devtools = DevTools::connect(self.address, &self.devtools.url);
        let made = devtools.does("Target.createBrowserContext", &json!({}));
        let person = made["browserContextId"].as_str().expect("a context").to_owned();
        let downloads = json!({
            "behavior": "allow", "downloadPath": self.downloads(), "browserContextId": person,
        });
        devtools.does("Browser.setDownloadBehavior", &downloads);
        let mut tab = self.opens_as(&person, url, script);
        tab.context = Some(devtools);
        tab
    }

    /// Opens it once more, as the same person, in a window of its own: a tab behind another one is
    /// hidden.
    pub fn opens_again(&self, tab: &Tab, program: &Program, fragment: &str) -> Tab {
        self.opens_as(&tab.person, &format!("{}/{fragment}", program.url("http")), "")
    }

    /// Duplicates a tab, in a window of its own: what it has kept for itself (`sessionStorage`) goes
    /// along.
    pub fn duplicates(&self, tab: &mut Tab) -> Tab {
        let mut devtools = DevTools::connect(self.address, &self.devtools.url);
        let script = "window.open(location.href, '', 'popup,width=800,height=600'); 0";
        tab.devtools.does("Runtime.evaluate", &json!({"expression": script, "userGesture": true}));
        let mut twin = None;
        until("the twin", || {
            let all = devtools.does("Target.getTargets", &json!({}));
            let all = all["targetInfos"].as_array().expect("targets");
            let found = all.iter().find(|it| it["openerId"] == tab.target);
            twin = found.map(|it| it["targetId"].as_str().expect("an id").to_owned());
            twin.is_some()
        });
        let mut twin = self.tab(&tab.person, &twin.expect("until it is there"));
        twin.is_there();
        twin
    }

    /// The tab that shows this target of the DevTools.
    fn tab(&self, person: &str, target: &str) -> Tab {
        let page = format!("ws://{}/devtools/page/{target}", self.address);
        let devtools = DevTools::connect(self.address, &page);
        let (person, target) = (person.to_owned(), target.to_owned());
        let mut tab = Tab { devtools, person, target, context: None };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.devtools.does(&format!("{domain}.enable"), &json!({}));
        }
        tab
    }

    fn opens_as(&self, person: &str, url: &str, script: &str) -> Tab {
        let mut devtools = DevTools::connect(self.address, &self.devtools.url);
        let window = json!({"url": "about:blank", "newWindow": true, "browserContextId": person});
        let made = devtools.does("Target.createTarget", &window);
        let mut tab = self.tab(person, made["targetId"].as_str().expect("a target"));
        // As a person does whom the certificate does not put off.
        tab.devtools.does("Security.setIgnoreCertificateErrors", &json!({"ignore": true}));
        let first = json!({"source": script});
        tab.devtools.does("Page.addScriptToEvaluateOnNewDocument", &first);
        tab.devtools.does("Page.navigate", &json!({"url": url}));
        tab.is_there();
        tab
    }

    /// Opens the page, and takes a name when it asks for one.
    pub fn enters(&self, program: &Program, fragment: &str, name: &str) -> Tab {
        let mut tab = self.opens(program, fragment);
        tab.is_asked_for_a_name();
        tab.takes_the_name(name);
        tab.has_state("open");
        tab
    }

    /// Opens the page, and stays a guest.
    pub fn enters_as_a_guest(&self, program: &Program, fragment: &str) -> Tab {
        let mut tab = self.opens(program, fragment);
        tab.stays_a_guest();
        tab
    }

    /// A file on this person's disk.
    pub fn has_file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.home.path().join("files").join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn downloads(&self) -> PathBuf {
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
    pub fn asks(&mut self, js: &str) -> Value {
        self.tries(js).unwrap_or_else(|error| panic!("{js}: {error}"))
    }

    /// Likewise; fails where no page is there to be asked, as in the moment in which one takes the
    /// place of another.
    fn tries(&mut self, js: &str) -> Result<Value, Value> {
        let asked = json!({"expression": js, "returnByValue": true});
        let mut answer = self.devtools.tries("Runtime.evaluate", &asked)?;
        assert!(answer["exceptionDetails"].is_null(), "{js}: {}", answer["exceptionDetails"]);
        Ok(answer["result"]["value"].take())
    }

    /// Waits until an expression is true in the page.
    pub fn shows(&mut self, what: &str, js: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Seen before the question: a busy page answers late what was not yet true when asked.
            let is_last = Instant::now() > deadline;
            let answer = self.tries(js);
            if answer == Ok(Value::Bool(true)) {
                return;
            }
            if is_last {
                let end = self.asks("document.body.innerText.slice(-2000)");
                let complaints = self.complaints();
                panic!("no {what}: {js}: {answer:?}\nthe page ends: {end}\n{complaints:?}");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the page has fetched a file that it does not need at the start.
    pub fn has_fetched(&mut self, file: &str) {
        let all = "performance.getEntriesByType('resource')";
        self.shows(file, &format!("{all}.some(({{ name }}) => name.endsWith({file:?}))"));
    }

    fn is_there(&mut self) {
        let js = "document.readyState === 'complete' && location.href !== 'about:blank'";
        self.shows("the page", js);
    }

    pub fn has_state(&mut self, state: &str) {
        self.shows(
            state,
            &format!("document.querySelector('#status')?.dataset.state === {state:?}"),
        );
    }

    pub fn is_connected_to(&mut self, room: &str) {
        let words = format!("Connected to {room}");
        let js = format!("document.querySelector('#status').textContent.trim() === {words:?}");
        self.shows(&words, &js);
        self.has_state("open");
    }

    pub fn is_asked_for_a_name(&mut self) {
        self.shows("the question", "document.querySelector('#name-dialog').open");
    }

    pub fn stays_a_guest(&mut self) {
        self.is_asked_for_a_name();
        self.clicks("#guest");
        self.shows("no dialog", "!document.querySelector('#name-dialog').open");
        self.has_state("open");
    }

    pub fn takes_the_name(&mut self, name: &str) {
        self.types("#name", name);
        self.presses_enter();
        let name = format!("document.querySelector('#name-button').textContent === {name:?}");
        self.shows("the name", &format!("!document.querySelector('#name-dialog').open && {name}"));
    }

    pub fn opens_the_rooms(&mut self) {
        self.clicks("#rooms-button");
        self.shows("the rooms", "document.querySelector('#rooms-dialog[open] #rooms li') !== null");
    }

    /// Is without a network, or has it again.
    pub fn has_network(&mut self, online: Network) {
        let conditions = json!({
            "offline": online == Network::Down,
            "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
        });
        self.devtools.does("Network.emulateNetworkConditions", &conditions);
    }

    /// Prefers this colour scheme.
    pub fn prefers(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools.does("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Has answered the browser whether the page may show notifications: `granted` or `denied`.
    pub fn may_be_notified(&mut self, answer: &str) {
        let person = self.person.clone();
        let devtools = self.context.as_mut().expect("the first window of this person");
        let permission = json!({
            "permission": {"name": "notifications"}, "setting": answer, "browserContextId": person,
        });
        devtools.does("Browser.setPermission", &permission);
        self.shows(answer, &format!("Notification.permission === {answer:?}"));
    }

    /// What it looks like, as PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        let shot = self.devtools.does("Page.captureScreenshot", &json!({"format": "png"}));
        STANDARD.decode(shot["data"].as_str().expect("base64")).expect("base64")
    }

    /// Runs a script in the page and waits for what it promises.
    pub fn awaits(&mut self, js: &str) -> Value {
        let asked = json!({"expression": js, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.devtools.does("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// The cookies that are sent from here.
    pub fn cookies(&mut self) -> Vec<Value> {
        let all = self.devtools.does("Network.getCookies", &json!({}));
        all["cookies"].as_array().expect("cookies").clone()
    }

    pub fn reloads(&mut self) {
        self.asks("left = true");
        self.devtools.does("Page.reload", &json!({}));
        let fresh = "typeof left === 'undefined' && document.readyState === 'complete'";
        self.shows("the page again", fresh);
    }

    pub fn presses_tab(&mut self) {
        self.presses(&json!({"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}));
    }

    pub fn presses_escape(&mut self) {
        self.presses(&json!({"key": "Escape", "code": "Escape", "windowsVirtualKeyCode": 27}));
    }

    pub fn has_a_window_of(&mut self, (width, height): (u32, u32)) {
        self.devtools.does(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}),
        );
    }

    /// Is a phone's or a tablet's: nothing hovers over it.
    pub fn has_a_finger_for_a_mouse(&mut self) {
        self.devtools.does("Emulation.setTouchEmulationEnabled", &json!({"enabled": true}));
        self.shows("no mouse", "matchMedia('(hover: none)').matches");
    }

    /// Clicks in the middle of an element, which must be what is there to be clicked.
    pub fn clicks(&mut self, selector: &str) {
        let found = self.asks(&format!(
            "(() => {{
                const it = document.querySelector({selector:?});
                it.scrollIntoView({{ block: 'nearest' }});
                const {{ x, y, width, height }} = it.getBoundingClientRect();
                const middle = [x + width / 2, y + height / 2];
                const there = document.elementFromPoint(...middle);
                return it.contains(there) ? middle : String(there?.outerHTML).slice(0, 200);
            }})()"
        ));
        assert!(found.is_array(), "{selector} cannot be clicked: {found} is in front of it");
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            self.devtools.does(
                "Input.dispatchMouseEvent",
                &json!({"type": kind, "x": found[0], "y": found[1], "button": "left", "clickCount": 1}),
            );
        }
    }

    /// Presses the button that says so, beside what waits.
    pub fn chooses(&mut self, label: &str) {
        let js = format!(
            "[...document.querySelectorAll('#waiting button')].find((it) => it.textContent === {label:?}).click()"
        );
        self.asks(&js);
    }

    /// Turns the mouse wheel over an element.
    pub fn scrolls(&mut self, selector: &str, by: i32) {
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
    pub fn types(&mut self, field: &str, text: &str) {
        self.clicks(field);
        let select =
            json!({"type": "keyDown", "key": "a", "modifiers": 2, "commands": ["selectAll"]});
        self.devtools.does("Input.dispatchKeyEvent", &select);
        for key in text.chars() {
            self.presses(&json!({"key": key, "text": key}));
        }
        assert_eq!(self.asks(&format!("document.querySelector({field:?}).value")), text);
    }

    pub fn presses_enter(&mut self) {
        self.presses(
            &json!({"key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}),
        );
    }

    pub fn presses(&mut self, key: &Value) {
        for kind in ["keyDown", "keyUp"] {
            let mut event = key.clone();
            event["type"] = kind.into();
            self.devtools.does("Input.dispatchKeyEvent", &event);
        }
    }

    pub fn says(&mut self, text: &str) {
        self.types("#text", text);
        self.presses_enter();
    }

    /// Picks a file in the dialog behind the button.
    pub fn sends_file(&mut self, file: &Path) {
        let input = json!({"expression": "document.querySelector('#file')"});
        let input = self.devtools.does("Runtime.evaluate", &input);
        let picked = json!({"files": [file], "objectId": input["result"]["objectId"]});
        self.devtools.does("DOM.setFileInputFiles", &picked);
    }

    /// Waits for a message from someone in the log.
    pub fn hears(&mut self, from: &str, text: &str) {
        let wanted = (from.to_owned(), text.to_owned());
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(&wanted) {
            assert!(Instant::now() < deadline, "{wanted:?} is not in {:?}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for a message from whoever.
    pub fn hears_text(&mut self, text: &str) {
        let js = format!(
            "[...document.querySelectorAll('#log .body')].some((it) => it.textContent === {text:?})"
        );
        self.shows(text, &js);
    }

    /// Who said what, in order.
    pub fn log(&mut self) -> Vec<(String, String)> {
        let shown = self.asks(
            "[...document.querySelectorAll('#log li.message')].map((it) =>
                [it.querySelector('.from').textContent, it.querySelector('.body').textContent])",
        );
        serde_json::from_value(shown).expect("pairs of strings")
    }

    /// Errors and warnings in the console so far, and scripts that broke.
    pub fn complaints(&mut self) -> &[String] {
        // All that came before its answer has been read with it.
        self.asks("0");
        &self.devtools.complaints
    }

    pub fn has_no_complaints(&mut self) {
        assert_eq!(self.complaints(), &[] as &[String]);
    }

    pub fn has_no_complaints_but(&mut self, expected: &str) {
        let others: Vec<_> = self.complaints().iter().filter(|it| !it.contains(expected)).collect();
        assert!(others.is_empty(), "{others:?}");
    }
}

/// Whether there is a network.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Network {
    Up,
    Down,
}
