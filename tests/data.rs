//! `--data`: a file that cannot be used is refused in one line; a disk that fills up costs what
//! needs it, and nothing else.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use rusqlite::Connection;
use serde_json::json;
use support::{Program, V1, Visitor, Way, named, request, request_with_json};

/// Started with this file it ends with status 1 and one line that names it.
fn is_refused(file: &Path, remedy: &str) {
    let mut command = Program::command();
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(file);
    let Output { status, stderr, .. } = Program::runs_to_the_end(command);
    let line = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), line.lines().count()), (Some(1), 1), "{line}");
    assert!(line.contains("--data") && line.contains(&file.display().to_string()), "{line}");
    assert!(line.contains(remedy), "{line}");
}

#[test]
fn a_file_that_cannot_be_used_is_refused() {
    let place = tempfile::tempdir().unwrap();
    is_refused(&place.path().join("missing/kept"), "a directory that is there");
    is_refused(place.path(), "can be written");
    let text = place.path().join("text");
    std::fs::write(&text, "this is no database at all, but a text of some length".repeat(20))
        .unwrap();
    is_refused(&text, "that wsroom has made");
    let foreign = place.path().join("foreign");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let before = std::fs::read(&foreign).unwrap();
    is_refused(&foreign, "another program");
    assert!(std::fs::read(&foreign).unwrap() == before, "somebody else's file is as it was");
    // Nor is anything done to what its program has left behind after a crash.
    let crashed = place.path().join("crashed");
    leaves_a_log_behind(&crashed);
    let wal = place.path().join("crashed-wal");
    let before = [&crashed, &wal].map(|file| std::fs::read(file).unwrap());
    is_refused(&crashed, "another program");
    assert!([&crashed, &wal].map(|file| std::fs::read(file).unwrap()) == before, "it was changed");
    let future = place.path().join("future");
    drop(Program::start_plainly(&["-q", "--data", &future.display().to_string()]));
    Connection::open(&future).unwrap().pragma_update(None, "user_version", 99).unwrap();
    is_refused(&future, "a newer wsroom");
}

/// A database of another program, with a write-ahead log that nobody has brought into it.
fn leaves_a_log_behind(file: &Path) {
    let place = tempfile::tempdir().unwrap();
    let living = place.path().join("living");
    let database = Connection::open(&living).unwrap();
    database.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
    database.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
    for end in ["", "-wal"] {
        let name = |file: &Path| format!("{}{end}", file.display());
        std::fs::copy(name(&living), name(file)).unwrap();
    }
}

#[test]
fn what_is_kept_is_for_nobody_else_to_read() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept");
    let _program = Program::start_plainly(&["-q", "--data", &file.display().to_string()]);
    let mut seen = 0;
    for file in place.path().read_dir().unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        seen += 1;
    }
    assert!(seen >= 2, "the file and its log");
}

#[test]
fn one_file_has_one_server() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept");
    let first = Program::start_plainly(&["-q", "--data", &file.display().to_string()]);
    is_refused(&file, "another program uses it");
    let (mut ada, _) = V1::over(Way::Plain.connects(first.address()), "/ws/a");
    ada.says("undisturbed");
    ada.hears("undisturbed");
}

/// Whoever watches the server is told of a full disk, and of its end, although nobody speaks any more.
#[test]
fn a_full_disk_is_told_to_those_who_watch() {
    let place = tempfile::tempdir().unwrap();
    let program = Program::with_a_disk_that_fills(&place.path().join("kept").display().to_string());
    let visit =
        |request: &[u8]| Visitor::over(Way::Plain.connects(program.address())).asks(request);
    let health = || visit(&request("GET", "/healthz", &[], ""));
    let posts = |text| visit(&request("POST", "/rooms/a", &["Content-Type: text/plain"], text));
    assert_eq!(health().tells(200)["status"], "ok");
    program.has_limit("--fsize=1:");
    // Nothing was to be kept so far.
    assert_eq!(health().tells(200)["status"], "ok");
    assert_eq!(posts("lost").has_a_problem(503).field("Retry-After"), Some("5"));
    for _ in 0..3 {
        let health = health().tells(503);
        assert_eq!(health["status"], "degraded");
        assert!(health["reason"].as_str().unwrap().contains("cannot be kept: "), "{health}");
        assert_eq!((&health["clients"], &health["rooms"]), (&json!(0), &json!(0)));
    }
    program.has_limit("--fsize=unlimited:");
    support::until("health", || health().status == 200);
    program.logs("can be kept again");
    let health = health().tells(200);
    assert_eq!((&health["status"], health.get("reason")), (&json!("ok"), None));
    assert_eq!(
        visit(&request("GET", "/rooms/a/messages", &[], "")).tells(200)["messages"],
        json!([])
    );
    assert_eq!(posts("kept").status, 202);
}

