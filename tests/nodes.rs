//! Several servers on one Redis are one server: the same rooms, the same order, the same history, the
//! same users, and a client that loses its server goes on at another one.

mod support;

use std::collections::HashSet;
use std::thread;

use serde_json::{Value, json};
use support::redis::RedisServer;
use support::{Person, Server, V1, request, until};

const ADA: &str = "ada-0123456789abcdef";

fn nodes<const N: usize>(redis: &RedisServer) -> [Server; N] {
    std::array::from_fn(|_| Server::with(&["--data", redis.url().secret(), "--history", "100000"]))
}

fn joins(server: &Server, session: &str, more: &str) -> (V1, Value) {
    V1::comes_back(server, &format!("/ws/a?session={session}{more}"))
}

fn texts(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["text"].as_str().expect("a text")).collect()
}

/// Waits until both know of each other: what is said from now on reaches both.
fn hear_each_other(one: &mut V1, other: &mut V1) {
    one.says("hello from one");
    other.hears("hello from one");
    one.hears("hello from one");
    other.says("hello from the other");
    one.hears("hello from the other");
    other.hears("hello from the other");
}

#[test]
fn what_is_said_on_one_is_heard_on_all() {
    let redis = RedisServer::start();
    let [first, second] = nodes(&redis);
    let (mut ada, welcome) = V1::joins(&first, "a");
    let (mut bob, _) = V1::joins(&second, "a");
    let mut plain = second.joins("a");
    ada.says_with_ref("hello", "1");
    let (own, heard) = (ada.hears("hello"), bob.hears("hello"));
    assert_eq!((&own["ref"], heard.get("ref")), (&json!("1"), None));
    assert_eq!(own["id"], heard["id"]);
    assert_eq!(heard["from"]["id"], welcome["you"]["id"], "the member on the other server");
    plain.hears("hello");
    plain.shows(b"\x00\xff");
    ada.sees(b"\x00\xff");
    // A script is heard everywhere too.
    let post = request("POST", "/rooms/a", &["Content-Type: text/plain"], "from a script");
    second.is_visited().asks(post).tells(202);
    ada.hears("from a script");
    // And nobody in another room.
    let (mut eve, _) = V1::joins(&first, "b");
    eve.says("marker");
    eve.hears("marker");
}

