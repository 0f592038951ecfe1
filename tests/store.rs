//! What a history promises, in memory and in a file alike: as much as its bounds say, in order, and
//! it knows what is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use wsroom::identity::name::Name;
use wsroom::protocol::address::RoomName;
use wsroom::protocol::message::{Author, Content, Message, MessageId, now};
use wsroom::store::memory::Memory;
use wsroom::store::sqlite::Sqlite;
use wsroom::store::{Bounds, Directory, HistoryPage, KeptMessages, MessageLog, Range};

const PLENTY: Bounds = Bounds { messages: 100, bytes: 1 << 30, idle: None };

/// A history of one kind, in a place of its own.
struct Log {
    log: Box<dyn MessageLog>,
    kind: &'static str,
    _place: TempDir,
}

/// One of each kind.
fn each(bounds: Bounds) -> [Log; 2] {
    let place = || tempfile::tempdir().expect("a directory");
    let (one, other) = (place(), place());
    let sqlite =
        Sqlite::open(Some(&one.path().join("kept")), bounds, Name::folded).expect("a file");
    [
        Log { log: Box::new(sqlite), kind: "SQLite", _place: one },
        Log { log: Box::new(Memory::new(bounds)), kind: "memory", _place: other },
    ]
}

impl Log {
    fn keeps(&self, messages: &[Message]) {
        let messages: Vec<_> = messages.iter().cloned().map(Arc::new).collect();
        self.log.append(&messages).expect("room for it");
    }

    fn page(&self, place: &str, range: Range) -> HistoryPage {
        self.log.page(&room(place), range).expect("it can be read")
    }

    fn ids(&self, place: &str, since: MessageId) -> (Vec<MessageId>, bool) {
        let found = self.page(place, Range::behind(since));
        (found.messages.iter().map(|kept| kept.id).collect(), found.complete)
    }

    /// The newest messages up to an id, and whether nothing is missing before or among them.
    fn newest(
        &self,
        place: &str,
        upto: MessageId,
        messages: usize,
        bytes: usize,
    ) -> (Vec<MessageId>, bool) {
        let after = self.log.before_newest(&room(place), upto, messages, bytes);
        let range = Range { after: after.expect("it can be read"), upto, messages, bytes };
        let found = self.page(place, range);
        assert!(!found.more, "all of them are on one page: {}", self.kind);
        (found.messages.iter().map(|kept| kept.id).collect(), found.complete)
    }

    fn rooms(&self) -> Vec<(RoomName, MessageId)> {
        self.log.rooms("", 1000).expect("it can be read")
    }
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).expect("a good name")
}

fn text(id: MessageId, place: &str, text: impl Into<Bytes>) -> Message {
    let author = Author { user: None, name: "guest-1".to_owned() };
    Message { id, room: room(place), author, content: Content::Text(text.into()), origin: None }
}

#[test]
fn what_was_kept_comes_back_as_it_was() {
    for log in each(PLENTY) {
        let author = Author { user: Some(7), name: "Ada \u{1f600}".to_owned() };
        let binary = Content::Binary {
            name: "cat.png".to_owned(),
            media_type: "image/png".to_owned(),
            bytes: Bytes::from_static(b"\x00\xff"),
        };
        let all = [
            text(1, "a", "hello\0\u{e4}"),
            Message { author, content: binary, ..text(2, "a", "") },
            text(3, "b", ""),
        ];
        log.keeps(&all);
        let found = log.page("a", Range::behind(0));
        let messages: Vec<_> = found.messages.iter().map(|kept| Message::clone(kept)).collect();
        assert_eq!((messages.as_slice(), found.last, found.complete), (&all[..2], 2, true));
        let message = |place, id| log.log.message(&room(place), id).unwrap();
        assert_eq!(message("b", 3).as_deref(), Some(&all[2]));
        assert_eq!(message("a", 3), None);
        assert_eq!(log.log.last_id().unwrap(), 3);
        assert_eq!(log.log.last_in(&room("a")).unwrap(), 2);
        assert_eq!(log.log.last_in(&room("c")).unwrap(), 0);
    }
}

