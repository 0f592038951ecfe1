//! The command says what it can do, takes each option by name or by variable, and refuses in one
//! line that tells the remedy.

mod support;

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Output, Stdio};

use support::{Client, Program, Visitor, handshake, until};

/// Every option that takes a value: its variable, its default, and a word on its meaning or unit.
const OPTIONS: [(&str, &str, Option<&str>, &str); 23] = [
    ("--listen", "WSROOM_LISTEN", Some("0.0.0.0:8080"), "port"),
    ("--metrics-listen", "WSROOM_METRICS_LISTEN", None, "metrics"),
    ("--max-clients", "WSROOM_MAX_CLIENTS", Some("4096"), "Connections"),
    ("--max-clients-per-ip", "WSROOM_MAX_CLIENTS_PER_IP", Some("0"), "one address"),
    ("--max-message-size", "WSROOM_MAX_MESSAGE_SIZE", Some("1M"), "bytes"),
    ("--max-backlog", "WSROOM_MAX_BACKLOG", Some("4M"), "Bytes"),
    ("--max-rate", "WSROOM_MAX_RATE", Some("0"), "a second"),
    ("--max-bytes-rate", "WSROOM_MAX_BYTES_RATE", Some("0"), "a second"),
    ("--idle-timeout", "WSROOM_IDLE_TIMEOUT", Some("60s"), "seconds"),
    ("--allow-origin", "WSROOM_ALLOW_ORIGIN", None, "https://"),
    ("--data", "WSROOM_DATA", None, "SQLite"),
    ("--redis-prefix", "WSROOM_REDIS_PREFIX", Some("wsroom:"), "keys"),
    ("--redis-shards", "WSROOM_REDIS_SHARDS", Some("1"), "1 to 64"),
    ("--history", "WSROOM_HISTORY", Some("100"), "room"),
    ("--forget-after", "WSROOM_FORGET_AFTER", Some("30d"), "seconds"),
    ("--token", "WSROOM_TOKEN", None, "16 to 128"),
    ("--token-file", "WSROOM_TOKEN_FILE", None, "each line"),
    ("--admin-token", "WSROOM_ADMIN_TOKEN", None, "16 characters"),
    ("--max-new-users", "WSROOM_MAX_NEW_USERS", Some("60"), "minute"),
    ("--tls-cert", "WSROOM_TLS_CERT", None, "PEM"),
    ("--tls-key", "WSROOM_TLS_KEY", None, "PEM"),
    ("--log-file", "WSROOM_LOG_FILE", None, "standard error"),
    ("--log-format", "WSROOM_LOG_FORMAT", Some("plain"), "json"),
];

/// Values that no option of that name takes, and what a person is told to give instead.
const BAD_VALUES: [(&str, &str, &str); 31] = [
    ("--metrics-listen", "9100", "0.0.0.0:8080"),
    ("--listen", "nonsense", "0.0.0.0:8080"),
    ("--listen", "127.0.0.1", "0.0.0.0:8080"),
    ("--listen", "127.0.0.1:99999", "0.0.0.0:8080"),
    ("--listen", "", "0.0.0.0:8080"),
    ("--max-clients", "0", "4096"),
    ("--max-clients", "many", "4096"),
    ("--max-message-size", "1.5M", "64K"),
    ("--max-message-size", "0", "64K"),
    ("--max-backlog", "2G", "64K"),
    ("--max-clients-per-ip", "many", "such as"),
    ("--max-bytes-rate", "1000", "1K to 1G"),
    ("--max-bytes-rate", "2G", "1K to 1G"),
    ("--max-rate", "fast", "such as"),
    ("--max-rate", "4294967296", "such as"),
    ("--idle-timeout", "soon", "5m"),
    ("--idle-timeout", "0", "5m"),
    ("--allow-origin", "example.org", "https://example.org"),
    ("--allow-origin", "https://example.org/", "https://example.org"),
    ("--allow-origin", "two\nlines", "https://example.org"),
    ("--redis-prefix", "", "such as wsroom:"),
    ("--redis-prefix", "{1}", "without { and }"),
    ("--redis-shards", "0", "from 1 to 64"),
    ("--redis-shards", "65", "from 1 to 64"),
    ("--history", "many", "such as 100"),
    ("--forget-after", "never", "30d"),
    ("--token", "short", "16 to 128"),
    ("--admin-token", "short", "16 visible"),
    ("--max-new-users", "few", "such as"),
    ("--log-file", "/", "can be written"),
    ("--log-format", "xml", "plain or json"),
];

