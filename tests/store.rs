//! What the store promises, on SQLite in memory and in a file: as much as its bounds say, in order,
//! and it knows what is missing.

use std::time::Duration;

use bytes::Bytes;
use wsroom::room::RoomName;
use wsroom::sqlite::{Bounds, Sqlite};
use wsroom::store::{Author, Content, Kept, MessageId, Store};

const PLENTY: Bounds = Bounds { messages: 100, bytes: 1 << 30, idle: None };

fn memory(bounds: Bounds) -> Sqlite {
    Sqlite::open(None, bounds).expect("memory")
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).expect("a good name")
}

fn text(id: MessageId, place: &str, text: impl Into<Bytes>) -> Kept {
    let author = Author { user: None, name: "guest-1".to_owned() };
    Kept { id, room: room(place), author, content: Content::Text(text.into()) }
}

fn ids(store: &Sqlite, place: &str, since: MessageId) -> (Vec<MessageId>, bool) {
    let found = store.messages(&room(place), since, 1000).unwrap();
    (found.messages.iter().map(|kept| kept.id).collect(), found.complete)
}

#[test]
fn what_was_kept_comes_back_as_it_was() {
    let store = memory(PLENTY);
    let author = Author { user: Some(7), name: "Ada \u{1f600}".to_owned() };
    let binary = Content::Binary {
        name: "cat.png".to_owned(),
        media_type: "image/png".to_owned(),
        bytes: Bytes::from_static(b"\x00\xff"),
    };
    let all = [
        text(1, "a", "hello\0\u{e4}"),
        Kept { author, content: binary, ..text(2, "a", "") },
        text(3, "b", ""),
    ];
    store.keep(&all).unwrap();
    let found = store.messages(&room("a"), 0, 10).unwrap();
    assert_eq!((found.messages.as_slice(), found.last, found.complete), (&all[..2], 2, true));
    assert_eq!(store.message(&room("b"), 3).unwrap().as_ref(), Some(&all[2]));
    assert_eq!(store.message(&room("a"), 3).unwrap(), None);
    assert_eq!(store.last_id().unwrap(), 3);
}

#[test]
fn exactly_the_last_messages_are_there_however_they_came() {
    for turn in [1, 3, 7, 50] {
        let store = memory(Bounds { messages: 10, ..PLENTY });
        let all: Vec<_> = (1..=100).map(|id| text(id, "a", "x")).collect();
        for part in all.chunks(turn) {
            store.keep(part).unwrap();
        }
        assert_eq!(ids(&store, "a", 0), ((91..=100).collect(), false), "{turn} at a time");
        assert_eq!(ids(&store, "a", 90), ((91..=100).collect(), true), "{turn} at a time");
        assert!(!ids(&store, "a", 89).1, "{turn} at a time");
        assert_eq!(ids(&store, "a", 95), ((96..=100).collect(), true));
        assert_eq!(store.rooms("", 10).unwrap(), [(room("a"), 100)]);
    }
}

#[test]
fn a_room_keeps_16_mib_at_most() {
    let store = memory(PLENTY);
    let large = Bytes::from(vec![b'x'; 3 << 20]);
    for id in 1..=20 {
        store.keep(&[text(id, "a", large.clone())]).unwrap();
        store.keep(&[text(100 + id, "b", "small")]).unwrap();
    }
    assert_eq!(ids(&store, "a", 0), ((16..=20).collect(), false));
    assert_eq!(ids(&store, "b", 0).0.len(), 20);
    // One that is larger than that is kept all the same.
    store.keep(&[text(300, "a", vec![b'y'; 20 << 20])]).unwrap();
    assert_eq!(ids(&store, "a", 0).0, [300]);
}

#[test]
fn beyond_all_bounds_the_longest_silent_rooms_go() {
    let store = memory(Bounds { bytes: 1 << 20, ..PLENTY });
    let large = Bytes::from(vec![b'x'; 250 << 10]);
    for (id, place) in [(1, "a"), (2, "b"), (3, "c"), (4, "a")] {
        store.keep(&[text(id, place, large.clone())]).unwrap();
    }
    assert_eq!(ids(&store, "b", 0), (vec![], true), "nobody knows of it any more");
    assert_eq!(ids(&store, "b", 2), (vec![], false));
    assert_eq!(ids(&store, "a", 0).0, [1, 4]);
    assert_eq!(ids(&store, "c", 0).0, [3]);
    for id in 5..50 {
        store.keep(&[text(id, &format!("room-{id}"), large.clone())]).unwrap();
    }
    assert_eq!(store.rooms("", 100).unwrap().len(), 3);
}

#[test]
fn rooms_in_which_nothing_is_said_are_forgotten() {
    let store = memory(Bounds { idle: Some(Duration::from_secs(3600)), ..PLENTY });
    // Said in 1970, in microseconds; looked for with the first message after a start.
    store.keep(&[text(1, "old", "x")]).unwrap();
    assert_eq!(ids(&store, "old", 0).0, Vec::<MessageId>::new());
}

#[test]
fn a_file_is_there_when_it_is_opened_again() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept");
    for id in 1..=3 {
        let store = Sqlite::open(Some(&file), PLENTY).unwrap();
        assert_eq!(store.last_id().unwrap(), id - 1);
        store.keep(&[text(id, "a", format!("{id}"))]).unwrap();
    }
    let store = Sqlite::open(Some(&file), PLENTY).unwrap();
    assert_eq!(ids(&store, "a", 0), (vec![1, 2, 3], true));
    let user = store.add_user("Ada", "ada", &[1; 32]).unwrap();
    assert!(store.remove_user(user.id).unwrap());
    drop(store);
    let store = Sqlite::open(Some(&file), PLENTY).unwrap();
    assert!(store.add_user("Bob", "bob", &[2; 32]).unwrap().id > user.id, "a number is given once");
}