#[test]
fn a_page_is_as_long_as_was_asked_for() {
    for log in each(PLENTY) {
        let all: Vec<_> = (1..=9).map(|id| text(id, "a", vec![b'x'; 1000])).collect();
        log.keeps(&all);
        let ids = |range| {
            let page = log.page("a", range);
            (page.messages.iter().map(|kept| kept.id).collect::<Vec<_>>(), page.more)
        };
        let all = Range::behind(0);
        assert_eq!(ids(all), ((1..=9).collect(), false), "{}", log.kind);
        assert_eq!(ids(Range { messages: 2, ..all }), (vec![1, 2], true));
        assert_eq!(ids(Range { after: 7, messages: 2, ..all }), (vec![8, 9], false));
        assert_eq!(ids(Range { upto: 3, ..all }), (vec![1, 2, 3], false));
        assert_eq!(ids(Range { after: 5, upto: 3, ..all }), (vec![], false));
        assert_eq!(ids(Range { bytes: 2700, ..all }).0.len(), 2, "{}", log.kind);
        // One is answered whatever its size, or nobody could ever read it.
        assert_eq!(ids(Range { bytes: 1, ..all }), (vec![1], true));
    }
}

#[test]
fn the_newest_messages_are_found_from_behind() {
    for log in each(PLENTY) {
        let all: Vec<_> = (1..=9).map(|id| text(10 * id, "a", vec![b'x'; 1000])).collect();
        log.keeps(&all);
        log.keeps(&[text(91, "b", "x")]);
        let (any, all) = (usize::MAX, (1..=9).map(|id| 10 * id).collect::<Vec<_>>());
        assert_eq!(log.newest("a", 100, 2, any), (vec![80, 90], true), "{}", log.kind);
        assert_eq!(log.newest("a", 90, 2, any), (vec![80, 90], true));
        assert_eq!(log.newest("a", 89, 2, any), (vec![70, 80], true));
        assert_eq!(log.newest("a", 10, 2, any), (vec![10], true), "{}", log.kind);
        for enough in [9, 10, any] {
            assert_eq!(log.newest("a", 100, enough, any), (all.clone(), true), "{}", log.kind);
        }
        assert_eq!(log.newest("a", 100, any, 2700), (vec![80, 90], true), "{}", log.kind);
        assert_eq!(log.newest("a", 100, 1, 2700), (vec![90], true));
        // One is answered whatever its size.
        assert_eq!(log.newest("a", 100, any, 1), (vec![90], true));
        for (place, upto) in [("a", 9), ("b", 90), ("c", 100)] {
            assert_eq!(log.log.before_newest(&room(place), upto, 9, any).unwrap(), 0);
        }
        assert_eq!(log.log.before_newest(&room("a"), 85, 0, any).unwrap(), 80, "{}", log.kind);
    }
}

#[test]
fn the_newest_messages_go_back_to_what_was_let_go() {
    for log in each(Bounds { messages: 10, ..PLENTY }) {
        for id in 1..=100 {
            log.keeps(&[text(id, "a", "x")]);
        }
        let any = usize::MAX;
        assert_eq!(log.newest("a", 100, 3, any), ((98..=100).collect(), true), "{}", log.kind);
        for enough in [10, 11, any] {
            let all = ((91..=100).collect(), true);
            assert_eq!(log.newest("a", 100, enough, any), all, "{enough}, {}", log.kind);
        }
        assert_eq!(log.newest("a", 93, 10, any), ((91..=93).collect(), true), "{}", log.kind);
        // Some of these may still be in the file, and yet nobody sees them.
        for upto in [90, 50, 1] {
            let before = log.log.before_newest(&room("a"), upto, 10, any).unwrap();
            assert_eq!(before, 0, "up to {upto}, {}", log.kind);
            assert_eq!(log.newest("a", upto, 10, any), (vec![], false), "{}", log.kind);
        }
    }
}

#[test]
fn exactly_the_last_messages_are_there_however_they_came() {
    for turn in [1, 3, 7, 50] {
        for log in each(Bounds { messages: 10, ..PLENTY }) {
            let all: Vec<_> = (1..=100).map(|id| text(id, "a", "x")).collect();
            for part in all.chunks(turn) {
                log.keeps(part);
            }
            let what = format!("{turn} at a time, {}", log.kind);
            assert_eq!(log.ids("a", 0), ((91..=100).collect(), false), "{what}");
            assert_eq!(log.ids("a", 90), ((91..=100).collect(), true), "{what}");
            assert!(!log.ids("a", 89).1, "{what}");
            assert_eq!(log.ids("a", 95), ((96..=100).collect(), true));
            assert_eq!(log.rooms(), [(room("a"), 100)]);
        }
    }
}