fn wsroom(arguments: &[&str]) -> Output {
    let mut command = Program::command();
    command.args(arguments);
    Program::runs_to_the_end(command)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it speaks UTF-8")
}

/// What `--help` says about one option.
fn paragraph(help: &str, option: &str) -> String {
    let begins = |line: &&str| line.trim_start().starts_with('-');
    let names = |line: &&str| begins(line) && line.contains(option);
    let mut lines = help.lines().skip_while(|line| !names(line));
    let first = lines.next().unwrap_or_else(|| panic!("{option} is not in: {help}"));
    let rest: Vec<_> = lines.take_while(|line| !begins(line)).map(str::trim).collect();
    format!("{first} {}", rest.join(" "))
}

/// One line on standard error that names all of this, nothing on standard output, and status 1.
fn refuses_in_one_line(output: &Output, named: &[&str]) {
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert_eq!(text(&output.stdout), "");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("wsroom: ") && line.ends_with('\n'), "{line}");
    for name in named {
        assert!(line.contains(name), "{name} is not in: {line}");
    }
}

fn shows_its_page(address: SocketAddr) {
    let page = Visitor::connect(address).asks("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(page.status, 200, "at {address}");
    assert!(page.body.contains("<title>wsroom</title>"), "at {address}");
}

/// The addresses that it tells people to open.
fn printed_addresses(program: &Program) -> Vec<SocketAddr> {
    let mut lines = program.greeting.split("http://").skip(1);
    lines.by_ref().map(|rest| rest.split('/').next().unwrap().parse().unwrap()).collect()
}

/// The status of a handshake that comes from a page of this origin.
fn answer_to_a_page_of(origin: &str, program: &Program) -> String {
    let request = handshake("/ws").replace("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n"));
    let head = program.is_visited().sends(request).reads_a_head();
    text(&head).split(' ').nth(1).unwrap().to_owned()
}

fn interrupted(program: Program) -> String {
    program.gets_signal("INT");
    let (status, log) = program.ends();
    assert_eq!(status, Some(0), "{log}");
    log
}

#[test]
fn help_names_every_option_with_variable_default_and_unit() {
    let output = wsroom(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for (option, variable, default, word) in OPTIONS {
        let said = paragraph(&help, option);
        assert!(said.contains(&format!("[env: {variable}")), "{said}");
        assert!(said.contains(word), "{said}");
        if let Some(default) = default {
            assert!(said.contains(&format!("[default: {default}]")), "{said}");
        }
    }
    for (option, variable) in [
        ("-v, --verbose", "WSROOM_VERBOSE"),
        ("-q, --quiet", "WSROOM_QUIET"),
        ("--no-qr", "WSROOM_NO_QR"),
        ("--tls-self-signed", "WSROOM_TLS_SELF_SIGNED"),
    ] {
        let said = paragraph(&help, option);
        assert!(said.contains(&format!("[env: {variable}")), "{said}");
    }
    assert!(paragraph(&help, "--listen").contains("-l, --listen"));
}

#[test]
fn version_is_that_of_the_package() {
    let output = wsroom(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), format!("wsroom {}\n", env!("CARGO_PKG_VERSION")));
}

/// A value as it is shown to whoever gave it. A token is not: others may be looking on.
fn shown(option: &str, value: &str) -> String {
    if option.ends_with("token") { "***".to_owned() } else { value.escape_debug().to_string() }
}

#[test]
fn a_bad_value_is_refused_with_a_remedy() {
    for (option, value, remedy) in BAD_VALUES {
        let shown = shown(option, value);
        refuses_in_one_line(&wsroom(&[option, value]), &[option, &shown, remedy]);
    }
}

#[test]
fn a_bad_value_in_a_variable_is_refused_just_so() {
    for (option, value, remedy) in BAD_VALUES {
        let (_, variable, ..) = OPTIONS.into_iter().find(|(name, ..)| *name == option).unwrap();
        let mut command = Program::command();
        command.env(variable, value);
        let shown = shown(option, value);
        refuses_in_one_line(&Program::runs_to_the_end(command), &[option, &shown, remedy]);
    }
}

