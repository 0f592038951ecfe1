//! Leaders on several servers: what one server is asked for is done on all, in one order, and a server
//! that starts later knows the rules.

mod support;

use serde_json::{Value, json};
use support::redis::RedisServer;
use support::school::{OWNER, ROOM, School, Who, on_member};
use support::{Server, V1};

const ADA: &str = "ada-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";
const EVE: &str = "eve-0123456789abcdef";

/// A school on its first server, and one more server.
struct Schools {
    school: School,
    second: Server,
    redis: RedisServer,
}

impl Schools {
    fn open() -> Self {
        let redis = RedisServer::start();
        let school = School::opens_with(&["--data", redis.url().secret()]);
        Self { second: one_more(&redis), school, redis }
    }

    /// Ada at the first server, Bob at the second one; they hear each other.
    fn ada_and_bob(&self) -> (V1, V1, Value) {
        let mut ada = self.school.is_joined_by(Who::Leader, ADA).0;
        let (mut bob, welcome) = self.bob(BOB);
        hear_each_other(&mut ada, &mut bob);
        (ada, bob, welcome)
    }

    fn bob(&self, session: &str) -> (V1, Value) {
        let path = format!("/ws/{ROOM}?session={session}");
        V1::joins_with(&self.second, &path, &self.school.bob.bearer())
    }
}

fn one_more(redis: &RedisServer) -> Server {
    Server::with(&["--admin-token", OWNER, "--data", redis.url().secret()])
}

/// What is said from now on reaches both, and both know that the other is there.
fn hear_each_other(one: &mut V1, other: &mut V1) {
    for (from, to) in [(0, 1), (1, 0)] {
        let [from, to] =
            if from < to { [&mut *one, &mut *other] } else { [&mut *other, &mut *one] };
        from.says("hello");
        to.hears("hello");
        from.hears("hello");
    }
}

fn does(who: &mut V1, mut act: Value) {
    act["type"] = "act".into();
    who.does(&act);
}

fn id(event: &Value) -> i64 {
    event["id"].as_i64().expect("an id")
}

#[test]
fn an_act_is_told_and_done_on_all_servers() {
    let schools = Schools::open();
    let (mut ada, mut bob, _) = schools.ada_and_bob();
    bob.says_with_ref("a slip", "r1");
    let (slip, heard) = (bob.hears("a slip"), ada.hears("a slip"));
    does(&mut ada, json!({"act": "remove", "message": heard["id"], "ref": "mine"}));
    let (own, told) = (ada.hears_of("act"), bob.hears_of("act"));
    assert_eq!((&own["ref"], told.get("ref"), &own["id"]), (&json!("mine"), None, &told["id"]));
    assert_eq!(told["message"], slip["id"]);
    bob.says_with_ref("a slip", "r1");
    assert_eq!(bob.hears_of("kept")["id"], slip["id"]);
    for server in [&schools.second, &schools.school.server] {
        let (mut eve, _) = V1::comes_back(server, &format!("/ws/{ROOM}?since=0"));
        let (past, live) = eve.hears_the_past();
        let ids: Vec<_> = past.iter().map(id).collect();
        assert!(!ids.contains(&id(&slip)) && ids.contains(&id(&told)), "{past:?}");
        assert_eq!(live["complete"], true);
    }
    does(&mut ada, json!({"act": "clear"}));
    let cleared = bob.hears_of("act");
    let (mut eve, _) = V1::comes_back(&schools.second, &format!("/ws/{ROOM}?since=0"));
    assert_eq!(eve.hears_the_past().0.iter().map(id).collect::<Vec<_>>(), [id(&cleared)]);
}

