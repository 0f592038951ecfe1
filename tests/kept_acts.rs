//! What each history keeps of acts: the rules that they change, and nothing of what they remove but
//! the `ref`. It is the same in memory, in a file (also after a `kill -9`) and in Redis.

mod support;

use std::process::Command;
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::redis::{Node, PLENTY, RedisServer, room, said, settings, text, text_of};
use support::school::OWNER;
use support::{Answer, Program, V1, Visitor, Way, bearer, request_with_json};
use wsroom::identity::name::Name;
use wsroom::protocol::act::{Act, Deed};
use wsroom::protocol::message::{Content, Draft, Message, MessageId, now};
use wsroom::protocol::rules::Change;
use wsroom::store::memory::Memory;
use wsroom::store::redis::Settings;
use wsroom::store::shared::Told;
use wsroom::store::sqlite::Sqlite;
use wsroom::store::{Bounds, KeptMessages, MessageLog, Range};

/// A history of any kind, and how a message gets into it.
struct History<'a> {
    kind: &'static str,
    log: &'a dyn KeptMessages,
    keep: &'a dyn Fn(Draft) -> MessageId,
}

/// The same test with each kind of history.
fn each(bounds: Bounds, test: fn(&History)) {
    let place = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(Some(&place.path().join("kept")), bounds, Name::folded).unwrap();
    let memory = Memory::new(bounds);
    for (kind, log) in [("SQLite", &sqlite as &dyn MessageLog), ("memory", &memory)] {
        let keep = |draft: Draft| {
            let Draft { room, author, content, origin, .. } = draft;
            let id = now().max(log.last_id().unwrap() + 1);
            log.append(&[Arc::new(Message { id, room, author, content, origin })]).unwrap();
            id
        };
        test(&History { kind, log, keep: &keep });
    }
    let redis = RedisServer::start();
    let node = Node::with(&redis.url(), Settings { bounds, ..settings() });
    test(&History { kind: "Redis", log: &*node.store, keep: &|draft| node.keeps(draft) });
}

impl History<'_> {
    fn says(&self, reference: &str) -> MessageId {
        (self.keep)(text_of(1, reference, "a", reference))
    }

    fn acts(&self, deed: Deed, changes: Vec<Change>) -> MessageId {
        let content = Content::Act(Box::new(Act { deed, changes }));
        (self.keep)(Draft { content, ..text("a", "") })
    }

    fn ids(&self) -> Vec<MessageId> {
        let page = self.log.page(&room("a"), Range::behind(0)).unwrap();
        assert!(page.complete, "what was removed is not missing: {}", self.kind);
        page.messages.iter().map(|message| message.id).collect()
    }

    fn knows(&self, reference: &str) -> Option<MessageId> {
        let origin = text_of(1, reference, "a", "").origin.unwrap();
        self.log.known(&room("a"), &origin).unwrap()
    }

    fn rules(&self) -> Vec<(String, Vec<(String, String)>)> {
        let rules = self.log.rules().unwrap().into_iter();
        let mut rules: Vec<_> = rules
            .map(|(room, mut fields)| {
                fields.sort();
                (room.as_str().to_owned(), fields)
            })
            .collect();
        rules.sort();
        rules
    }
}

#[test]
fn what_was_removed_is_gone_and_its_ref_is_known() {
    each(PLENTY, |history| {
        let [one, two, three] = ["one", "two", "three"].map(|text| history.says(text));
        let remove = history.acts(Deed::Remove { message: two }, Vec::new());
        assert_eq!(history.ids(), [one, three, remove], "{}", history.kind);
        assert_eq!(history.log.message(&room("a"), two).unwrap(), None, "{}", history.kind);
        assert_eq!(history.knows("two"), Some(two), "{}", history.kind);
        // Nor is anything done to what is not there.
        let again = history.acts(Deed::Remove { message: two }, Vec::new());
        let page = history.log.page(&room("a"), Range::behind(one)).unwrap();
        let last = page.messages.last().unwrap();
        let act = Act { deed: Deed::Remove { message: two }, changes: Vec::new() };
        assert_eq!((last.id, &last.content), (again, &Content::Act(Box::new(act))));
        let clear = history.acts(Deed::Clear, Vec::new());
        let four = history.says("four");
        assert_eq!(history.ids(), [clear, four], "{}", history.kind);
        assert_eq!(history.knows("three"), Some(three), "{}", history.kind);
        assert_eq!(history.log.last_in(&room("a")).unwrap(), four);
        let before = history.log.before_newest(&room("a"), four, 1, usize::MAX).unwrap();
        assert_eq!(before, clear, "{}", history.kind);
    });
}