/// A file that cannot grow, as on a full disk: the system's limit of file sizes, taken on while it
/// runs.
#[test]
fn rule_43_a_full_disk_is_told_to_those_who_speak() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept").display().to_string();
    let program = Program::with_a_disk_that_fills(&file);
    let (mut ada, _) = V1::over(Way::Plain.connects(program.address()), "/ws/a");
    ada.says("kept");
    ada.hears("kept");
    program.has_limit("--fsize=1:");
    ada.does(&json!({"type": "message", "text": "lost", "ref": "7"}));
    let error = ada.hears_of("error");
    assert_eq!((&error["code"], &error["ref"]), (&json!("not-kept"), &json!("7")), "{error}");
    assert_eq!(error["retry"], true);
    // A plain client has no other way to hear it, and what it says behind that is not heard either.
    let mut plain = support::Client::over(Way::Plain.connects(program.address()), "/ws/a");
    plain.says("lost");
    let _ = plain.socket.send(tungstenite::Message::text("lost as well"));
    assert!(plain.is_told(1013).contains("kept"));
    program.logs("could not be kept");
    let visit =
        |request: &[u8]| Visitor::over(Way::Plain.connects(program.address())).asks(request);
    let post = request("POST", "/rooms/a", &["Content-Type: text/plain"], "a");
    assert_eq!(visit(&post).status, 503);
    let create = request_with_json("POST", "/users", &[], &named("Ada"));
    assert_eq!(visit(&create).status, 503);
    // What needs no disk goes on.
    assert_eq!(visit(&request("GET", "/rooms/a/messages", &[], "")).status, 200);
    let health = visit(&request("GET", "/healthz", &[], "")).tells(503);
    assert_eq!((&health["status"], &health["clients"]), (&json!("degraded"), &json!(1)));
    assert!(health["reason"].as_str().unwrap().starts_with("messages cannot be kept: "));
    let mut echo = support::Client::over(Way::Plain.connects(program.address()), "/echo");
    echo.says("still here");
    echo.hears("still here");
    // Who comes and goes in a turn that is not kept is told of all the same.
    let (mut carol, _) = V1::over(Way::Plain.connects(program.address()), "/ws/a");
    let (mut bob, welcome) = V1::over(Way::Plain.connects(program.address()), "/ws/a");
    let bobs = welcome["you"]["id"].clone();
    carol.hears_of_somebody("joined", |member| member["id"] == bobs);
    bob.does(&json!({"type": "message", "text": "lost too"}));
    // And whoever leaves right behind it.
    bob.client.closes_with(1000, "");
    assert_eq!(bob.hears_of("error")["code"], "not-kept");
    bob.client.is_told(1000);
    carol.hears_of_somebody("left", |id| *id == bobs);
    carol.does(&json!({"type": "message", "text": "lost", "ref": "last"}));
    while carol.next()["ref"] != "last" {}
    // There is room again, and nothing of what was refused has come in.
    program.has_limit("--fsize=unlimited:");
    ada.says("kept too");
    ada.hears("kept too");
    let (mut bob, _) = V1::over(Way::Plain.connects(program.address()), "/ws/a?since=0");
    let past = bob.hears_the_past().0;
    assert_eq!(past.iter().map(|event| &event["text"]).collect::<Vec<_>>(), ["kept", "kept too"]);
}

/// The first version of the schema, as its program has left it.
#[test]
fn an_older_file_is_brought_up_to_date() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept");
    Connection::open(&file)
        .unwrap()
        .execute_batch(
            "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,
                 folded TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL, key BLOB NOT NULL UNIQUE) STRICT;
             CREATE TABLE rooms (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, gone INTEGER NOT NULL) STRICT;
             CREATE TABLE messages (room INTEGER NOT NULL REFERENCES rooms ON DELETE CASCADE,
                 id INTEGER NOT NULL, user INTEGER, author TEXT NOT NULL, name TEXT NOT NULL,
                 media_type TEXT NOT NULL, payload ANY NOT NULL, PRIMARY KEY (room, id)) STRICT, WITHOUT ROWID;
             INSERT INTO users VALUES (7, 'Amo', 'amo', 0, x'00'), (8, 'Arno', 'arno', 0, x'01');
             INSERT INTO rooms VALUES (1, 'a', 0), (2, 'b', 5);
             INSERT INTO messages VALUES (1, 10, 7, 'Ada', '', '', 'one'), (1, 11, NULL, 'guest', 'x', '', x'ff'),
                 (1, 12, 7, 'Ada', '', '', 'three'), (2, 13, 7, 'Ada', '', '', 'elsewhere');
             PRAGMA application_id = 0x7773726d; PRAGMA user_version = 1;",
        )
        .unwrap();
    let program =
        Program::start_plainly(&["-q", "--history", "2", "--data", &file.display().to_string()]);
    let joins = |path: &str| V1::over(Way::Plain.connects(program.address()), path).0;
    let past = |path: &str| {
        let (past, live) = joins(path).hears_the_past();
        (
            past.iter().map(|event| event["id"].as_i64().unwrap()).collect::<Vec<_>>(),
            live["complete"] == true,
        )
    };
    assert_eq!(past("/ws/a?since=0"), (vec![11, 12], false));
    assert_eq!(past("/ws/a?since=11"), (vec![12], true));
    assert_eq!(past("/ws/b?since=0"), (vec![13], false));
    // Names that look alike are one now: nobody else is taken for the first who had it.
    let names: Vec<(String, String)> = Connection::open(&file)
        .unwrap()
        .prepare("SELECT name, folded FROM users ORDER BY id")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let pair = |name: &str, folded: &str| (name.to_owned(), folded.to_owned());
    assert_eq!(names, [pair("Amo", "arno"), pair("Arno", "\u{0}8")]);
    let mut ada = joins("/ws/a");
    ada.says("four");
    let four = ada.hears("four")["id"].as_i64().unwrap();
    assert_eq!(past("/ws/a?since=0"), (vec![12, four], false));
}
