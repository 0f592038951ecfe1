//! What the store on Redis promises to the nodes that share it: one order for all, each message once,
//! one directory, and everyone knows who is there. Its faults are in `redis_faults`.

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use support::redis::{Node, PLENTY, RedisServer, room, said, settings, text, text_of};
use support::until;
use wsroom::identity::name::Name;
use wsroom::protocol::message::{Author, Content, Draft, Message, MessageId, SessionId, now};
use wsroom::store::memory::Memory;
use wsroom::store::redis::Settings;
use wsroom::store::shared::{Entry, Present, SharedLog, Told};
use wsroom::store::sqlite::Sqlite;
use wsroom::store::{Bounds, Directory, KeptMessages, MessageLog, Range, StoreError, User};

/// What a node hears of messages: id, text, and its own number.
fn hears(node: &Node, count: usize) -> Vec<(MessageId, String, Option<u64>)> {
    let message = |told: &Told| match told {
        Told::Message { message, own, .. } => Some((message.id, said(&message.content), *own)),
        _ => None,
    };
    (0..count).map(|_| node.is_told("a message", message)).collect()
}

#[test]
fn each_message_is_told_once_and_in_one_order() {
    let redis = RedisServer::start();
    let nodes = [Node::on(&redis), Node::on(&redis)];
    thread::scope(|scope| {
        for (number, node) in nodes.iter().enumerate() {
            scope.spawn(move || {
                for n in 0..300 {
                    node.says(&format!("{number} {n}"));
                }
            });
        }
    });
    let [one, other] = nodes.each_ref().map(|node| hears(node, 600));
    assert!(one.is_sorted_by(|a, b| a.0 < b.0), "ids increase");
    for (heard, of_other) in one.iter().zip(&other) {
        let (id, text, own) = heard;
        assert_eq!((id, text), (&of_other.0, &of_other.1));
        assert_eq!(own.is_some(), text.starts_with('0'), "{text}");
        assert_eq!(of_other.2.is_some(), text.starts_with('1'), "{text}");
    }
    let texts: HashSet<_> = one.iter().map(|(_, text, _)| text).collect();
    assert_eq!(texts.len(), 600, "each is told once");
}

#[test]
fn what_is_told_and_read_is_what_was_said() {
    let redis = RedisServer::start();
    let (one, other) = (Node::on(&redis), Node::on(&redis));
    let draft = Draft {
        author: Author { user: Some(7), name: "Ada \u{1f600}".to_owned() },
        content: Content::Binary {
            name: "cat.png".to_owned(),
            media_type: "image/png".to_owned(),
            bytes: Bytes::from_static(b"\x00\xff\r\n"),
        },
        ..text_of(1, "a \"ref\"", "a", "")
    };
    let own = one.appends(Entry::Message(draft.clone(), Some(1 << 50)));
    for node in [&one, &other] {
        let (message, member, number) = node.is_told("the message", |told| match told {
            Told::Message { message, member, own } => Some((Arc::clone(message), *member, *own)),
            _ => None,
        });
        let Draft { room, author, content, origin, .. } = draft.clone();
        assert_eq!(*message, Message { id: message.id, room, author, content, origin });
        assert!((message.id - now()).abs() < 60_000_000, "ids are microseconds since 1970");
        assert_eq!(
            (member, number),
            (Some(1 << 50), (node.store.node() == one.store.node()).then_some(own))
        );
        let read = node.store.message(&message.room, message.id).unwrap();
        assert_eq!(read, Some(message));
    }
}