#[test]
fn rules_hold_on_all_servers_and_on_one_that_starts_later() {
    let schools = Schools::open();
    let (mut ada, mut bob, welcome) = schools.ada_and_bob();
    does(&mut ada, on_member("mute", &welcome));
    bob.hears_of("act");
    bob.says("let me speak");
    assert_eq!(bob.hears_of("error")["code"], "muted");
    does(&mut ada, on_member("unmute", &welcome));
    bob.hears_of("act");
    does(&mut ada, json!({"act": "set", "topic": "Kepler", "mode": "read-only", "key": "orbits"}));
    bob.hears_of("act");
    bob.says("let me speak");
    assert_eq!(bob.hears_of("error")["code"], "read-only");
    let third = one_more(&schools.redis);
    for server in [&schools.second, &third] {
        assert_eq!(server.get(&format!("/rooms/{ROOM}")).status, 403);
        let (mut eve, welcome) = V1::comes_back(server, &format!("/ws/{ROOM}?key=orbits"));
        let rules = &welcome["rules"];
        assert_eq!((&rules["topic"], &rules["mode"]), (&json!("Kepler"), &json!("read-only")));
        eve.says("let me speak");
        assert_eq!(eve.hears_of("error")["code"], "read-only");
    }
    // Each leader changes a field, on another server, and neither undoes what the other does.
    schools.school.appoints(schools.school.bob.id, ROOM);
    assert_eq!(bob.hears_of("act")["act"], "lead");
    does(&mut bob, json!({"act": "set", "topic": "Newton"}));
    does(&mut ada, json!({"act": "set", "mode": "open"}));
    for _ in 0..2 {
        assert_eq!(bob.hears_of("act")["act"], "set");
    }
    let (_, welcome) = V1::comes_back(&schools.second, &format!("/ws/{ROOM}?key=orbits"));
    let rules = &welcome["rules"];
    assert_eq!((&rules["topic"], &rules["mode"]), (&json!("Newton"), &json!("open")));
}

#[test]
fn who_is_put_out_is_out_of_all_servers() {
    let schools = Schools::open();
    let (mut ada, mut bob, welcome) = schools.ada_and_bob();
    // He is at the first server too.
    let (mut other, _) = schools.school.is_joined_by(Who::User, "");
    does(&mut ada, on_member("put-out", &welcome));
    let reason = "Ada put you out. You may come back in 10 minutes.";
    assert_eq!(bob.client.is_told(1008), reason);
    assert_eq!(other.client.is_told(1008), reason);
    for server in [&schools.second, &schools.school.server] {
        let asked = support::request("GET", "/rooms/physics", &[&schools.school.bob.bearer()], "");
        assert_eq!(server.is_visited().asks(asked).status, 403);
    }
}

#[test]
fn a_guest_of_another_server_is_put_out_by_the_address() {
    let schools = Schools::open();
    let (mut ada, _) = schools.school.is_joined_by(Who::Leader, ADA);
    let (mut eve, welcome) = V1::comes_back(&schools.second, &format!("/ws/{ROOM}?session={EVE}"));
    hear_each_other(&mut ada, &mut eve);
    does(&mut ada, on_member("put-out", &welcome));
    eve.client.is_told(1008);
    ada.hears_of("act");
    // Nor may she come in as somebody else.
    for server in [&schools.second, &schools.school.server] {
        assert_eq!(server.get(&format!("/rooms/{ROOM}")).status, 403);
    }
}

#[test]
fn the_end_of_class_is_the_end_on_all_servers() {
    let schools = Schools::open();
    let (mut ada, mut bob, _) = schools.ada_and_bob();
    does(&mut ada, json!({"act": "end"}));
    assert_eq!(bob.hears_of("act")["act"], "end");
    assert_eq!(bob.client.is_told(1008), "The class is over.");
    ada.hears_of("act");
    assert_eq!(schools.second.get(&format!("/rooms/{ROOM}")).status, 403);
    ada.says("alone");
    ada.hears("alone");
}

#[test]
fn an_act_waits_for_redis_as_a_message_does() {
    let mut schools = Schools::open();
    let (mut ada, mut bob, _) = schools.ada_and_bob();
    schools.redis.dies();
    does(&mut ada, json!({"act": "set", "mode": "read-only", "ref": "r1"}));
    // It waits as a message would, and is done when Redis is back.
    schools.redis.comes_back();
    assert_eq!(ada.hears_of("act")["ref"], "r1");
    assert_eq!(bob.hears_of("act")["mode"], "read-only");
    bob.says("me too");
    assert_eq!(bob.hears_of("error")["code"], "read-only");
}
