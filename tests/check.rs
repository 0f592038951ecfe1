//! `wsroom check`: each line tells how one thing is, with its remedy; an error makes the status 1, and
//! nothing is changed by looking.

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use support::Program;
use support::redis::RedisServer;
use time::OffsetDateTime;

/// What a check has said, and its exit status.
struct Check {
    said: String,
    complaint: String,
    status: Option<i32>,
}

impl Check {
    fn with(options: &[&str]) -> Self {
        let mut command = Program::command();
        command.arg("check").args(["--listen", "127.0.0.1:0"]).args(options);
        let output = Program::runs_to_the_end(command);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it speaks UTF-8");
        let (said, complaint) = (text(&output.stdout), text(&output.stderr));
        Self { said, complaint, status: output.status.code() }
    }

    /// The one line about this.
    fn line(&self, what: &str) -> &str {
        let is_about = |line: &&str| line[9..].starts_with(&format!("{what}: "));
        let mut lines = self.said.lines().filter(is_about);
        let line = lines.next().unwrap_or_else(|| panic!("nothing of {what} in: {}", self.said));
        assert_eq!(lines.next(), None, "{what} is there twice");
        line
    }

    /// It is well, and the line holds this too.
    fn is_well(&self, what: &str, says: &str) -> &Self {
        let line = self.line(what);
        assert!(line.starts_with("ok       ") && line.contains(says), "{line}");
        self
    }

    fn warns(&self, what: &str, says: &str) -> &Self {
        let line = self.line(what);
        assert!(line.starts_with("warning  ") && line.contains(says), "{line}");
        self
    }

    /// It is an error, and so is the whole check.
    fn fails(&self, what: &str, says: &[&str]) {
        let line = self.line(what);
        assert!(line.starts_with("error    "), "{line}");
        for word in says {
            assert!(line.contains(word), "{word} is not in: {line}");
        }
        assert_eq!(self.status, Some(1), "{}", self.said);
        assert!(self.complaint.starts_with("wsroom: 1 error"), "{}", self.complaint);
    }

    fn passes(&self) -> &Self {
        assert_eq!((self.status, self.complaint.as_str()), (Some(0), ""), "{}", self.said);
        self
    }
}

/// Names and contents of all files in a directory.
fn contents(place: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = place.read_dir().unwrap().map(|entry| entry.unwrap());
    let read = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    let mut all: Vec<_> = entries.map(read).collect();
    all.sort();
    all
}

#[test]
fn a_host_that_is_well_passes() {
    let check = Check::with(&["--max-clients", "10"]);
    check
        .passes()
        .is_well("open files", "clients")
        .is_well("memory mappings", "clients")
        .is_well("tasks", "clients")
        .is_well("memory", "10 idle clients")
        .is_well("clients", "holds 10 at once")
        .is_well("clock", "20")
        .is_well("certificate", "none")
        .is_well("data", "--data keeps them")
        .is_well("--listen", "pick a port");
    assert!(check.said.lines().all(|line| line.starts_with("ok ") || line.starts_with("warning ")));
}

#[test]
fn a_host_that_holds_fewer_clients_than_wanted_says_which_limit_it_is() {
    let check = Check::with(&["--max-clients", "1000000000"]);
    check.passes().warns("open files", "ulimit -n").warns("memory mappings", "vm.max_map_count");
    let holds = check.line("clients").split(' ').find_map(|word| word.parse::<u64>().ok());
    assert!(holds.is_some_and(|holds| (100..1_000_000_000).contains(&holds)), "{}", check.said);
}

#[test]
fn an_address_that_is_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let check = Check::with(&["--metrics-listen", &address]);
    check.fails("--metrics-listen", &["in use", "stop the program that uses it"]);
    drop(taken);
    Check::with(&["--metrics-listen", &address]).passes().is_well("--metrics-listen", "is free");
    // 192.0.2.0/24 is nobody's (RFC 5737).
    let elsewhere = Check::with(&["--metrics-listen", "192.0.2.1:80"]);
    elsewhere.fails("--metrics-listen", &["no such address"]);
}

#[test]
fn a_variable_counts_as_for_the_server() {
    let mut command = Program::command();
    command.arg("check").env("WSROOM_DATA", "/nowhere/at/all").env("WSROOM_LISTEN", "127.0.0.1:0");
    let output = Program::runs_to_the_end(command);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("/nowhere/at/all"));
}

#[test]
fn a_data_file_is_looked_at_and_not_changed() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept");
    let data = ["--data", file.to_str().unwrap()];
    Check::with(&data).passes().is_well("data", "will be made");
    assert_eq!(contents(place.path()), []);
    let mut program = Program::start_plainly(&data);
    let mut ada = program.joins("physics");
    ada.says("hello");
    ada.hears("hello");
    Check::with(&data).fails("data", &["in use", "stop that one"]);
    // As after a crash: the write-ahead log lies beside it.
    program.process.kill().unwrap();
    program.process.wait().unwrap();
    drop(program);
    let is_left = |name: &str| contents(place.path()).iter().any(|(left, _)| left == name);
    assert!(is_left("kept-wal") && is_left("kept-shm"));
    is_well_and_stays(&data, place.path());
    // And when SQLite has taken it in.
    drop(
        rusqlite::Connection::open(&file).unwrap().query_one("PRAGMA user_version", [], |_| Ok(())),
    );
    assert!(!is_left("kept-wal") && !is_left("kept-shm"));
    is_well_and_stays(&data, place.path());
}