#[test]
fn a_message_that_is_repeated_is_told_its_id() {
    let redis = RedisServer::start();
    let few = Settings { bounds: Bounds { messages: 3, ..PLENTY }, ..settings() };
    let nodes = [Node::with(&redis.url(), few.clone()), Node::with(&redis.url(), few)];
    let id = nodes[0].keeps(text_of(1, "x", "a", "hello"));
    let as_user = Draft { as_guest: Some(SessionId([1; 16])), ..text_of(2, "x", "a", "hello") };
    for node in &nodes {
        for again in [text_of(1, "x", "a", "hello"), as_user.clone()] {
            let own = node.appends(Entry::Message(again, None));
            let told = node.is_told("it was kept before", |told| match told {
                Told::Before { own, id } => Some((*own, *id)),
                _ => None,
            });
            assert_eq!(told, (own, id));
        }
    }
    // Another session, another ref, another room: other messages.
    let other_room = nodes[0].keeps(text_of(1, "x", "b", "hello"));
    let others = [text_of(2, "x", "a", "2"), text_of(1, "y", "a", "3"), text_of(3, "x", "a", "4")];
    let others = others.map(|other| nodes[0].keeps(other));
    assert!(others.iter().chain([&other_room]).all(|other| *other > id));
    // Now the first one is no longer in the history.
    let origin = text_of(1, "x", "a", "").origin.unwrap();
    assert_eq!(nodes[0].store.known(&room("a"), &origin).unwrap(), None);
    assert!(nodes[0].keeps(text_of(1, "x", "a", "hello")) > id);
    assert_eq!(redis.answers::<usize>("HLEN wsroom:{0}:refs:a"), 3, "a ref goes with its message");
}

/// What the guest has said may come late, from the node that it was on before.
#[test]
fn a_guest_who_takes_a_name_on_another_node_says_nothing_twice() {
    let redis = RedisServer::start();
    let few = Settings { bounds: Bounds { messages: 2, ..PLENTY }, ..settings() };
    let nodes = [Node::with(&redis.url(), few.clone()), Node::with(&redis.url(), few)];
    let as_user = Draft { as_guest: Some(SessionId([1; 16])), ..text_of(2, "a b", "a", "hello") };
    let own = nodes[0].appends(Entry::Message(as_user, Some(5)));
    let kept = |told: &Told| match told {
        Told::Message { message, own: Some(own), .. } => Some((*own, message.id)),
        _ => None,
    };
    let (told, id) = nodes[0].is_told("her message", kept);
    assert_eq!(told, own);
    let late = nodes[1].appends(Entry::Message(text_of(1, "a b", "a", "hello"), Some(5)));
    let before = nodes[1].is_told("it was kept before", |told| match told {
        Told::Before { own, id } => Some((*own, *id)),
        _ => None,
    });
    assert_eq!(before, (late, id));
    // Another guest with the same session is somebody else.
    let other = nodes[1].appends(Entry::Message(text_of(1, "a b", "a", "hello"), Some(6)));
    assert_eq!(nodes[1].is_told("the other's message", kept).0, other);
    nodes[1].keeps(text("a", "the first one goes"));
    assert_eq!(redis.answers::<usize>("HLEN wsroom:{0}:refs:a"), 1, "a ref goes with its message");
}

#[test]
fn a_smaller_history_is_reached_within_a_few_messages() {
    const BEFORE: usize = 3000;
    let redis = RedisServer::with(&["--appendfsync", "no"]);
    let of = |messages| Settings { bounds: Bounds { messages, ..PLENTY }, ..settings() };
    let node = Node::with(&redis.url(), of(BEFORE));
    for number in 0..BEFORE {
        node.appends(Entry::Message(text_of(1, &number.to_string(), "a", "x"), None));
    }
    node.keeps(text("b", "all is kept"));
    assert_eq!(redis.answers::<usize>("HLEN wsroom:{0}:refs:a"), BEFORE);
    drop(node);
    let node = Node::with(&redis.url(), of(10));
    for _ in 0..3 {
        node.keeps(text_of(2, &now().to_string(), "a", "x"));
    }
    let page = node.store.page(&room("a"), Range::behind(0)).unwrap();
    assert_eq!((page.messages.len(), page.complete), (10, false));
    assert_eq!(redis.answers::<usize>("HLEN wsroom:{0}:refs:a"), 10);
    assert_eq!(redis.answers::<usize>("LLEN wsroom:{0}:order:a"), 10);
}

