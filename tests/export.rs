//! What leaves a data file comes back whole: records through `export` and `import`, pages through `backup`,
//! while the server writes.

mod support;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use support::{
    OWNED, Program, V1, Visitor, Way, bearer, named, request, request_with_json, school,
};

const ADA: &str = "ada-0123456789abcdef";
const EVE: &str = "eve-0123456789abcdef";

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// `wsroom WORD --data FILE …`, with this file as its input.
fn runs(word: &str, data: &Path, options: &[&Path], input: Option<&Path>) -> Output {
    let mut command = Program::command();
    command.arg(word).arg("--data").arg(data).args(options);
    let stdin = input.map_or_else(Stdio::null, |input| File::open(input).unwrap().into());
    command.stdin(stdin).output().unwrap()
}

fn does(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*errors), (Some(0), ""));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn is_refused(output: &Output, why: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.starts_with("wsroom: ") && errors.contains(why), "{errors}");
}

/// A new file with everything that is needed to import it.
fn is_exported(data: &Path, to: &Path) -> String {
    assert_eq!(does(&runs("export", data, &[Path::new("--for-import"), to], None)), "");
    assert_eq!(fs::metadata(to).unwrap().permissions().mode() & 0o777, 0o600);
    fs::read_to_string(to).unwrap()
}

fn starts(data: &Path) -> Program {
    let data = data.display().to_string();
    Program::start_plainly(&["-q", "--data", &data, OWNED[0], OWNED[1]])
}

fn asks(program: &Program, request: impl AsRef<[u8]>) -> support::Answer {
    Visitor::over(Way::Plain.connects(program.address())).asks(request)
}

/// Everything that a data file can hold. Answers with the keys of two users.
fn is_lived_in(program: &Program) -> [String; 2] {
    let keys = ["Ada", "Bob"].map(|name| {
        let created = asks(program, request_with_json("POST", "/users", &[], &named(name)));
        created.tells(201)["key"].as_str().unwrap().to_owned()
    });
    let owner = bearer(school::OWNER);
    asks(program, request("PUT", "/rooms/a/leaders/1", &[&owner], "")).tells(200);
    let joins = |session| {
        let path = format!("/ws/a?session={session}");
        V1::over(Way::Plain.connects(program.address()), &path)
    };
    let (mut guest, _) = joins(ADA);
    let (_eve, welcome) = joins(EVE);
    guest.says_with_ref("kept", "r1");
    guest.hears("kept");
    guest.shows("a.bin", "application/x", b"\x00\n\xff");
    guest.sees(b"\x00\n\xff");
    guest.says("removed");
    let removed = guest.hears("removed")["id"].clone();
    asks(program, request("DELETE", &format!("/rooms/a/messages/{removed}"), &[&owner], ""))
        .tells(200);
    let mute = json!({"act": "mute", "member": welcome["you"]["id"]}).to_string();
    asks(program, request_with_json("POST", "/rooms/a/acts", &[&owner], &mute)).tells(200);
    let settings = json!({"topic": "Kepler", "key": "two-bodies"}).to_string();
    asks(program, request_with_json("PUT", "/rooms/a", &[&owner], &settings)).tells(200);
    // The number of a user who has gone is not given again.
    assert_eq!(asks(program, request("DELETE", "/users/2", &[&owner], "")).status, 204);
    keys
}

fn records(lines: &str, kind: &str) -> Vec<Value> {
    let all = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    all.filter(|record| record["kind"] == kind).collect()
}