#[test]
fn a_shorter_history_is_shown_at_once_and_let_go_little_by_little() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept");
    let open = |messages| {
        let bounds = Bounds { messages, ..PLENTY };
        let log = Box::new(Sqlite::open(Some(&file), bounds, Name::folded).unwrap());
        Log { log, kind: "SQLite", _place: tempfile::tempdir().unwrap() }
    };
    let all: Vec<_> = (1..=5000).map(|id| text(id, "a", "x")).collect();
    open(10_000).keeps(&all);
    let log = open(10);
    assert_eq!(log.ids("a", 0), ((4991..=5000).collect(), false));
    assert_eq!(log.newest("a", 5000, 99, usize::MAX), ((4991..=5000).collect(), true));
    assert_eq!(log.newest("a", 4990, 99, usize::MAX), (vec![], false));
    for id in 5001..=5030 {
        log.keeps(&[text(id, "a", "x")]);
        assert_eq!(log.ids("a", 0), ((id - 9..=id).collect(), false));
    }
    drop(log);
    let count = "SELECT count(*) FROM messages";
    let database = rusqlite::Connection::open(&file).unwrap();
    let left: i64 = database.query_one(count, [], |row| row.get(0)).unwrap();
    assert!(left <= 20, "{left} messages are still in the file");
}

#[test]
fn a_room_keeps_16_mib_at_most() {
    for log in each(PLENTY) {
        let large = Bytes::from(vec![b'x'; 3 << 20]);
        for id in 1..=20 {
            log.keeps(&[text(id, "a", large.clone())]);
            log.keeps(&[text(100 + id, "b", "small")]);
        }
        assert_eq!(log.ids("a", 0), ((16..=20).collect(), false), "{}", log.kind);
        assert_eq!(log.ids("b", 0).0.len(), 20);
        // One that is larger than that is kept all the same.
        log.keeps(&[text(300, "a", vec![b'y'; 20 << 20])]);
        assert_eq!(log.ids("a", 0).0, [300], "{}", log.kind);
    }
}

#[test]
fn beyond_all_bounds_the_longest_silent_rooms_go() {
    for log in each(Bounds { bytes: 1 << 20, ..PLENTY }) {
        let large = Bytes::from(vec![b'x'; 250 << 10]);
        for (id, place) in [(1, "a"), (2, "b"), (3, "c"), (4, "a"), (5, "d")] {
            log.keeps(&[text(id, place, large.clone())]);
        }
        assert_eq!(log.ids("b", 0), (vec![], true), "nobody knows of it any more: {}", log.kind);
        assert_eq!(log.ids("b", 2), (vec![], false));
        assert_eq!(log.ids("a", 0).0, [1, 4]);
        assert_eq!(log.ids("d", 0).0, [5]);
        for id in 6..50 {
            log.keeps(&[text(id, &format!("room-{id}"), large.clone())]);
        }
        assert!((3..=4).contains(&log.rooms().len()), "{:?}", log.rooms());
    }
}

#[test]
fn rooms_in_which_nothing_is_said_are_forgotten() {
    for log in each(Bounds { idle: Some(Duration::from_secs(3600)), ..PLENTY }) {
        // Said in 1970, in microseconds; looked for with the first message after a start.
        log.keeps(&[text(1, "old", "x")]);
        assert_eq!(log.ids("old", 0).0, Vec::<MessageId>::new(), "{}", log.kind);
        assert_eq!(log.rooms(), []);
    }
}

/// A name and two entries are most of what such a room takes.
#[test]
fn in_memory_rooms_of_one_word_are_counted_by_what_they_take() {
    let memory = Memory::new(Bounds { bytes: 1 << 20, ..PLENTY });
    for id in 1..=5000 {
        memory.append(&[Arc::new(text(id, &format!("room-{id}"), "x"))]).unwrap();
    }
    let rooms = memory.rooms("", 5000).unwrap().len();
    assert!((500..1500).contains(&rooms), "{rooms} rooms in a mebibyte");
}

/// A file with so many rooms, in each of which one word was said, in 1970.
fn a_file_of_rooms(place: &TempDir, rooms: usize, bounds: Bounds) -> Sqlite {
    let file = place.path().join("kept");
    let open = || Sqlite::open(Some(&file), bounds, Name::folded).expect("a file");
    drop(open());
    let fill = format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rooms})
         INSERT INTO rooms (id, name, gone, born, last) SELECT n, 'room-' || n, 0, n - 1, n FROM n;
         INSERT INTO messages (room, id, number, total, author, name, media_type, payload)
             SELECT id, id, 1, 72, 'guest-1', '', '', 'x' FROM rooms;"
    );
    rusqlite::Connection::open(&file).unwrap().execute_batch(&fill).unwrap();
    open()
}

fn rooms_in(place: &TempDir) -> usize {
    let database = rusqlite::Connection::open(place.path().join("kept")).unwrap();
    database.query_one("SELECT count(*) FROM rooms", [], |row| row.get(0)).unwrap()
}

