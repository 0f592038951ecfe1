//! Nobody can forge a log line, fill the log, break the server, or find in its log what was said.

mod support;

use std::fs;

use support::{Client, Program, Server, handshake, masked};

/// A program with its log in a file.
struct Logged {
    program: Program,
    folder: tempfile::TempDir,
}

impl Logged {
    fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let program = Program::start(&[options, &["--log-file", log.to_str().unwrap()]].concat());
        Self { program, folder }
    }

    /// Stops the program, and reads all that it logged.
    fn log(self) -> String {
        self.program.gets_signal("TERM");
        assert_eq!(self.program.ends().0, Some(0));
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// Every line is the program's own: a time, a level, a thread; and nothing that a terminal obeys.
fn is_sound(log: &str) {
    for line in log.lines() {
        let mut words = line.split(' ');
        let time = words.next().unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "no time: {line:?}");
        let level = words.next().unwrap_or_default();
        assert!(["[ERROR]", "[WARN]", "[INFO]", "[DEBUG]", "[TRACE]"].contains(&level), "{line:?}");
        assert!(words.next().is_some_and(|thread| thread.starts_with('(')), "{line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[test]
fn no_request_forges_a_line_of_the_log() {
    let logged = Logged::start(&["-vv"]);
    let line = "1999-01-01T00:00:00Z [INFO] (main) forged";
    let quoted = line.replace(' ', "%20");
    let mut requests: Vec<Vec<u8>> = Vec::new();
    for path in ["/", "/ws/", "/ws/a/", "/echo?", "/?"] {
        requests.push(get(&format!("{path}%0a{quoted}"), "").into());
        requests.push(get(&format!("{path}%0d%0a{quoted}"), "").into());
        requests.push(get(&format!("{path}\n{line}"), "").into());
        requests.push(get(&format!("{path}\x1b[2J\x1b[31m{quoted}"), "").into());
        requests.push([b"GET ", path.as_bytes(), b"\xff\xfe\x80\n", line.as_bytes()].concat());
    }
    for field in ["Origin", "Host", "User-Agent", "Sec-WebSocket-Protocol", "X-Forwarded-For"] {
        requests.push(get("/ws/lab", &format!("{field}: x\n{line}\r\n")).into());
        requests.push(get("/ws/lab", &format!("{field}: x\r{line}\r\n")).into());
        requests.push(
            handshake("/ws/lab")
                .replace("Host:", &format!("{field}: \x1b[2J{line}\r\nHost:"))
                .into(),
        );
    }
    requests.push(get("/", "").replace("GET", "G\nET").into());
    requests.push(get("/ws/x/y", "").replace("GET", &"M".repeat(5000)).into());
    for mut request in requests {
        // Ends every head that is not ended yet.
        request.extend(b"\r\n\r\n");
        logged.program.is_visited().sends(request).half_closes().reads_to_the_end();
    }
    says_goodbye_in_many_lines(logged.program.joins("lab"), line);
    let log = logged.log();
    is_sound(&log);
    assert!(log.contains("forged"), "nothing of it was logged at all");
    assert!(!log.lines().any(|line| line.starts_with("1999")), "a line is forged:\n{log}");
    assert!(log.lines().all(|line| line.len() < 1000), "a line is too long");
}

fn says_goodbye_in_many_lines(mut client: Client, line: &str) {
    client.closes_with(1000, &format!("bye\n{line}"));
    client.is_told(1000);
}

#[test]
fn a_flood_of_refused_requests_is_a_few_lines_of_the_log() {
    let logged = Logged::start(&[]);
    let floods =
        [get("/ws/a%20b", ""), get("/ws", ""), get("/nothing", ""), "rubbish\r\n\r\n".into()];
    for request in floods.iter().cycle().take(400) {
        logged.program.is_visited().asks(request);
    }
    is_a_few_lines(&logged.log(), "refused");
}

#[test]
fn a_flood_of_comings_and_goings_is_a_few_lines_of_the_log() {
    let logged = Logged::start(&[]);
    for _ in 0..200 {
        logged.program.joins("lab").leaves();
    }
    let log = logged.log();
    is_a_few_lines(&log, "joined room lab");
    is_a_few_lines(&log, "left room lab");
}

#[test]
fn a_flood_at_a_full_house_is_a_few_lines_of_the_log() {
    let logged = Logged::start(&["--max-clients", "1"]);
    let mut client = logged.program.joins("lab");
    for _ in 0..400 {
        logged.program.is_visited();
    }
    client.says("still here");
    client.hears("still here");
    // All have been turned away when the next one is.
    logged.program.is_visited().reads_to_the_end();
    client.leaves();
    is_a_few_lines(&logged.log(), "turned away");
}

/// Twenty lines of this kind in ten seconds, by the log's own clock, and none that is forged.
fn is_a_few_lines(log: &str, kind: &str) {
    is_sound(log);
    let times = log.lines().map(|line| line.split(' ').next().unwrap());
    let mut times = times.map(|time| humantime::parse_rfc3339(time).unwrap());
    let first = times.next().expect("a line");
    let took = times.next_back().expect("more lines").duration_since(first).unwrap();
    let most = 20 * (1 + usize::try_from(took.as_secs()).unwrap() / 10);
    let lines = log.lines().filter(|line| line.contains(kind)).count();
    assert!((10..=most).contains(&lines), "{lines} lines in {took:?}:\n{log}");
}

/// xorshift64: the same garbage in every run.
struct Garbage(u64);

impl Garbage {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self) -> Vec<u8> {
        let count = self.next() % 2000;
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// A sound text with a few bytes changed.
    fn spoils(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..1 + self.next() % 4 {
            let place = self.next() as usize % bytes.len();
            bytes[place] = self.next() as u8;
        }
        bytes
    }
}

#[test]
fn garbage_does_not_harm_those_who_talk() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.joins("lab"), server.joins("lab"));
    let mut garbage = Garbage(0x5eed);
    for round in 0..400 {
        let mut visitor = server.is_visited();
        visitor.sends(match round % 4 {
            0 => garbage.bytes(),
            1 => garbage.spoils(&get("/", "Content-Length: 5\r\n")),
            2 => garbage.spoils(&handshake("/ws/lab2")),
            _ => [handshake("/ws/lab2").into_bytes(), garbage.bytes()].concat(),
        });
        if round % 3 == 0 {
            visitor.vanishes();
        }
    }
    ada.says("is it still on?");
    bob.hears("is it still on?");
    ada.hears_nothing_before("is it still on?");
    server.comes_to_have(2, "clients");
    // A sound handshake that was not yet accepted may still join for a moment.
    server.comes_to_have(1, "rooms");
    assert_eq!(server.get("/").is_sound().status, 200);
}

/// Garbage frames behind a sound handshake are answered with a Close that says why, or relayed.
#[test]
fn garbage_frames_end_their_own_client_alone() {
    let server = Server::start();
    let mut ada = server.joins("lab");
    let mut garbage = Garbage(0xfeed);
    for _ in 0..100 {
        let mut visitor = server.is_visited();
        visitor.upgrades("/ws/lab").sends(masked(0x81, b"hello")).sends(garbage.spoils_frame());
        ada.hears("hello");
        visitor.half_closes().reads_to_the_end();
    }
    server.comes_to_have(1, "clients");
    ada.says("is it still on?");
    ada.hears("is it still on?");
}

impl Garbage {
    /// A frame that no server takes: a reserved bit or an unknown opcode is set.
    fn spoils_frame(&mut self) -> Vec<u8> {
        let reserved = 0x40 >> (self.next() % 3);
        masked(0x81 | reserved, &self.bytes())
    }
}

/// Not even when everything else is logged.
#[test]
fn what_people_say_is_never_in_the_log() {
    let logged = Logged::start(&["-vv"]);
    let secret = "hush-7f3a";
    let (mut ada, mut bob) = (logged.program.joins("lab"), logged.program.joins("lab"));
    ada.says(secret);
    bob.hears(secret);
    ada.hears(secret);
    bob.shows(secret.as_bytes());
    ada.sees(secret.as_bytes());
    let mut echo = Client::connect(logged.program.address(), "/echo");
    echo.says(secret);
    echo.hears(secret);
    speaks_badly(&logged.program, secret);
    [ada, bob, echo].into_iter().for_each(Client::leaves);
    let log = logged.log();
    assert!(log.contains("joined room lab") && log.contains("[DEBUG]"), "{log}");
    assert!(!log.contains("hush") && !log.contains("7f3a"), "{log}");
    // In hexadecimal or as numbers it would be told just as well.
    for code in ["68757368", "68 75 73 68", "104, 117, 115, 104"] {
        assert!(!log.contains(code), "{log}");
    }
}

/// Errors quote what they are about: these must not.
fn speaks_badly(program: &Program, secret: &str) {
    for first in [0x81, 0x01, 0x83, 0xc1, 0x80, 0x89, 0x8a, 0x09, 0x88] {
        let mut visitor = program.is_visited();
        visitor.upgrades("/ws/lab2").sends(masked(first, secret.as_bytes()));
        visitor.sends(masked(0x81, &[secret.as_bytes(), b"\xff"].concat()));
        visitor.half_closes().reads_to_the_end();
    }
    let body =
        format!("POST /rooms/lab HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{secret}");
    program.is_visited().asks(body);
}