#[test]
fn what_is_exported_can_be_imported() {
    let place = Place::new();
    let (old, new) = (place.file("old"), place.file("new"));
    let program = starts(&old);
    let [key, _] = is_lived_in(&program);
    // The server may run meanwhile.
    let lines = is_exported(&old, &place.file("first"));
    drop(program);
    assert_eq!(records(&lines, "user").len(), 1);
    for field in ["topic", "key", "leader:1"] {
        assert!(records(&lines, "rule").iter().any(|rule| rule["field"] == field), "{lines}");
    }
    let messages = records(&lines, "message");
    for field in ["text", "base64", "act", "removed", "session", "ref"] {
        assert!(messages.iter().any(|message| message.get(field).is_some()), "{field}: {lines}");
    }
    assert_eq!(does(&runs("import", &new, &[], Some(&place.file("first")))), "");
    assert_eq!(is_exported(&new, &place.file("second")), lines);
    has_sound_totals(&new);
    goes_on(&starts(&new), &key);
}

/// Each message counts for what it has, from the first one of its room on.
fn has_sound_totals(data: &Path) {
    let sql = "SELECT min(size) FROM (SELECT total - lag(total, 1, 0) OVER one_room AS size
               FROM messages WINDOW one_room AS (PARTITION BY room ORDER BY id))";
    let connection = rusqlite::Connection::open(data).unwrap();
    let least: i64 = connection.query_one(sql, [], |row| row.get(0)).unwrap();
    assert!(least >= 64, "a message counts for {least} bytes");
}

/// Keys are good, refs are known, rules hold, and numbers go on.
fn goes_on(program: &Program, key: &str) {
    let me = asks(program, request("GET", "/users/me", &[&bearer(key)], "")).tells(200);
    assert_eq!(me["name"], "Ada");
    let joins = |session| {
        let path = format!("/ws/a?session={session}&since=0&key=two-bodies");
        V1::over(Way::Plain.connects(program.address()), &path)
    };
    let (mut guest, welcome) = joins(ADA);
    assert_eq!(
        (&welcome["rules"]["topic"], &welcome["complete"]),
        (&json!("Kepler"), &json!(true))
    );
    let (past, _) = guest.hears_the_past();
    let texts: Vec<_> = past.iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(texts, ["kept"]);
    guest.says_with_ref("kept", "r1");
    assert_eq!(guest.hears_an_answer("r1"), "kept");
    let (mut eve, _) = joins(EVE);
    eve.says_with_ref("muted", "r1");
    assert_eq!(eve.hears_the_answer("r1")["code"], "muted");
    assert_eq!(asks(program, support::handshake("/ws/a")).status, 403);
    let carol = asks(program, request_with_json("POST", "/users", &[], &named("Carol")));
    assert_eq!(carol.tells(201)["id"], 3);
    // The room's totals were computed anew: what is said now has its place behind the others.
    let (mut ada, _) = V1::over_with(Way::Plain.connects(program.address()), "/ws/a", &bearer(key));
    ada.says("goes on");
    ada.hears("goes on");
}

#[test]
fn what_is_printed_has_no_secrets() {
    let place = Place::new();
    let data = place.file("kept");
    let program = starts(&data);
    is_lived_in(&program);
    let whole = is_exported(&data, &place.file("whole"));
    let lines = does(&runs("export", &data, &[], None));
    assert_eq!(records(&lines, "message").len(), records(&whole, "message").len());
    let secrets = records(&whole, "rule").into_iter().filter(|rule| rule["field"] == "key");
    let secrets = secrets.map(|rule| rule["value"].clone());
    let secrets =
        secrets.chain(records(&whole, "user").into_iter().map(|user| user["key"].clone()));
    let sessions = records(&whole, "message").into_iter().map(|message| message["session"].clone());
    let secrets: Vec<_> = secrets.chain(sessions.filter(Value::is_string)).collect();
    assert!(secrets.len() >= 3, "{whole}");
    for secret in secrets {
        let secret = secret.as_str().unwrap();
        assert!(whole.contains(secret) && !lines.contains(secret), "{secret} is in {lines}");
    }
    // And nothing else that has the length of a hash.
    let is_hash = |word: &str| word.len() >= 32 && word.bytes().all(|c| c.is_ascii_hexdigit());
    assert!(!lines.split(|c: char| !c.is_alphanumeric()).any(is_hash), "{lines}");
    fs::write(place.file("lines"), lines).unwrap();
    is_refused(
        &runs("import", &place.file("new"), &[], Some(&place.file("lines"))),
        "--for-import",
    );
}