/// Everyone waits for it, so no turn lets go of many at once.
#[test]
fn many_silent_rooms_are_forgotten_little_by_little() {
    const ROOMS: usize = 2000;
    let place = tempfile::tempdir().unwrap();
    let bounds = Bounds { idle: Some(Duration::from_secs(3600)), ..PLENTY };
    let sqlite = a_file_of_rooms(&place, ROOMS, bounds);
    sqlite.append(&[Arc::new(text(now(), "new", "x"))]).unwrap();
    let forgotten = ROOMS + 1 - rooms_in(&place);
    assert!((1..=100).contains(&forgotten), "{forgotten} were forgotten in one turn");
}

#[test]
fn a_file_has_a_hundred_thousand_rooms_at_most() {
    const MOST: usize = 100_000;
    let place = tempfile::tempdir().unwrap();
    let sqlite = a_file_of_rooms(&place, MOST + 200, PLENTY);
    let mut rooms = MOST + 200;
    for number in 0..20 {
        let name = format!("new-{number}");
        sqlite.append(&[Arc::new(text(now() + number, &name, "x"))]).unwrap();
        let left = rooms_in(&place);
        assert!(rooms + 1 - left <= 100, "{rooms} became {left} in one turn");
        rooms = left;
    }
    assert_eq!(rooms, MOST);
    // The newest stay.
    assert!(sqlite.last_in(&room("new-0")).unwrap() > 0);
    assert_eq!(sqlite.last_in(&room("room-1")).unwrap(), 0);
}

#[test]
fn a_room_that_is_made_anew_knows_that_it_may_have_been_there() {
    for log in each(PLENTY) {
        assert_eq!(log.ids("a", 0), (vec![], true));
        assert_eq!(log.ids("a", 7), (vec![], false));
        log.keeps(&[text(10, "a", "x"), text(11, "a", "y")]);
        assert_eq!(log.ids("a", 7), (vec![10, 11], false), "{}", log.kind);
        assert_eq!(log.ids("a", 10), (vec![11], true));
        assert_eq!(log.ids("a", 0), (vec![10, 11], true));
    }
}

#[test]
fn a_file_is_there_when_it_is_opened_again() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept");
    let open = || Sqlite::open(Some(&file), PLENTY, Name::folded).unwrap();
    for id in 1..=3 {
        let log = open();
        assert_eq!(log.last_id().unwrap(), id - 1);
        log.append(&[Arc::new(text(id, "a", format!("{id}")))]).unwrap();
    }
    let sqlite = open();
    let found = sqlite.page(&room("a"), Range::behind(0)).unwrap();
    assert_eq!((found.messages.len(), found.complete), (3, true));
    let user = sqlite.add_user("Ada", "ada", &[1; 32]).unwrap();
    assert!(sqlite.remove_user(user.id).unwrap());
    drop(sqlite);
    assert!(
        open().add_user("Bob", "bob", &[2; 32]).unwrap().id > user.id,
        "a number is given once"
    );
}

#[test]
fn a_probe_writes_and_changes_nothing() {
    for log in each(PLENTY) {
        log.keeps(&[text(1, "a", "x")]);
        log.log.probe().unwrap();
        assert_eq!(log.ids("a", 0), (vec![1], true), "{}", log.kind);
    }
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept");
    let sqlite = Sqlite::open(Some(&file), PLENTY, Name::folded).unwrap();
    let written = || std::fs::metadata(place.path().join("kept-wal")).unwrap().len();
    let before = written();
    sqlite.probe().unwrap();
    assert!(written() > before, "only what is written can fail");
    drop(sqlite);
    Sqlite::open(Some(&file), PLENTY, Name::folded).expect("the version is as it was");
}

/// SQLite begins its write-ahead log anew only when nobody reads, and here somebody always does.
#[test]
fn the_write_ahead_log_does_not_grow_for_ever() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept");
    let sqlite =
        Sqlite::open(Some(&file), Bounds { messages: 1000, ..PLENTY }, Name::folded).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let page = Range { bytes: 64 << 10, ..Range::behind(0) };
                    sqlite.page(&room("a"), page).unwrap();
                }
            });
        }
        let mut largest = 0;
        for id in 1..=800 {
            sqlite.append(&[Arc::new(text(id, "a", vec![b'x'; 100 << 10]))]).unwrap();
            largest = largest.max(std::fs::metadata(place.path().join("kept-wal")).unwrap().len());
        }
        done.store(true, Ordering::Relaxed);
        assert!(largest < 40 << 20, "{} MiB of log for 80 MiB", largest >> 20);
    });
}
