//! Hands: everyone sees who has raised one, and since when; a leader lowers one or all.

mod support;

use serde_json::{Value, json};
use support::redis::RedisServer;
use support::school::{OWNER, ROOM, School, Who};
use support::{Server, V1};

const ADA: &str = "ada-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";
const EVE: &str = "eve-0123456789abcdef";

fn raises(who: &mut V1, up: bool) {
    who.does(&json!({"type": "hand", "up": up}));
}

/// The next event is that this member's hand is up; answers since when.
fn sees_up(who: &mut V1, welcome: &Value) -> i64 {
    let up = sees(who, welcome);
    assert!(up > 1_500_000_000_000_000, "no time in microseconds: {up}");
    up
}

fn sees(who: &mut V1, welcome: &Value) -> i64 {
    let event = who.hears_of("hand");
    let you = &welcome["you"];
    assert_eq!(event["member"], json!({"id": you["id"], "name": you["name"]}));
    event["up"].as_i64().expect("a time")
}

/// The hands that a list of members has: ids and times.
fn hands(welcome: &Value) -> Vec<(&Value, i64)> {
    let members = welcome["members"].as_array().expect("a list").iter();
    members.filter_map(|member| Some((&member["id"], member["hand"].as_i64()?))).collect()
}

#[test]
fn rule_59_everyone_sees_whose_hand_is_up_and_since_when() {
    let school = School::opens();
    let (mut bob, bobs) = school.is_joined_by(Who::User, BOB);
    let (mut eve, eves) = school.is_joined_by(Who::Guest, EVE);
    let mut plain = school.server.joins(ROOM);
    raises(&mut eve, true);
    let first = [&mut eve, &mut bob].map(|who| sees_up(who, &eves));
    assert_eq!(first[0], first[1]);
    // Once more changes nothing, least of all the order.
    raises(&mut eve, true);
    raises(&mut bob, true);
    let second = [&mut eve, &mut bob].map(|who| sees_up(who, &bobs))[0];
    assert!(first[0] < second);
    let (mut cyd, welcome) = school.is_joined_by(Who::OtherLeader, "");
    assert_eq!(hands(&welcome), [(&bobs["you"]["id"], second), (&eves["you"]["id"], first[0])]);
    raises(&mut eve, false);
    for who in [&mut eve, &mut bob, &mut cyd] {
        assert_eq!(sees(who, &eves), 0);
    }
    // It is nothing that somebody says.
    bob.says("marker");
    plain.hears("marker");
    let (mut late, _) = V1::comes_back(&school.server, &format!("/ws/{ROOM}?since=0"));
    let past = late.hears_the_past().0;
    assert_eq!(past.last().unwrap()["text"], "marker");
    bob.does(&json!({"type": "hand"}));
    bob.hears("marker");
    assert_eq!(bob.hears_of("error")["code"], "bad-event");
}

#[test]
fn rule_60_a_hand_stays_up_when_its_session_comes_back_and_goes_with_its_member() {
    let school = School::opens();
    let (mut bob, bobs) = school.is_joined_by(Who::User, BOB);
    let (mut eve, eves) = school.is_joined_by(Who::Guest, EVE);
    raises(&mut bob, true);
    let up = [&mut bob, &mut eve].map(|who| sees_up(who, &bobs))[0];
    bob.client.vanishes();
    let (mut bob, welcome) = school.is_joined_by(Who::User, BOB);
    assert_eq!(welcome["you"]["hand"], up);
    raises(&mut eve, true);
    bob.hears_of("hand");
    eve.client.leaves();
    let (_, welcome) = school.is_joined_by(Who::Guest, EVE);
    assert_ne!(welcome["you"]["id"], eves["you"]["id"]);
    assert_eq!(hands(&welcome), [(&bobs["you"]["id"], up)]);
}

#[test]
fn a_leader_lowers_one_hand_or_all() {
    let school = School::opens();
    let (mut ada, _) = school.is_joined_by(Who::Leader, ADA);
    let (mut bob, bobs) = school.is_joined_by(Who::User, BOB);
    let (mut eve, eves) = school.is_joined_by(Who::Guest, EVE);
    for (who, welcome) in [(&mut bob, &bobs), (&mut eve, &eves)] {
        raises(who, true);
        sees_up(&mut ada, welcome);
    }
    ada.does(&json!({"type": "act", "act": "lower", "member": eves["you"]["id"]}));
    assert_eq!(ada.hears_of("act")["said"], "Ada lowered a hand.");
    assert_eq!(sees(&mut ada, &eves), 0);
    ada.does(&json!({"type": "act", "act": "lower"}));
    assert_eq!(ada.hears_of("act")["said"], "Ada lowered all hands.");
    assert_eq!(sees(&mut ada, &bobs), 0);
    let (_, welcome) = school.is_joined_by(Who::OtherLeader, "");
    assert_eq!(hands(&welcome), []);
}

#[test]
fn hands_are_seen_and_lowered_on_all_servers() {
    let redis = RedisServer::start();
    let url = redis.url();
    let on_redis = ["--data", url.secret()];
    let school = School::opens_with(&on_redis);
    let second = Server::with(&[&["--admin-token", OWNER][..], &on_redis].concat());
    let (mut ada, _) = school.is_joined_by(Who::Leader, ADA);
    let path = |session: &str| format!("/ws/{ROOM}?session={session}");
    let (mut bob, bobs) = V1::joins_with(&second, &path(BOB), &school.bob.bearer());
    let (mut eve, eves) = school.is_joined_by(Who::Guest, EVE);
    ada.hears_of_somebody("joined", |member| member["id"] == bobs["you"]["id"]);
    ada.says("marker");
    while bob.next()["text"] != "marker" {}
    for (who, welcome) in [(&mut eve, &eves), (&mut bob, &bobs)] {
        raises(who, true);
        let up = loop {
            let event = who.next();
            if event["type"] == "hand" && event["member"]["id"] == welcome["you"]["id"] {
                break event["up"].clone();
            }
        };
        let seen = loop {
            let event = ada.next();
            if event["type"] == "hand" {
                break event;
            }
        };
        assert_eq!((&seen["member"]["id"], &seen["up"]), (&welcome["you"]["id"], &up));
    }
    // He goes on at the first server, and his hand with him.
    bob.client.vanishes();
    let (mut bob, welcome) = V1::joins_with(&school.server, &path(BOB), &school.bob.bearer());
    assert_eq!(welcome["you"]["id"], bobs["you"]["id"]);
    assert_eq!(hands(&welcome).len(), 2, "{welcome}");
    let (mut cyd, welcome) = V1::joins(&second, ROOM);
    assert_eq!(hands(&welcome).len(), 2, "{welcome}");
    ada.does(&json!({"type": "act", "act": "lower"}));
    for who in [&mut cyd, &mut bob] {
        let mut lowered: Vec<_> = (0..2).map(|_| hand_of(who)).collect();
        lowered.sort_unstable();
        let mut all = [&bobs, &eves].map(|welcome| welcome["you"]["id"].as_i64().unwrap());
        all.sort_unstable();
        assert_eq!(lowered, all);
    }
}

/// The member whose hand goes down next.
fn hand_of(who: &mut V1) -> i64 {
    loop {
        let event = who.next();
        if event["type"] == "hand" {
            assert_eq!(event["up"], 0, "{event}");
            return event["member"]["id"].as_i64().unwrap();
        }
    }
}