#[test]
fn what_cannot_be_imported_changes_nothing() {
    let place = Place::new();
    let (old, new) = (place.file("old"), place.file("new"));
    is_lived_in(&starts(&old));
    let lines = is_exported(&old, &place.file("lines"));
    // The last line is no record: then none of them is kept.
    fs::write(place.file("broken"), format!("{lines}{{\"kind\":\"nonsense\"}}\n")).unwrap();
    let number = format!("line {}", lines.lines().count() + 1);
    is_refused(&runs("import", &new, &[], Some(&place.file("broken"))), &number);
    fs::write(place.file("text"), "hello\n").unwrap();
    is_refused(&runs("import", &new, &[], Some(&place.file("text"))), "line 1");
    is_refused(&runs("import", &new, &[], None), "the first line");
    does(&runs("import", &new, &[], Some(&place.file("lines"))));
    is_refused(&runs("import", &new, &[], Some(&place.file("lines"))), "name a new file");
    // A file is not written over.
    let target = [Path::new("--for-import"), &place.file("lines")];
    is_refused(&runs("export", &old, &target, None), "not there yet");
    assert_eq!(fs::read_to_string(place.file("lines")).unwrap(), lines);
    is_refused(&runs("export", &place.file("missing"), &[], None), "missing");
    is_refused(&runs("export", &place.file("text"), &[], None), "that wsroom has made");
    is_refused(&runs("export", Path::new("redis://:secret@host"), &[], None), "redis://:***@host");
}

/// The server goes on writing while it is copied, and each copy has all that was heard before.
#[test]
fn a_backup_has_all_that_was_heard_before() {
    let place = Place::new();
    let data = place.file("kept");
    let file = data.display().to_string();
    let program = Program::start_plainly(&["-q", "--history", "100000", "--data", &file]);
    let (heard, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut ada = support::Client::over(Way::Plain.connects(program.address()), "/ws/a");
            while !is_over.load(Ordering::Relaxed) {
                let number = heard.load(Ordering::Relaxed).to_string();
                ada.says(&number);
                ada.hears(&number);
                heard.fetch_add(1, Ordering::Release);
            }
        });
        for number in 1..=3 {
            support::until("more to be said", || heard.load(Ordering::Acquire) > 200 * number);
            let before = heard.load(Ordering::Acquire);
            let copy = place.file(&format!("copy-{number}"));
            let told = does(&runs("backup", &data, &[&copy], None));
            assert!(told.contains("every page was checked"), "{told}");
            is_a_beginning(&copy, before);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let copy = place.file("copy-1");
    let before = fs::read(&copy).unwrap();
    is_refused(&runs("backup", &data, &[&copy], None), "not there yet");
    assert!(fs::read(&copy).unwrap() == before, "the copy was written over");
    is_refused(&runs("backup", &place.file("missing"), &[&place.file("no-copy")], None), "missing");
    assert!(!place.file("no-copy").exists());
    // A server can live on the copy.
    drop(program);
    let program = starts(&copy);
    let (mut bob, _) = V1::over(Way::Plain.connects(program.address()), "/ws/a?last=1");
    assert_eq!(bob.hears_the_past().0.len(), 1);
}

/// The copy has the messages 0, 1, 2, … without a gap, and as many at least.
fn is_a_beginning(copy: &Path, at_least: usize) {
    assert_eq!(fs::metadata(copy).unwrap().permissions().mode() & 0o777, 0o600);
    let lines = does(&runs("export", copy, &[], None));
    let texts: Vec<_> = records(&lines, "message").iter().map(|one| one["text"].clone()).collect();
    let whole: Vec<_> = (0..texts.len()).map(|number| json!(number.to_string())).collect();
    assert!(texts == whole, "there is a gap in {texts:?}");
    assert!(texts.len() >= at_least, "{} of {at_least}", texts.len());
}