#[test]
fn the_password_of_the_store_is_not_shown() {
    let url = "redis+sentinel://ada:s3cret@127.0.0.1";
    let mut with_variable = Program::command();
    with_variable.env("WSROOM_DATA", url);
    let mut help = Program::command();
    help.env("WSROOM_DATA", url).arg("--help");
    let refused = "--data redis+sentinel://ada:***@127.0.0.1: ";
    let option = wsroom(&["--data", url]);
    refuses_in_one_line(&option, &[refused]);
    let variable = Program::runs_to_the_end(with_variable);
    refuses_in_one_line(&variable, &[refused]);
    for output in [option, variable, Program::runs_to_the_end(help)] {
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.contains("s3cret"), "{all}");
    }
}

#[test]
fn wrong_usage_is_refused_with_status_2() {
    for wrong in [&["--lissten", "127.0.0.1:0"][..], &["--listen"], &["8080"]] {
        let output = wsroom(wrong);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {errors}");
        assert_eq!(text(&output.stdout), "");
        assert!(errors.contains(wrong[0]) && errors.contains("--help"), "{wrong:?}: {errors}");
    }
}

#[test]
fn variables_set_what_options_set() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("log");
    let mut command = Program::command();
    command.env("WSROOM_LISTEN", "127.0.0.1:0");
    // More than come before the house is filled: a place is free only a moment after its client.
    command.env("WSROOM_MAX_CLIENTS", "8");
    command.env("WSROOM_MAX_MESSAGE_SIZE", "1K");
    command.env("WSROOM_MAX_BACKLOG", "64K");
    command.env("WSROOM_MAX_RATE", "1000");
    command.env("WSROOM_IDLE_TIMEOUT", "12");
    command.env("WSROOM_ALLOW_ORIGIN", "https://one.example,https://two.example:8443");
    command.env("WSROOM_VERBOSE", "1");
    command.env("WSROOM_LOG_FILE", &file);
    let program = Program::spawn(command);

    for origin in ["https://one.example", "https://two.example:8443"] {
        assert_eq!(answer_to_a_page_of(origin, &program), "101");
    }
    assert_eq!(answer_to_a_page_of("https://three.example", &program), "403");
    let mut ada = program.joins("physics");
    ada.says("short");
    ada.hears("short");
    ada.shows(&[0; 1025]);
    ada.is_told(1009);
    // Those who came before may still hold their places, and then give them to others.
    let mut guests = Vec::new();
    until("a full house", || {
        guests.push(program.is_visited());
        program.is_visited().asks("GET / HTTP/1.0\r\n\r\n").status == 503
    });
    assert!(guests.len() < 50, "{} guests in a house for 8", guests.len());
    assert_eq!(interrupted(program), "");
    let log = fs::read_to_string(&file).unwrap();
    assert!(log.contains("[DEBUG]") && log.contains("joined room physics"), "{log}");
}

#[test]
fn the_idle_timeout_is_taken_from_its_variable() {
    let mut command = Program::command();
    command.env("WSROOM_LISTEN", "127.0.0.1:0").env("WSROOM_IDLE_TIMEOUT", "1");
    let program = Program::spawn(command);
    let mut silent = program.is_visited();
    silent.upgrades("/ws");
    let (ping, _) = silent.reads_a_frame();
    assert_eq!(ping, 0x89);
    assert_eq!(silent.reads_a_close().0, 4002);
}

#[test]
fn quiet_can_be_a_variable() {
    for yes in ["1", "true"] {
        let mut command = Program::command();
        command.env("WSROOM_LISTEN", "127.0.0.1:0").env("WSROOM_QUIET", yes);
        let program = Program::spawn(command);
        program.joins("physics").leaves();
        assert_eq!(interrupted(program), "");
    }
}

#[test]
fn the_command_line_wins_over_a_variable() {
    let mut command = Program::command();
    command.env("WSROOM_LISTEN", "nonsense").env("WSROOM_VERBOSE", "1");
    command.args(["--listen", "127.0.0.1:0", "--quiet"]);
    let program = Program::spawn(command);
    program.joins("physics").leaves();
    assert_eq!(interrupted(program), "");

    let mut command = Program::command();
    command.env("WSROOM_LISTEN", "127.0.0.1:0").env("WSROOM_QUIET", "1").arg("-v");
    let program = Program::spawn(command);
    shows_its_page(program.address());
    let log = interrupted(program);
    assert!(log.contains("[DEBUG]"), "{log}");
}

#[test]
fn an_address_in_use_is_refused_with_a_remedy() {
    let neighbour = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = neighbour.local_addr().unwrap().to_string();
    let output = wsroom(&["--listen", &address]);
    refuses_in_one_line(&output, &["--listen", &address, "in use", "another port"]);
}