#[test]
fn without_history_nothing_stays() {
    let redis = RedisServer::start();
    let none = Settings { bounds: Bounds { messages: 0, ..PLENTY }, ..settings() };
    let node = Node::with(&redis.url(), none);
    let ids = [node.keeps(text_of(1, "x", "a", "1")), node.keeps(text_of(1, "x", "a", "1"))];
    assert!(ids[0] < ids[1]);
    assert_eq!(node.store.rooms("", 10).unwrap(), []);
    assert_eq!(node.store.last_in(&room("a")).unwrap(), 0);
    assert!(node.store.page(&room("a"), Range::behind(0)).unwrap().messages.is_empty());
}

/// A history of any kind, and how a text gets into it.
struct History<'a> {
    kind: &'static str,
    log: &'a dyn KeptMessages,
    keep: &'a dyn Fn(&str, Bytes) -> MessageId,
}

/// The same test with each kind of history.
fn each(bounds: Bounds, test: fn(&History)) {
    let place = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(Some(&place.path().join("kept")), bounds, Name::folded).unwrap();
    let memory = Memory::new(bounds);
    for (kind, log) in [("SQLite", &sqlite as &dyn MessageLog), ("memory", &memory)] {
        let keep = |place: &str, bytes: Bytes| {
            let Draft { room, author, .. } = text(place, "");
            let id = now().max(log.last_id().unwrap() + 1);
            let message = Message { id, room, author, content: Content::Text(bytes), origin: None };
            log.append(&[Arc::new(message)]).unwrap();
            id
        };
        test(&History { kind, log, keep: &keep });
    }
    let redis = RedisServer::start();
    for shards in [1, 5] {
        let prefix = format!("of-{shards}:");
        let node = Node::with(&redis.url(), Settings { bounds, shards, prefix, ..settings() });
        let keep = |place: &str, bytes: Bytes| {
            node.keeps(Draft { content: Content::Text(bytes), ..text(place, "") })
        };
        test(&History { kind: "Redis", log: &*node.store, keep: &keep });
    }
}

impl History<'_> {
    fn page(&self, place: &str, range: Range) -> (Vec<MessageId>, bool, bool) {
        let page = self.log.page(&room(place), range).expect("it can be read");
        (page.messages.iter().map(|message| message.id).collect(), page.more, page.complete)
    }

    fn newest(
        &self,
        place: &str,
        upto: MessageId,
        messages: usize,
        bytes: usize,
    ) -> Vec<MessageId> {
        let after = self.log.before_newest(&room(place), upto, messages, bytes).unwrap();
        let (ids, more, complete) = self.page(place, Range { after, upto, messages, bytes });
        assert!(!more && complete, "all of them are on one page: {}", self.kind);
        ids
    }
}

#[test]
fn each_history_has_pages_as_long_as_was_asked_for() {
    each(PLENTY, |history| {
        let keep = |_| (history.keep)("a", vec![b'x'; 1000].into());
        let all: Vec<_> = (0..9).map(keep).collect();
        let (kind, any) = (history.kind, Range::behind(0));
        let page = |range| history.page("a", range);
        assert_eq!(page(any), (all.clone(), false, true), "{kind}");
        assert_eq!(page(Range { messages: 2, ..any }), (all[..2].to_vec(), true, true), "{kind}");
        let range = Range { after: all[6], messages: 2, ..any };
        assert_eq!(page(range), (all[7..].to_vec(), false, true), "{kind}");
        assert_eq!(page(Range { upto: all[2], ..any }), (all[..3].to_vec(), false, true));
        assert_eq!(page(Range { after: all[4], upto: all[2], ..any }), (vec![], false, true));
        assert_eq!(page(Range { after: all[8], ..any }), (vec![], false, true), "{kind}");
        assert_eq!(page(Range { bytes: 2700, ..any }), (all[..2].to_vec(), true, true), "{kind}");
        // One is answered whatever its size, or nobody could ever read it.
        assert_eq!(page(Range { bytes: 1, ..any }), (all[..1].to_vec(), true, true), "{kind}");
        // Nobody knows what was said before the first message, unless nothing was asked for.
        assert!(page(Range::behind(all[0] - 1)).2, "{kind}");
        assert!(!page(Range::behind(all[0] - 2)).2, "{kind}");
        assert_eq!(history.page("b", Range::behind(1)), (vec![], false, false), "{kind}");
        assert_eq!(history.page("b", any), (vec![], false, true), "{kind}");
    });
}