#[test]
fn what_was_removed_does_not_stay_for_ever() {
    let few = Bounds { messages: 3, ..PLENTY };
    each(few, |history| {
        let one = history.says("one");
        history.acts(Deed::Remove { message: one }, Vec::new());
        assert_eq!(history.knows("one"), Some(one), "{}", history.kind);
        let later = ["two", "three", "four", "five"].map(|text| history.says(text));
        let page = history.log.page(&room("a"), Range::behind(0)).unwrap();
        let texts: Vec<_> = page.messages.iter().map(|message| said(&message.content)).collect();
        assert_eq!(texts, ["three", "four", "five"], "{}", history.kind);
        assert_eq!(history.knows("five"), Some(later[3]));
        // Tombstones are bounded too, however often a room is cleared.
        for number in 0..20 {
            history.says(&format!("{number} of many"));
            history.acts(Deed::Clear, Vec::new());
        }
        assert_eq!(history.knows("one"), None, "{}", history.kind);
        assert_eq!(history.knows("0 of many"), None, "{}", history.kind);
    });
}

#[test]
fn rules_are_kept_field_by_field() {
    each(PLENTY, |history| {
        let pair = |field: &str, value: &str| (field.to_owned(), value.to_owned());
        history
            .acts(Deed::Unpin, vec![Change::set("topic", "Kepler"), Change::set("mode", "closed")]);
        let set = vec![
            Change::delete("mode"),
            Change::set("topic", "Newton \u{e4}"),
            Change::delete("key"),
        ];
        history.acts(Deed::Unpin, set);
        let rules = vec![("a".to_owned(), vec![pair("topic", "Newton \u{e4}")])];
        assert_eq!(history.rules(), rules, "{}", history.kind);
        history.acts(Deed::Unpin, vec![Change::delete("topic")]);
        assert_eq!(history.rules(), [], "{}", history.kind);
    });
}

#[test]
fn without_history_the_rules_are_kept_all_the_same() {
    each(Bounds { messages: 0, ..PLENTY }, |history| {
        history.acts(Deed::End, vec![Change::set("mode", "closed")]);
        let fields = vec![("mode".to_owned(), "closed".to_owned())];
        assert_eq!(history.rules(), [("a".to_owned(), fields)], "{}", history.kind);
        assert!(history.ids().is_empty(), "{}", history.kind);
    });
}

/// A program on a file, which its owner asks for acts.
struct Owned(Program);

impl Owned {
    fn starts(file: &str) -> Self {
        let mut command = Command::new("sh");
        // Else a file that may not grow would end the process, and not fail as on a full disk.
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(env!("CARGO_BIN_EXE_wsroom"));
        command.args(["--listen", "127.0.0.1:0", "-q", "--data", file, "--admin-token", OWNER]);
        Self(Program::spawn_plainly(command))
    }

    fn asks(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = request_with_json(method, path, &[&bearer(OWNER)], body);
        Visitor::over(Way::Plain.connects(self.0.address())).asks(request)
    }

    fn joins(&self, path: &str) -> (V1, Value) {
        V1::over(Way::Plain.connects(self.0.address()), path)
    }
}

