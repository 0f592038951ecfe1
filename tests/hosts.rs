//! A server answers to its own names alone, if it knows them: a page elsewhere that makes its name
//! lead here gets nothing.

mod support;

use std::fs;
use std::path::Path;

use support::{Answer, Program, Visitor, Way, handshake};

/// A page at this host asks this host, as its browser does after the name has been made to lead here.
fn asks(program: &Program, path: &str, host: &str) -> Answer {
    let get = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n\r\n");
    Visitor::over(Way::Plain.connects(program.address())).asks(get)
}

/// These hosts get this status, and others do not.
fn answers_to(program: &Program, status: u16, own: &[&str], others: &[&str]) {
    for host in own {
        assert_eq!(asks(program, "/style.css", host).status, status, "{host}");
    }
    for host in others {
        asks(program, "/style.css", host).refuses_with(421);
    }
}

const EVIL: &str = "evil.example:8080";

#[test]
fn without_names_every_name_is_its_own() {
    answers_to(&Program::start_plainly(&[]), 200, &["talk.example", EVIL], &[]);
}

#[test]
fn another_name_is_answered_421_whatever_is_asked() {
    let program = Program::start_plainly(&["--host", "talk.example", "--host", "Old.Example"]);
    let own = ["talk.example", "TALK.example:8080", "old.example.", "localhost:8080", "127.0.0.1"];
    answers_to(
        &program,
        200,
        &own,
        &[EVIL, "a.talk.example", "talk.example.evil.example", "127.1"],
    );
    answers_to(&program, 200, &["[::1]:8080", "192.0.2.7"], &["localhost.evil.example"]);
    asks(&program, "/", "[::1").refuses_with(400);
    for path in ["/", "/nowhere", "/ws", "/echo"] {
        asks(&program, path, EVIL).refuses_with(421);
    }
    for path in ["/healthz", "/users", "/rooms/a/messages"] {
        asks(&program, path, EVIL).has_a_problem(421);
    }
    let visitor = || Visitor::over(Way::Plain.connects(program.address()));
    let shakes = handshake("/ws").replace("Host: localhost", &format!("Host: {EVIL}"));
    visitor().asks(shakes).refuses_with(421);
    visitor().upgrades("/ws");
    // The target's own host replaces the field.
    for (target, host, status) in [("talk.example", EVIL, 200), (EVIL, "talk.example", 421)] {
        let get = format!("GET http://{target}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(visitor().asks(get).status, status, "{target}");
    }
    assert_eq!(visitor().asks("GET / HTTP/1.0\r\n\r\n").status, 200);
    let line = program.logs(" refused: 421 ");
    assert!(line.contains("--host"), "{line}");
}

#[test]
fn the_variable_takes_several_names() {
    let mut command = Program::command();
    command.args(["--listen", "127.0.0.1:0"]).env("WSROOM_HOST", "talk.example,old.example");
    let program = Program::spawn_plainly(command);
    answers_to(&program, 200, &["talk.example", "old.example"], &[EVIL]);
}

/// Writes a certificate for these names, and its key.
fn issues(place: &Path, names: &[&str]) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    fs::write(place.join("key.pem"), key.serialize_pem()).unwrap();
    fs::write(place.join("chain.pem"), certificate.pem()).unwrap();
}

/// Starts it with the certificate that is there.
fn starts_with_certificate(place: &Path, options: &[&str]) -> Program {
    let (chain, key) = (place.join("chain.pem"), place.join("key.pem"));
    let papers = ["--tls-cert", chain.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    Program::start_plainly(&[&papers, options].concat())
}

/// A plain request is sent on to https only where this server is: 308.
#[test]
fn the_names_in_the_certificate_are_meant_by_default() {
    let place = tempfile::tempdir().unwrap();
    issues(place.path(), &["talk.example", "*.school.example"]);
    let program = starts_with_certificate(place.path(), &[]);
    let own =
        ["talk.example", "a.school.example:8443", "A.School.Example.", "127.0.0.1", "localhost"];
    let others = [EVIL, "school.example", "a.b.school.example", "a.talk.example"];
    answers_to(&program, 308, &own, &others);
    // A renewed one changes them.
    issues(place.path(), &["new.example"]);
    program.gets_signal("HUP");
    program.logs("new certificate");
    answers_to(&program, 308, &["new.example"], &["talk.example", "a.school.example"]);
}

#[test]
fn names_that_are_given_take_the_place_of_those_in_the_certificate() {
    let place = tempfile::tempdir().unwrap();
    issues(place.path(), &["talk.example"]);
    let program = starts_with_certificate(place.path(), &["--host", "old.example"]);
    answers_to(&program, 308, &["old.example"], &["talk.example"]);
    let program = starts_with_certificate(place.path(), &["--host", "*"]);
    answers_to(&program, 308, &["talk.example", EVIL], &[]);
}

#[test]
fn with_a_certificate_of_its_own_making_every_name_is_its_own() {
    let program = Program::start_plainly(&["--tls-self-signed"]);
    answers_to(&program, 308, &["talk.example", EVIL], &[]);
}

#[test]
fn over_tls_the_same_holds() {
    let program = Program::start_over(Way::Tls, &[]);
    let ask = |host: &str| {
        let get = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Visitor::over(Way::Tls.connects(program.address())).asks(get)
    };
    assert_eq!(ask("talk.example").status, 200);
    ask(EVIL).refuses_with(421);
}