#[test]
fn each_history_finds_the_newest_messages_from_behind() {
    each(PLENTY, |history| {
        let keep = |_| (history.keep)("a", vec![b'x'; 1000].into());
        let all: Vec<_> = (0..9).map(keep).collect();
        let other = (history.keep)("b", "x".into());
        let (kind, any) = (history.kind, usize::MAX);
        let newest = |upto, messages, bytes| history.newest("a", upto, messages, bytes);
        assert_eq!(newest(other, 2, any), all[7..], "{kind}");
        assert_eq!(newest(all[8] - 1, 2, any), all[6..8], "{kind}");
        assert_eq!(newest(all[0], 2, any), all[..1], "{kind}");
        for enough in [9, 10, 1000, any] {
            assert_eq!(newest(MessageId::MAX, enough, any), all, "{kind}");
        }
        assert_eq!(newest(other, any, 2700), all[7..], "{kind}");
        assert_eq!(newest(other, 1, 2700), all[8..], "{kind}");
        assert_eq!(newest(other, any, 1), all[8..], "{kind}");
        let before = |place, upto, messages| {
            history.log.before_newest(&room(place), upto, messages, any).unwrap()
        };
        assert_eq!(before("a", all[0] - 1, 9), 0, "{kind}");
        assert_eq!(before("c", other, 9), 0, "{kind}");
        assert_eq!(before("a", all[7], 0), all[7], "{kind}");
    });
}

#[test]
fn each_history_lets_go_what_is_beyond_its_bounds() {
    each(Bounds { messages: 10, ..PLENTY }, |history| {
        let keep = |_| (history.keep)("a", "x".into());
        let all: Vec<_> = (0..100).map(keep).collect();
        let kind = history.kind;
        assert_eq!(
            history.page("a", Range::behind(0)),
            (all[90..].to_vec(), false, false),
            "{kind}"
        );
        let after = Range::behind(all[89]);
        assert_eq!(history.page("a", after), (all[90..].to_vec(), false, true), "{kind}");
        assert!(!history.page("a", Range::behind(all[88])).2, "{kind}");
        assert_eq!(history.newest("a", all[99], 20, usize::MAX), all[90..], "{kind}");
        assert_eq!(history.log.last_in(&room("a")).unwrap(), all[99], "{kind}");
        assert_eq!(history.log.last_in(&room("b")).unwrap(), 0, "{kind}");
        assert_eq!(history.log.message(&room("a"), all[89]).unwrap(), None, "{kind}");
        assert!(history.log.message(&room("a"), all[90]).unwrap().is_some(), "{kind}");
    });
}

#[test]
fn each_history_holds_16_mib_of_a_room() {
    each(PLENTY, |history| {
        let large = Bytes::from(vec![b'x'; 1 << 20]);
        let all: Vec<_> = (0..20).map(|_| (history.keep)("a", large.clone())).collect();
        let (ids, _, complete) = history.page("a", Range::behind(0));
        assert_eq!((ids.as_slice(), complete), (&all[5..], false), "{}", history.kind);
        let page = Range { bytes: 64 << 10, ..Range::behind(0) };
        assert_eq!(history.page("a", page).0, all[5..6], "{}", history.kind);
    });
}

#[test]
fn each_history_lists_its_rooms_by_name() {
    each(PLENTY, |history| {
        let names = ["b", "~", "A", "a", "aa", "0"];
        let lasts = names.map(|name| (history.keep)(name, "x".into()));
        let mut all: Vec<_> = names.into_iter().map(room).zip(lasts).collect();
        all.sort();
        let (kind, rooms) = (history.kind, |after, limit| history.log.rooms(after, limit).unwrap());
        assert_eq!(rooms("", 100), all, "{kind}");
        assert_eq!(rooms("", 2), all[..2], "{kind}");
        assert_eq!(rooms("A", 2), all[2..4], "{kind}");
        assert_eq!(rooms("~", 2), [], "{kind}");
    });
}