#[test]
fn what_was_told_of_an_act_is_so_after_a_kill() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept").display().to_string();
    let mut owned = Owned::starts(&file);
    let (mut ada, _) = owned.joins("/ws/a?session=ada-0123456789abcdef");
    ada.says_with_ref("a slip of the tongue", "r1");
    let slip = ada.hears("a slip of the tongue")["id"].as_i64().unwrap();
    ada.says("a good word");
    let good = ada.hears("a good word")["id"].as_i64().unwrap();
    owned.asks("DELETE", &format!("/rooms/a/messages/{slip}"), "").tells(200);
    owned.asks("PUT", "/rooms/a", r#"{"topic":"Kepler","mode":"read-only"}"#).tells(200);
    let acts = ["remove", "set"].map(|act| {
        let event = ada.hears_of("act");
        assert_eq!(event["act"], act);
        event
    });
    owned.0.process.kill().unwrap();
    owned.0.process.wait().unwrap();
    drop(owned);
    let owned = Owned::starts(&file);
    let (mut ada, welcome) = owned.joins("/ws/a?session=ada-0123456789abcdef&since=0");
    assert_eq!(
        (&welcome["rules"]["topic"], &welcome["rules"]["mode"]),
        (&json!("Kepler"), &json!("read-only"))
    );
    let (past, live) = ada.hears_the_past();
    assert_eq!(past[0]["id"], good);
    assert_eq!(&past[1..], &acts);
    assert_eq!(live["complete"], true);
    ada.says("me too");
    assert_eq!(ada.hears_of("error")["code"], "read-only");
    owned.asks("PUT", "/rooms/a", r#"{"mode":"open"}"#).tells(200);
    ada.hears_of("act");
    ada.says_with_ref("a slip of the tongue", "r1");
    assert_eq!(ada.hears_of("kept")["id"], slip);
}

/// The third version of the schema, as its program has left it.
#[test]
fn a_file_from_before_there_were_acts_is_brought_up_to_date() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept");
    Connection::open(&file)
        .unwrap()
        .execute_batch(
            "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,
                 folded TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL, key BLOB NOT NULL UNIQUE) STRICT;
             CREATE TABLE rooms (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, gone INTEGER NOT NULL,
                 born INTEGER NOT NULL DEFAULT 0, last INTEGER NOT NULL DEFAULT 0) STRICT;
             CREATE INDEX rooms_by_last ON rooms (last);
             CREATE TABLE messages (room INTEGER NOT NULL REFERENCES rooms ON DELETE CASCADE,
                 id INTEGER NOT NULL, number INTEGER NOT NULL, total INTEGER NOT NULL, user INTEGER,
                 author TEXT NOT NULL, name TEXT NOT NULL, media_type TEXT NOT NULL, payload ANY NOT NULL,
                 session BLOB, ref TEXT, PRIMARY KEY (room, id)) STRICT, WITHOUT ROWID;
             CREATE INDEX messages_by_origin ON messages (room, session, ref) WHERE session IS NOT NULL;
             INSERT INTO rooms VALUES (1, 'a', 0, 9, 10);
             INSERT INTO messages VALUES (1, 10, 1, 70, 7, 'Ada', '', '', 'one', NULL, NULL),
                 (1, 11, 2, 140, NULL, 'Bob', '', '', 'two', NULL, NULL);
             PRAGMA application_id = 0x7773726d; PRAGMA user_version = 3;",
        )
        .unwrap();
    let owned = Owned::starts(&file.display().to_string());
    let (mut eve, welcome) = owned.joins("/ws/a?since=0");
    assert!(welcome.get("rules").is_none(), "{welcome}");
    let (past, live) = eve.hears_the_past();
    assert_eq!(past.iter().map(|event| &event["text"]).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(live["complete"], true);
    owned.asks("DELETE", "/rooms/a/messages/10", "").tells(200);
    eve.hears_of("act");
    let past = owned.joins("/ws/a?since=0").0.hears_the_past().0;
    assert_eq!((&past[0]["text"], &past[1]["message"]), (&json!("two"), &json!(10)));
}

/// A node that may have missed acts is told the rules anew.
#[test]
fn a_node_that_has_missed_something_is_told_the_rules() {
    let redis = RedisServer::start();
    let node = Node::on(&redis);
    let rules = || {
        node.is_told("the rules", |told| match told {
            Told::Rules { rules, .. } => Some(rules.clone()),
            _ => None,
        })
    };
    assert_eq!(rules(), []);
    let id = node.keeps(text("a", "before"));
    // As another node would, but this one is not told of it.
    redis.answers::<()>("HSET wsroom:{0}:rules:a mode closed");
    redis.answers::<()>("SADD wsroom:{0}:ruled a");
    let missed = id + 1_000_000_000;
    redis.answers::<()>(&format!("HSET wsroom:{{0}}:head last {missed}"));
    node.keeps(text("a", "behind"));
    let fields = vec![("mode".to_owned(), "closed".to_owned())];
    assert_eq!(rules(), [(room("a"), fields)]);
}

#[test]
fn an_act_that_cannot_be_kept_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let owned = Owned::starts(&place.path().join("kept").display().to_string());
    let (mut ada, _) = owned.joins("/ws/a");
    owned.0.has_limit("--fsize=1:");
    owned.asks("PUT", "/rooms/a", r#"{"mode":"read-only"}"#).has_a_problem(503);
    owned.0.has_limit("--fsize=unlimited:");
    ada.says("still open");
    ada.hears_nothing_before("still open");
    let (_, welcome) = owned.joins("/ws/a");
    assert!(welcome.get("rules").is_none(), "{welcome}");
}