#[test]
fn a_second_server_does_not_share_the_first_ones_port() {
    let first = Program::start(&[]);
    let address = first.address().to_string();
    let output = wsroom(&["--listen", &address]);
    refuses_in_one_line(&output, &["--listen", &address, "in use", "another port"]);
    shows_its_page(first.address());
}

#[test]
fn an_address_of_another_host_is_refused_with_a_remedy() {
    // One that is kept for documentation (RFC 5737): no host has it.
    let output = wsroom(&["--listen", "203.0.113.1:0"]);
    refuses_in_one_line(&output, &["--listen", "203.0.113.1:0", "try 0.0.0.0"]);
}

#[test]
fn port_0_becomes_the_real_port() {
    let program = Program::start(&[]);
    assert_ne!(program.address().port(), 0);
    assert_eq!(printed_addresses(&program), [program.address()]);
    shows_its_page(program.address());
}

#[test]
fn it_says_how_to_stop_it() {
    let program = Program::start(&[]);
    assert!(program.greeting.contains("Ctrl-C stops it"), "{}", program.greeting);
}

#[test]
fn listening_on_all_it_prints_the_addresses_of_this_host() {
    let program = Program::start_at("0.0.0.0:0");
    let port = program.address().port();
    assert_ne!(port, 0);
    let printed = printed_addresses(&program);
    let interfaces = if_addrs::get_if_addrs().unwrap();
    let mut expected: Vec<_> = interfaces
        .iter()
        .filter(|interface| interface.ip().is_ipv4() && !interface.is_link_local())
        .map(|interface| SocketAddr::new(interface.ip(), port))
        .collect();
    let mut sorted = printed.clone();
    sorted.sort();
    expected.sort();
    assert_eq!(sorted, expected);
    // Those that others can open come first.
    assert!(printed.is_sorted_by_key(|address| address.ip().is_loopback()), "{printed:?}");
    for address in printed.iter().filter(|address| address.ip().is_loopback()) {
        shows_its_page(*address);
    }
}

/// All of 127.0.0.0/8 is this host, on Linux without being told: one that was never named stands
/// for every other address.
#[cfg(target_os = "linux")]
#[test]
fn listening_on_all_it_answers_at_any_address_of_this_host() {
    let program = Program::start_at("0.0.0.0:0");
    shows_its_page(SocketAddr::from(([127, 9, 9, 9], program.address().port())));
    let alone = Program::start_at("127.0.0.1:0");
    let elsewhere = SocketAddr::from(([127, 9, 9, 9], alone.address().port()));
    assert!(TcpStream::connect(elsewhere).is_err(), "it answers where it was not told to");
}

#[test]
fn an_ipv6_address_is_printed_in_brackets() {
    let program = Program::start_at("[::1]:0");
    let address = program.address();
    assert!(address.is_ipv6());
    assert!(program.greeting.contains(&format!("http://[::1]:{}/", address.port())));
    shows_its_page(address);
    let mut ada = program.joins("physics");
    ada.says("hello");
    ada.hears("hello");
}

#[test]
fn listening_on_all_of_ipv6_it_takes_both_kinds() {
    let program = Program::start_at("[::]:0");
    let port = program.address().port();
    let printed = printed_addresses(&program);
    for loopback in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(loopback.parse::<IpAddr>().unwrap(), port);
        assert!(printed.contains(&address), "{printed:?}");
        shows_its_page(address);
    }
}

#[test]
fn joins_and_leaves_are_logged_with_number_address_and_room() {
    let program = Program::start(&[]);
    let ada = program.joins("physics");
    let address = ada.socket.get_ref().local_addr().unwrap();
    let joined = program.logs(&format!("client-1 {address} joined room physics"));
    assert!(joined.contains("[INFO]"), "{joined}");
    ada.leaves();
    let left = program.logs(&format!("client-1 {address} left room physics"));
    assert!(left.contains("[INFO]"), "{left}");
    let bob = Client::connect(program.address(), "/echo");
    let address = bob.socket.get_ref().local_addr().unwrap();
    program.logs(&format!("client-2 {address} joined the echo"));
    bob.vanishes();
    program.logs(&format!("client-2 {address} left the echo"));
}

#[test]
fn a_client_that_comes_and_goes_is_no_error() {
    let program = Program::start(&["-vv"]);
    program.joins("physics").leaves();
    program.joins("physics").half_closes();
    program.joins("physics").vanishes();
    let log = interrupted(program);
    assert!(!log.contains("[WARN]") && !log.contains("[ERROR]"), "{log}");
}