#[test]
fn a_room_that_was_silent_for_long_is_forgotten() {
    let redis = RedisServer::start();
    let idle = Some(Duration::from_secs(1));
    let node =
        Node::with(&redis.url(), Settings { bounds: Bounds { idle, ..PLENTY }, ..settings() });
    node.keeps(text_of(1, "x", "a", "hello"));
    until("the room is forgotten", || node.store.rooms("", 10).unwrap().is_empty());
    let keys: Vec<String> = redis.answers("KEYS *:a");
    assert!(keys.is_empty(), "{keys:?}");
    // It begins anew, and knows that something may have been before.
    let id = node.keeps(text_of(1, "x", "a", "hello"));
    assert!(!node.store.page(&room("a"), Range::behind(id - 2)).unwrap().complete);
}

#[test]
fn shards_give_no_id_twice() {
    let redis = RedisServer::start();
    let node = Node::with(&redis.url(), Settings { shards: 3, ..settings() });
    let places: Vec<_> = (0..30).map(|n| format!("room-{n}")).collect();
    for place in &places {
        for n in 0..20 {
            node.says_in(place, &n.to_string());
        }
    }
    let mut ids = HashSet::new();
    let mut shards = HashSet::new();
    for _ in 0..600 {
        let (id, place) = node.is_told("a message", |told| match told {
            Told::Message { message, .. } => Some((message.id, message.room.clone())),
            _ => None,
        });
        let shard = node.store.shard_of(&place);
        assert_eq!(id % 3, i64::from(shard));
        shards.insert(shard);
        assert!(ids.insert(id), "{id} was given out twice");
    }
    assert_eq!(shards.len(), 3);
}

/// The same test with each kind of directory.
fn each_directory(test: fn(&dyn Directory)) {
    test(&Sqlite::open(None, PLENTY, Name::folded).unwrap());
    let redis = RedisServer::start();
    test(&*Node::on(&redis).store);
}

#[test]
fn each_directory_knows_its_users() {
    each_directory(|directory| {
        let add = |name: &str, key| directory.add_user(name, &name.to_lowercase(), &[key; 32]);
        let ada = add("Ada \u{1f600}/\"", 1).unwrap();
        let bob = add("Bob", 2).unwrap();
        assert!(ada.id > 0 && bob.id > ada.id);
        assert!((ada.created_at - now() / 1_000_000).abs() < 60);
        assert!(matches!(add("BOB", 3), Err(StoreError::Taken)));
        assert_eq!(directory.user(ada.id).unwrap(), Some(ada.clone()));
        assert_eq!(directory.user_with_key(&[1; 32]).unwrap(), Some(ada.clone()));
        assert_eq!(directory.user_with_key(&[9; 32]).unwrap(), None);
        assert_eq!(directory.users(0, 10).unwrap(), [ada.clone(), bob.clone()]);
        assert_eq!(directory.users(0, 1).unwrap(), std::slice::from_ref(&ada));
        assert_eq!(directory.users(ada.id, 10).unwrap(), std::slice::from_ref(&bob));
        assert_eq!(directory.users(bob.id, 10).unwrap(), []);

        assert!(matches!(
            directory.rename_user(bob.id, "X", &ada.name.to_lowercase()),
            Err(StoreError::Taken)
        ));
        let same = directory.rename_user(bob.id, "bob", "bob").unwrap();
        let renamed = User { name: "bob".to_owned(), ..bob.clone() };
        assert_eq!(same, Some(renamed.clone()));
        let renamed = User { name: "Carl".to_owned(), ..renamed };
        assert_eq!(directory.rename_user(bob.id, "Carl", "carl").unwrap(), Some(renamed.clone()));
        assert_eq!(directory.user_with_key(&[2; 32]).unwrap(), Some(renamed));
        assert_eq!(directory.rename_user(999, "X", "x").unwrap(), None);
        let other = add("Bob", 3).unwrap();
        assert!(other.id > bob.id, "the old name is free");

        assert!(directory.remove_user(ada.id).unwrap());
        assert!(!directory.remove_user(ada.id).unwrap());
        assert_eq!(directory.user(ada.id).unwrap(), None);
        assert_eq!(directory.user_with_key(&[1; 32]).unwrap(), None);
        assert!(add(&ada.name, 1).unwrap().id > other.id, "no number is given twice");
    });
}