/// The names of the files stay, and so do their contents; but for the index that those who read share,
/// in which each of them leaves marks.
fn is_well_and_stays(data: &[&str], place: &Path) {
    let before = contents(place);
    Check::with(data).passes().is_well("data", "is whole").is_well("data", "schema 4");
    for (before, after) in before.iter().zip(&contents(place)) {
        assert_eq!(before.0, after.0);
        assert!(before.1 == after.1 || before.0.ends_with("-shm"), "{} has changed", before.0);
    }
    assert_eq!(before.len(), contents(place).len());
}

#[test]
fn a_data_file_that_is_damaged_or_of_another_program_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept");
    let data = ["--data", file.to_str().unwrap()];
    let program = Program::start_plainly(&data);
    let mut ada = program.joins("physics");
    let large = "x".repeat(1 << 16);
    ada.says(&large);
    ada.hears(&large);
    drop(ada);
    program.gets_signal("INT");
    program.ends();
    // Takes the write-ahead log into the file.
    drop(
        rusqlite::Connection::open(&file).unwrap().query_one("PRAGMA user_version", [], |_| Ok(())),
    );
    let sound = fs::read(&file).unwrap();
    let mut damaged = sound.clone();
    let end = damaged.len();
    damaged[4096..end].fill(0xaa);
    fs::write(&file, damaged).unwrap();
    Check::with(&data).fails("data", &["kept"]);
    fs::write(
        &file,
        "no database at all, but long enough to have a header of its own, as it seems; and more"
            .repeat(9),
    )
    .unwrap();
    Check::with(&data).fails("data", &["not a database", "name a file that wsroom has made"]);
    fs::write(&file, &sound).unwrap();
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 3).unwrap();
    drop(connection);
    Check::with(&data).passes().is_well("data", "the next start makes it 4");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    Check::with(&data).fails("data", &["version 99", "use a newer wsroom"]);
    let directory = place.path().join("no/such/place");
    Check::with(&["--data", directory.to_str().unwrap()]).fails("data", &["can be written"]);
}

/// A certificate that is good for so many days from now.
fn certificate(place: &Path, days: i64) -> [String; 4] {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = OffsetDateTime::now_utc() - time::Duration::days(30);
    params.not_after = OffsetDateTime::now_utc() + time::Duration::days(days);
    let (chain_file, key_file) = (place.join("chain.pem"), place.join("key.pem"));
    fs::write(&chain_file, params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    let path = |file: &Path| file.to_str().unwrap().to_owned();
    ["--tls-cert".to_owned(), path(&chain_file), "--tls-key".to_owned(), path(&key_file)]
}

#[test]
fn a_certificate_is_good_for_so_many_days() {
    let place = tempfile::tempdir().unwrap();
    let check = |days| {
        let options = certificate(place.path(), days);
        Check::with(&options.each_ref().map(String::as_str))
    };
    check(90).passes().is_well("certificate", " days are left");
    check(5).passes().warns("certificate", "renew it");
    check(-1).fails("certificate", &["has expired", "renew it"]);
    let options = certificate(place.path(), 90);
    Check::with(&[&options[0], &options[1]]).fails("certificate", &["--tls-key FILE"]);
    let other = tempfile::tempdir().unwrap();
    let theirs = certificate(other.path(), 90);
    let mixed = [&options[0], &options[1], &theirs[2], &theirs[3]].map(String::as_str);
    Check::with(&mixed).fails("certificate", &["is not the key of"]);
    let data = place.path().join("kept");
    let own = Check::with(&["--tls-self-signed", "--data", data.to_str().unwrap()]);
    own.passes().is_well("certificate", "own");
    assert!(!place.path().join("kept.pem").exists(), "a check makes no certificate");
}

#[test]
fn tokens_are_counted_and_never_shown() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("tokens");
    let options = ["--token-file", file.to_str().unwrap()];
    fs::write(&file, "# two\nsixteen-or-more-1\nsixteen-or-more-2\n").unwrap();
    let check = Check::with(&options);
    check.passes().is_well("tokens", "2 in ");
    assert!(!check.said.contains("sixteen"));
    fs::write(&file, "short\n").unwrap();
    Check::with(&options).fails("tokens", &["line 1"]);
}

#[test]
fn redis_is_asked_and_written_nothing() {
    let server = RedisServer::with(&["--appendonly", "yes"]);
    let url = server.url();
    let data = ["--data", url.secret()];
    Check::with(&data).passes().is_well("data", "answers, version ");
    assert_eq!(server.answers::<u64>("DBSIZE"), 0);
    let _: String = server.answers("CONFIG SET appendonly no");
    let check = Check::with(&data);
    check.passes();
    assert!(check.said.contains("warning  data: Redis loses messages"), "{}", check.said);
    let _: u64 = server.answers("HSET wsroom:{0}:layout version 99 shards 1");
    Check::with(&data).fails("data", &["layout 99"]);
    let nobody = format!("redis://:secret@{}", Program::free_address());
    let check = Check::with(&["--data", &nobody]);
    check.fails("data", &["start Redis"]);
    assert!(!check.said.contains("secret"), "{}", check.said);
}