#[test]
fn quiet_logs_nothing_of_ordinary_life() {
    let program = Program::start(&["-q"]);
    program.joins("physics").leaves();
    shows_its_page(program.address());
    assert_eq!(interrupted(program), "");
}

#[test]
fn quiet_still_warns() {
    let program = Program::start(&["-q", "--max-clients", "1"]);
    let _ada = program.joins("physics");
    assert_eq!(program.is_visited().gets_an_answer().status, 503);
    let warning = program.logs("--max-clients is reached");
    assert!(warning.contains("[WARN]"), "{warning}");
}

#[test]
fn each_v_logs_more() {
    let log_with = |options: &[&str]| {
        let program = Program::start(options);
        let mut ada = program.joins("physics");
        ada.says("hello");
        ada.hears("hello");
        ada.leaves();
        shows_its_page(program.address());
        interrupted(program)
    };
    let info = log_with(&[]);
    assert!(info.contains("[INFO]") && !info.contains("[DEBUG]"), "{info}");
    let debug = log_with(&["-v"]);
    assert!(debug.contains("[DEBUG]") && !debug.contains("[TRACE]"), "{debug}");
    let trace = log_with(&["-vv"]);
    assert!(trace.contains("[TRACE]"), "{trace}");
}

#[test]
fn what_people_say_is_never_logged() {
    let program = Program::start(&["-vvv"]);
    let mut ada = program.joins("physics");
    ada.says("attack at dawn");
    ada.hears("attack at dawn");
    ada.leaves();
    let log = interrupted(program);
    assert!(log.contains("joined room physics"), "{log}");
    assert!(!log.contains("attack") && !log.contains("dawn"), "{log}");
}

#[test]
fn the_log_file_is_written_and_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("log");
    fs::write(&file, "what stood there before\n").unwrap();
    for room in ["physics", "chemistry"] {
        let program = Program::start(&["--log-file", file.to_str().unwrap()]);
        program.joins(room).leaves();
        assert_eq!(interrupted(program), "", "standard error is left alone");
    }
    let log = fs::read_to_string(&file).unwrap();
    assert!(log.starts_with("what stood there before\n"), "{log}");
    let physics = log.find("joined room physics").expect("the first run");
    let chemistry = log.find("joined room chemistry").expect("the second run");
    assert!(physics < chemistry, "{log}");
}

#[test]
fn a_log_file_that_cannot_be_written_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("no/such/place");
    let nowhere = nowhere.to_str().unwrap();
    refuses_in_one_line(&wsroom(&["--log-file", nowhere]), &["--log-file", nowhere, "written"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_does_not_stop_it() {
    let program = Program::start(&["-vv", "--log-file", "/dev/full"]);
    for _ in 0..3 {
        let mut ada = program.joins("physics");
        ada.says("hello");
        ada.hears("hello");
        ada.leaves();
    }
    shows_its_page(program.address());
    interrupted(program);
}

#[test]
fn it_serves_when_nobody_reads_its_output() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let address = Program::free_address();
    let mut command = Program::command();
    command.args(["-vv", "--listen", &address.to_string()]);
    command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut process = Killed(command.spawn().unwrap());
    until("a listener", || TcpStream::connect(address).is_ok());
    for _ in 0..3 {
        let mut ada = Client::connect(address, "/ws/physics");
        ada.says("hello");
        ada.hears("hello");
        ada.leaves();
    }
    shows_its_page(address);
    assert!(process.0.try_wait().unwrap().is_none(), "it ended");
}

/// A process that ends with its test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn allowed_origins_add_up() {
    let program = Program::start(&[
        "--allow-origin",
        "https://one.example",
        "--allow-origin",
        "https://two.example:8443",
    ]);
    for origin in ["https://one.example", "HTTPS://ONE.example", "https://two.example:8443"] {
        assert_eq!(answer_to_a_page_of(origin, &program), "101", "{origin}");
    }
    for origin in ["http://one.example", "https://two.example", "https://three.example", "null"] {
        assert_eq!(answer_to_a_page_of(origin, &program), "403", "{origin}");
    }
}

#[test]
fn any_origin_can_be_allowed() {
    let program = Program::start(&["--allow-origin", "*"]);
    for origin in ["https://one.example", "http://127.0.0.1:1", "null"] {
        assert_eq!(answer_to_a_page_of(origin, &program), "101", "{origin}");
    }
}