#[test]
fn of_two_nodes_that_add_one_name_one_succeeds() {
    let redis = RedisServer::start();
    let nodes = [Node::on(&redis), Node::on(&redis)];
    for round in 0..50_u8 {
        let name = format!("ada-{round}");
        let together = Barrier::new(2);
        let add = |node: &Node, key: u8| {
            together.wait();
            node.store.add_user(&name, &name, &[round, key].repeat(16).try_into().unwrap())
        };
        let outcomes = thread::scope(|scope| {
            let one = scope.spawn(|| add(&nodes[0], 0));
            let other = scope.spawn(|| add(&nodes[1], 1));
            [one.join().unwrap(), other.join().unwrap()]
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(StoreError::Taken))));
    }
    assert_eq!(nodes[0].store.users(0, 1000).unwrap().len(), 50);
}

#[test]
fn all_nodes_are_told_of_changed_users() {
    let redis = RedisServer::start();
    let nodes = [Node::on(&redis), Node::on(&redis)];
    let ada = nodes[0].store.add_user("Ada", "ada", &[1; 32]).unwrap();
    let renamed = nodes[0].store.rename_user(ada.id, "Ada L.", "ada l.").unwrap().unwrap();
    assert!(nodes[1].store.remove_user(ada.id).unwrap());
    for node in &nodes {
        node.is_told("she is renamed", |told| {
            matches!(told, Told::UserRenamed(user) if *user == renamed).then_some(())
        });
        node.is_told("she is removed", |told| {
            matches!(told, Told::UserRemoved(id) if *id == ada.id).then_some(())
        });
    }
}

#[test]
fn everyone_knows_who_is_there() {
    let redis = RedisServer::start();
    let (one, other) = (Node::on(&redis), Node::on(&redis));
    let (ada, bob) = (one.joins("a"), one.joins("b"));
    let joined = |who: &Present| {
        let who = who.clone();
        move |told: &Told| matches!(told, Told::Joined(known) if *known == who).then_some(())
    };
    other.is_told("Ada is here", joined(&ada));
    other.is_told("Bob is here", joined(&bob));
    let user = Some(User { id: 7, name: "Bob".to_owned(), created_at: 1 });
    let bob = Present { user, session: None, ..bob };
    one.appends(Entry::Renamed(bob.clone()));
    other.is_told("Bob has a name", |told| {
        matches!(told, Told::Renamed(known) if *known == bob).then_some(())
    });
    let third = Node::on(&redis);
    let mut everyone = third.is_told("everyone", |told| match told {
        Told::Everyone { members, .. } => Some(members.clone()),
        _ => None,
    });
    everyone.sort_by_key(|present| present.member);
    assert_eq!(everyone, [ada.clone(), bob.clone()]);
    one.appends(Entry::Left { room: ada.room.clone(), member: ada.member });
    let left = |who: &Present| {
        let who = who.clone();
        move |told: &Told| match told {
            Told::Left { room, member, node } => {
                assert_eq!((room, member, node), (&who.room, &who.member, &who.node));
                Some(())
            }
            _ => None,
        }
    };
    other.is_told("Ada left", left(&ada));
    // A node that stops takes its members with it.
    let members = format!("EXISTS wsroom:{{0}}:members:{}", one.store.node());
    assert_eq!(redis.answers::<usize>(&members), 1);
    drop(one);
    other.is_told("Bob left", left(&bob));
    until("no trace is left", || {
        redis.answers::<usize>(&members) == 0
            && redis.answers::<usize>("HLEN wsroom:{0}:beats") == 2
    });
}