/// Sixty clients on three servers, all of whom talk: everyone hears the same, in the same order.
#[test]
fn there_is_one_order_for_everyone() {
    const EACH: usize = 20;
    let redis = RedisServer::start();
    let servers: [Server; 3] = nodes(&redis);
    let mut crowd: Vec<_> = (0..60).map(|number| V1::joins(&servers[number % 3], "a").0).collect();
    let all = crowd.len() * EACH;
    let heard: Vec<Vec<(i64, String)>> = thread::scope(|scope| {
        let listening: Vec<_> = crowd
            .iter_mut()
            .enumerate()
            .map(|(number, one)| {
                scope.spawn(move || {
                    for count in 0..EACH {
                        one.says(&format!("{number} {count}"));
                    }
                    let mut heard = Vec::new();
                    while heard.len() < all {
                        let event = one.hears_of("message");
                        let text = event["text"].as_str().unwrap().to_owned();
                        heard.push((event["id"].as_i64().unwrap(), text));
                    }
                    heard
                })
            })
            .collect();
        listening.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for other in &heard[1..] {
        assert_eq!(other, &heard[0]);
    }
    assert!(heard[0].is_sorted_by(|one, other| one.0 < other.0), "ids increase");
    for number in 0..60 {
        let own = heard[0].iter().filter_map(|(_, text)| text.strip_prefix(&format!("{number} ")));
        assert!(own.eq((0..EACH).map(|count| count.to_string())), "each one's own order");
    }
}

#[test]
fn the_past_is_the_same_on_all() {
    let redis = RedisServer::start();
    let [first, second] = nodes(&redis);
    let ((mut ada, _), mut eve) = (V1::joins(&first, "a"), second.joins("a"));
    for text in ["one", "two", "three"] {
        ada.says(text);
        ada.hears(text);
        // What the second server was not told yet would be live there, not past.
        eve.hears(text);
    }
    let (mut bob, welcome) = V1::comes_back(&second, "/ws/a?last=2");
    assert_eq!(welcome["complete"], true);
    let (past, live) = bob.hears_the_past();
    assert_eq!(texts(&past), ["two", "three"]);
    assert_eq!(live["last"], past[1]["id"]);
    ada.says("four");
    bob.hears("four");
    let told = second.get(&format!("/rooms/a/messages?since={}", past[0]["id"])).tells(200);
    assert_eq!(texts(told["messages"].as_array().unwrap()), ["three", "four"]);
    // A server that comes later knows it too.
    let [third] = nodes(&redis);
    let (past, _) = V1::comes_back(&third, "/ws/a?since=0").0.hears_the_past();
    assert_eq!(texts(&past), ["one", "two", "three", "four"]);
}

#[test]
fn those_who_are_elsewhere_are_present() {
    let redis = RedisServer::start();
    let [first, second] = nodes(&redis);
    let (mut ada, _) = V1::joins(&first, "a");
    ada.hears_the_past();
    let (bob, bobs) = V1::joins(&second, "a");
    let bobs = &bobs["you"];
    ada.hears_of_somebody("joined", |member| member == bobs);
    let (_carol, welcome) = V1::joins(&first, "a");
    assert_eq!(welcome["count"], 3);
    assert!(welcome["members"].as_array().unwrap().contains(bobs), "{welcome}");
    let members = first.get("/rooms/a/members").tells(200);
    assert_eq!(members["count"], 3);
    let health = first.get("/healthz").tells(200);
    assert_eq!((&health["clients"], &health["clients_here"]), (&json!(3), &json!(2)));
    bob.client.leaves();
    ada.hears_of_somebody("left", |id| *id == bobs["id"]);
}

#[test]
fn a_server_that_stops_takes_its_members_away() {
    let redis = RedisServer::start();
    let [first, second] = nodes(&redis);
    let (mut ada, _) = V1::joins(&first, "a");
    let (mut bob, bobs) = V1::joins(&second, "a");
    hear_each_other(&mut ada, &mut bob);
    drop(bob);
    second.stops();
    ada.hears_of_somebody("left", |id| *id == bobs["you"]["id"]);
}

#[test]
fn a_session_goes_on_at_another_server() {
    let redis = RedisServer::start();
    let [first, second] = nodes(&redis);
    let (mut bob, _) = V1::joins(&second, "a");
    bob.hears_the_past();
    let (mut ada, before) = joins(&first, ADA, "");
    ada.says_with_ref("once", "1");
    let once = ada.hears("once");
    bob.hears_of_somebody("joined", |member| *member == before["you"]);
    let (mut moved, after) = joins(&second, ADA, "");
    // The first server ends its connection, and nobody hears that anyone has gone or come.
    ada.client.is_told(4001);
    assert_eq!(after["you"], before["you"]);
    moved.says_with_ref("once", "1");
    // The message may still be on its way to the second server: then it is heard there, with its ref.
    let answer = loop {
        let event = moved.next();
        if event["ref"] == "1" {
            break event;
        }
    };
    assert_eq!(answer["id"], once["id"]);
    moved.says("moved");
    loop {
        let event = bob.next();
        let is_about_ada = event["type"] == "left" || event["type"] == "joined";
        assert!(!is_about_ada, "{event}");
        if event["text"] == "moved" {
            break;
        }
    }
    assert_eq!(first.get("/rooms/a/members").tells(200)["count"], 2);
}

/// Nothing is left of it on the first server, for servers that come later.
#[test]
fn a_session_that_has_moved_is_in_one_place() {
    let redis = RedisServer::start();
    let [first, second] = nodes(&redis);
    let (mut bob, _) = V1::joins(&second, "a");
    let (mut ada, before) = joins(&first, ADA, "");
    hear_each_other(&mut ada, &mut bob);
    let (moved, _) = joins(&second, ADA, "");
    ada.client.is_told(4001);
    moved.client.leaves();
    bob.hears_of_somebody("left", |id| *id == before["you"]["id"]);
    let [third] = nodes(&redis);
    until("the third server to know bob", || {
        let members = third.get("/rooms/a/members").tells(200);
        assert_ne!(members["count"], 2, "{members}");
        members["count"] == 1
    });
}

/// The servers hear of each other late, and of the newest connection first.
#[test]
fn a_session_that_moves_to_and_fro_keeps_its_newest_connection() {
    let redis = RedisServer::start();
    let [first, second] = nodes(&redis);
    let (mut bob, _) = V1::joins(&first, "a");
    let (mut ada, before) = joins(&second, ADA, "");
    hear_each_other(&mut ada, &mut bob);
    redis.answers::<String>("CLIENT PAUSE 60000 WRITE");
    let (mut there, _) = joins(&first, ADA, "");
    let (mut back, after) = joins(&second, ADA, "");
    redis.answers::<String>("CLIENT UNPAUSE");
    ada.client.is_told(4001);
    there.client.is_told(4001);
    assert_eq!(after["you"], before["you"]);
    back.says("still here");
    back.hears("still here");
    bob.hears("still here");
    assert_eq!(second.get("/rooms/a/members").tells(200)["count"], 2);
}

#[test]
fn a_guest_who_takes_a_name_at_another_server_is_renamed() {
    let redis = RedisServer::start();
    let [first, second] = nodes(&redis);
    let (mut bob, _) = V1::joins(&first, "a");
    let (mut ada, guest) = joins(&first, ADA, "");
    ada.says_with_ref("once", "1");
    let once = ada.hears("once");
    bob.hears("once");
    let (mut eve, _) = V1::joins(&second, "a");
    hear_each_other(&mut eve, &mut bob);
    let person = first.enters("Ada");
    let path = format!("/ws/a?session={ADA}");
    let (mut moved, user) = V1::joins_with(&second, &path, &person.bearer());
    ada.client.is_told(4001);
    assert_eq!((&user["you"]["id"], &user["you"]["name"]), (&guest["you"]["id"], &json!("Ada")));
    for other in [&mut bob, &mut eve] {
        let renamed = loop {
            let event = other.next();
            assert_ne!(event["type"], "left", "{event}");
            if event["type"] == "renamed" {
                break event;
            }
        };
        assert_eq!(renamed["members"], json!([user["you"]]));
    }
    moved.says_with_ref("once", "1");
    assert_eq!(moved.hears_of("kept")["id"], once["id"]);
    for server in [&first, &second] {
        assert_eq!(server.get("/rooms/a/members").tells(200)["count"], 3);
    }
}

#[test]
fn users_are_the_same_on_all() {
    let redis = RedisServer::start();
    let [first, second] = nodes(&redis);
    let ada: Person = first.enters("Ada");
    let (mut bob, _) = V1::joins(&first, "a");
    let (mut one, welcome) = V1::joins_with(&second, "/ws/a", &ada.bearer());
    assert_eq!(welcome["you"]["name"], "Ada");
    hear_each_other(&mut bob, &mut one);
    // Renamed at one server, she has the name on the other, where she is connected.
    first.renames(&ada, "Ada L.");
    loop {
        let event = one.next();
        if event["type"] == "renamed" && event["members"][0]["name"] == "Ada L." {
            break;
        }
    }
    one.says("it is me");
    loop {
        let event = bob.next();
        if event["text"] == "it is me" {
            assert_eq!(event["from"]["name"], "Ada L.");
            break;
        }
    }
    let taken = support::request_with_json("POST", "/users", &[], &support::named("ada l."));
    second.is_visited().asks(taken).has_a_problem(409);
}

#[test]
fn typing_is_told_on_all() {
    let redis = RedisServer::start();
    let [first, second] = nodes(&redis);
    let ((mut ada, welcome), (mut bob, _)) = (V1::joins(&first, "a"), V1::joins(&second, "a"));
    hear_each_other(&mut ada, &mut bob);
    ada.does(&json!({"type": "typing"}));
    assert_eq!(bob.hears_of("typing")["from"], welcome["you"]);
}

#[test]
fn two_numbers_are_never_the_same() {
    let redis = RedisServer::start();
    let [first, second] = nodes(&redis);
    let mut seen = HashSet::new();
    for server in [&first, &second, &first, &second] {
        let (_, welcome) = V1::joins(server, "a");
        assert!(seen.insert(welcome["you"]["id"].as_u64().unwrap()));
        assert!(seen.iter().all(|id| *id < 1 << 53), "exact in JavaScript");
    }
}
