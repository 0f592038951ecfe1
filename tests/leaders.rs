//! Leaders: what they do in a room is told to everyone there, has its place in the order of all
//! messages, and is in the past of those who come later.

mod support;

use serde_json::{Value, json};
use support::school::{OWNER, ROOM, School, Who, on_member};
use support::{Side, V1};

const ADA: &str = "ada-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";
const EVE: &str = "eve-0123456789abcdef";

/// Ada, who leads, and Bob, a user, are in the room.
fn ada_and_bob(school: &School) -> (V1, V1) {
    (school.is_joined_by(Who::Leader, ADA).0, school.is_joined_by(Who::User, BOB).0)
}

/// Says something, and answers with its id.
fn says(who: &mut V1, text: &str) -> i64 {
    who.says_with_ref(text, text);
    who.hears(text)["id"].as_i64().expect("an id")
}

/// Asks for an act.
fn does(who: &mut V1, act: &Value) {
    let mut event = act.clone();
    event["type"] = "act".into();
    Side::Client.may_send(&event);
    who.does(&event);
}

/// The code of the error that comes next.
fn error(who: &mut V1) -> String {
    who.hears_of("error")["code"].as_str().expect("a code").to_owned()
}

/// What somebody hears who comes now, and wants the whole past.
fn past(school: &School) -> Vec<Value> {
    let (mut eve, _) = V1::comes_back(&school.server, &format!("/ws/{ROOM}?since=0"));
    eve.hears_the_past().0
}

/// The texts and the acts in the past.
fn kinds(past: &[Value]) -> Vec<&str> {
    past.iter().map(|event| event["text"].as_str().or(event["act"].as_str()).unwrap()).collect()
}

#[test]
fn rule_49_whoever_comes_is_told_the_rules_of_the_room() {
    let school = School::opens();
    let elsewhere = V1::joins(&school.server, "elsewhere").1;
    assert!(elsewhere.get("rules").is_none(), "{elsewhere}");
    let (mut ada, welcome) = school.is_joined_by(Who::Leader, ADA);
    let leaders = json!([{"user": school.ada.id, "name": "Ada"}]);
    let none =
        json!({"topic": "", "mode": "open", "has_key": false, "history": true, "leaders": leaders});
    assert_eq!(welcome["rules"], none);
    let pinned = says(&mut ada, "read this");
    does(&mut ada, &json!({"act": "pin", "message": pinned}));
    does(&mut ada, &json!({"act": "set", "topic": "Kepler", "key": "orbits"}));
    ada.hears_of("act");
    let set = ada.hears_of("act");
    assert_eq!(set["said"], "Ada set the room: open, with a key: Kepler.");
    assert_eq!(
        (&set["topic"], &set["mode"], &set["has_key"]),
        (&json!("Kepler"), &json!("open"), &json!(true))
    );
    assert!(!set.to_string().contains("orbits"), "the key is a secret: {set}");
    let (_, welcome) = V1::comes_back(&school.server, &format!("/ws/{ROOM}?key=orbits"));
    let rules = &welcome["rules"];
    assert_eq!(
        (&rules["topic"], &rules["has_key"], &rules["pinned"]),
        (&json!("Kepler"), &json!(true), &json!(pinned))
    );
    does(&mut ada, &json!({"act": "unpin"}));
    ada.hears_of("act");
    let (_, welcome) = V1::comes_back(&school.server, &format!("/ws/{ROOM}?key=orbits"));
    assert!(welcome["rules"].get("pinned").is_none(), "{welcome}");
}

#[test]
fn rule_50_an_act_is_told_to_everyone_in_its_place_and_is_in_the_past() {
    let school = School::opens();
    let (mut ada, mut bob) = ada_and_bob(&school);
    let mut plain = school.server.joins(ROOM);
    let one = says(&mut ada, "one");
    bob.hears("one");
    does(&mut ada, &json!({"act": "pin", "message": one, "ref": "mine"}));
    ada.says("two");
    let (own, heard) = (ada.hears_of("act"), bob.hears_of("act"));
    assert_eq!((&own["ref"], heard.get("ref")), (&json!("mine"), None));
    assert_eq!((&heard["said"], &heard["act"]), (&json!("Ada pinned a message."), &json!("pin")));
    assert_eq!((&heard["message"], &heard["from"]["user"]), (&json!(one), &json!(school.ada.id)));
    let two = bob.hears("two")["id"].as_i64().unwrap();
    let id = heard["id"].as_i64().unwrap();
    assert!(one < id && id < two, "{one} {id} {two}");
    // A plain client would take it for something that somebody says.
    plain.hears("one");
    plain.hears("two");
    let past = past(&school);
    assert_eq!(kinds(&past), ["lead", "one", "pin", "two"]);
    assert_eq!((&past[2]["id"], &past[2]["said"]), (&json!(id), &heard["said"]));
    let mut plain =
        support::Client::connect(school.server.address(), &format!("/ws/{ROOM}?since=0"));
    plain.hears("one");
    plain.hears("two");
    let told = school.server.get(&format!("/rooms/{ROOM}/messages")).tells(200);
    let mut listed = told["messages"][2].clone();
    listed["type"] = "act".into();
    assert_eq!(listed, past[2]);
}

#[test]
fn rule_51_a_removed_message_is_gone_and_its_ref_is_still_known() {
    let school = School::opens();
    let (mut ada, mut bob) = ada_and_bob(&school);
    let [one, two] = ["one", "two"].map(|text| says(&mut bob, text));
    ada.says("three");
    bob.hears("three");
    does(&mut bob, &json!({"act": "remove", "message": one}));
    let act = bob.hears_of("act");
    assert_eq!(
        (&act["act"], &act["message"], &act["said"]),
        (&json!("remove"), &json!(one), &json!("Bob removed a message."))
    );
    let act = school.acts(&json!({"act": "remove", "message": two}));
    assert_eq!(bob.hears_of("act")["id"], act["id"]);
    assert_eq!(kinds(&past(&school)), ["lead", "three", "remove", "remove"]);
    let told = school.server.get(&format!("/rooms/{ROOM}/messages/{one}"));
    assert_eq!(told.status, 404);
    // What is sent again is not said again.
    bob.says_with_ref("one", "one");
    assert_eq!(bob.hears_of("kept")["id"], one);
    does(&mut bob, &json!({"act": "remove", "message": one}));
    assert_eq!(error(&mut bob), "unknown");
    bob.says("marker");
    for text in ["one", "two", "three"] {
        ada.hears(text);
    }
    for _ in 0..2 {
        assert_eq!(ada.hears_of("act")["act"], "remove");
    }
    ada.hears_nothing_before("marker");
}

#[test]
fn rule_52_a_cleared_room_is_empty_but_for_what_comes_later() {
    let school = School::opens();
    let (mut ada, mut bob) = ada_and_bob(&school);
    let one = says(&mut bob, "one");
    does(&mut ada, &json!({"act": "pin", "message": one}));
    does(&mut ada, &json!({"act": "clear"}));
    assert_eq!(bob.hears_of("act")["act"], "pin");
    let clear = bob.hears_of("act");
    assert_eq!(clear["said"], "Ada cleared the room.");
    says(&mut bob, "two");
    let past = past(&school);
    assert_eq!(kinds(&past), ["clear", "two"]);
    assert_eq!(past[0]["id"], clear["id"]);
    let (_, welcome) = school.is_joined_by(Who::Guest, "");
    assert!(welcome["rules"].get("pinned").is_none(), "what is gone is not pinned: {welcome}");
    bob.says_with_ref("one", "one");
    assert_eq!(bob.hears_of("kept")["id"], one);
}

#[test]
fn rule_53_only_leaders_act_and_authors_remove_what_is_theirs() {
    let school = School::opens();
    let (mut ada, mut bob) = ada_and_bob(&school);
    let (mut eve, welcome) = school.is_joined_by(Who::Guest, EVE);
    let eves = says(&mut eve, "by a guest");
    for act in [
        json!({"act": "remove", "message": eves}),
        json!({"act": "clear"}),
        json!({"act": "pin", "message": eves}),
        json!({"act": "unpin"}),
        on_member("mute", &welcome),
        on_member("unmute", &welcome),
        on_member("put-out", &welcome),
        json!({"act": "set", "topic": "mine"}),
        json!({"act": "end"}),
        json!({"act": "lower"}),
    ] {
        does(&mut bob, &act);
        let refused = bob.next_but("message");
        assert_eq!(
            (&refused["type"], &refused["code"], &refused["retry"]),
            (&json!("error"), &json!("not-leader"), &json!(false)),
            "{act}"
        );
    }
    // Of another room she is a leader, and here she is not.
    let (mut cyd, _) = school.is_joined_by(Who::OtherLeader, "");
    does(&mut cyd, &json!({"act": "clear"}));
    assert_eq!(error(&mut cyd), "not-leader");
    for (act, code) in [
        (json!({"act": "mute", "member": 999}), "unknown"),
        (json!({"act": "pin", "message": 7}), "unknown"),
        (json!({"act": "remove", "message": 7}), "unknown"),
    ] {
        does(&mut ada, &act);
        assert_eq!(ada.next_but("message")["code"], code, "{act}");
    }
    ada.does(&json!({"type": "act", "act": "dance"}));
    assert_eq!(error(&mut ada), "bad-event");
    ada.does(&json!({"type": "act", "act": "set", "key": "two words"}));
    assert_eq!(error(&mut ada), "bad-event");
    // A guest is known by the session.
    does(&mut eve, &json!({"act": "remove", "message": eves}));
    assert_eq!(
        eve.hears_of("act")["said"],
        format!("{} removed a message.", welcome["you"]["name"].as_str().unwrap())
    );
}

#[test]
fn rule_54_an_act_with_a_ref_is_done_once() {
    let school = School::opens();
    let (mut ada, mut bob) = ada_and_bob(&school);
    let set = json!({"act": "set", "topic": "Kepler", "ref": "r1"});
    does(&mut ada, &set);
    let done = ada.hears_of("act");
    does(&mut ada, &set);
    let kept = ada.hears_of("kept");
    assert_eq!((&kept["ref"], &kept["id"]), (&json!("r1"), &done["id"]));
    ada.says("marker");
    assert_eq!(bob.hears_of("act")["id"], done["id"]);
    bob.hears_nothing_before("marker");
}

#[test]
fn rule_55_who_is_muted_is_told_so_and_heard_by_nobody() {
    let school = School::opens();
    let (mut ada, mut bob) = ada_and_bob(&school);
    let (mut eve, welcome) = school.is_joined_by(Who::Guest, EVE);
    does(&mut ada, &on_member("mute", &welcome));
    let act = eve.hears_of("act");
    assert_eq!((&act["act"], &act["member"]), (&json!("mute"), &welcome["you"]["id"]));
    eve.says_with_ref("let me speak", "r1");
    let refused = eve.hears_of("error");
    assert_eq!(
        (&refused["code"], &refused["ref"], &refused["retry"]),
        (&json!("muted"), &json!("r1"), &json!(false))
    );
    eve.does(&json!({"type": "typing"}));
    // She is muted still when she comes back, and whoever comes sees it.
    drop(eve);
    let (mut eve, welcome) = school.is_joined_by(Who::Guest, EVE);
    assert_eq!(welcome["you"]["muted"], true, "{welcome}");
    eve.says("let me speak");
    assert_eq!(error(&mut eve), "muted");
    does(&mut ada, &on_member("unmute", &welcome));
    eve.hears_of("act");
    eve.says("thank you");
    assert_eq!(bob.hears_of("act")["act"], "mute");
    assert_eq!(bob.hears_of("act")["act"], "unmute");
    bob.hears_nothing_before("thank you");
}

#[test]
fn a_plain_client_that_is_muted_is_told_so_with_a_close() {
    let school = School::opens();
    let (mut ada, mut bob) = ada_and_bob(&school);
    let mut plain = school.server.joins(ROOM);
    let joined = loop {
        let event = ada.next();
        if event["type"] == "joined" && event["count"] == 3 {
            break event;
        }
    };
    let members = joined["members"].as_array().unwrap();
    let member = &members.last().unwrap()["id"];
    does(&mut ada, &json!({"act": "mute", "member": member}));
    bob.hears_of("act");
    plain.says("let me speak");
    assert_eq!(plain.is_told(1008), "a leader of this room has muted you");
    ada.says("marker");
    bob.hears_nothing_before("marker");
}

#[test]
fn rule_56_in_a_read_only_room_leaders_speak() {
    let school = School::opens();
    let (mut ada, mut bob) = ada_and_bob(&school);
    let mut plain = school.server.joins(ROOM);
    does(&mut ada, &json!({"act": "set", "mode": "read-only"}));
    assert_eq!(bob.hears_of("act")["said"], "Ada set the room: only leaders speak.");
    bob.says("me too");
    assert_eq!(error(&mut bob), "read-only");
    plain.says("me too");
    assert_eq!(plain.is_told(1008), "only leaders speak in this room");
    assert_eq!(school.asks(Who::User, "POST", "/rooms/physics", "me too").status, 403);
    assert_eq!(school.asks(Who::Owner, "POST", "/rooms/physics", "from the owner").status, 202);
    bob.hears("from the owner");
    ada.says("listen");
    bob.hears_nothing_before("listen");
    // Who is made a leader may speak at once, and who is one no longer may not.
    school.appoints(school.bob.id, ROOM);
    assert_eq!(bob.hears_of("act")["said"], "The owner made Bob a leader of this room.");
    bob.says("now I may");
    bob.hears("now I may");
    let path = format!("/rooms/{ROOM}/leaders/{}", school.bob.id);
    school.asks(Who::Owner, "DELETE", &path, "").tells(200);
    assert_eq!(bob.hears_of("act")["said"], "Bob no longer leads this room.");
    bob.says("and now");
    assert_eq!(error(&mut bob), "read-only");
    does(&mut ada, &json!({"act": "set", "mode": "open"}));
    bob.hears_of("act");
    bob.says("everybody");
    bob.hears("everybody");
}

#[test]
fn rule_57_who_is_put_out_is_told_why_and_the_others_too() {
    let school = School::opens();
    let (mut ada, mut bob) = ada_and_bob(&school);
    let (mut eve, eves_welcome) = school.is_joined_by(Who::Guest, EVE);
    // He is there twice.
    let (mut other, welcome) = school.is_joined_by(Who::User, "");
    let act =
        json!({"act": "put-out", "member": welcome["you"]["id"], "minutes": 5, "reason": "spam"});
    does(&mut ada, &act);
    for tab in [&mut bob, &mut other] {
        assert_eq!(tab.hears_of("act")["said"], "Ada put Bob out for 5 minutes: spam.");
        assert_eq!(
            tab.client.is_told(1008),
            "Ada put you out: spam. You may come back in 5 minutes."
        );
    }
    assert_eq!(school.shakes_hands(Who::User, "/ws/physics"), 403);
    assert_eq!(school.shakes_hands(Who::User, "/ws/elsewhere"), 101);
    ada.hears_of("act");
    ada.says("marker");
    ada.hears("marker");
    // A reason that a Close has no space for is cut, but not the time.
    let member = &eves_welcome["you"]["id"];
    let act = json!({"act": "put-out", "member": member, "reason": "é".repeat(120)});
    does(&mut ada, &act);
    let reason = eve.client.is_told(1008);
    assert!(
        reason.starts_with("Ada put you out: éé")
            && reason.ends_with("You may come back in 10 minutes."),
        "{reason}"
    );
}

#[test]
fn rule_58_at_the_end_of_class_everyone_but_the_leaders_goes() {
    let school = School::opens();
    let (mut ada, mut bob) = ada_and_bob(&school);
    let mut plain = school.server.joins(ROOM);
    does(&mut ada, &json!({"act": "end"}));
    assert_eq!(bob.hears_of("act")["said"], "Ada ended the class.");
    assert_eq!(bob.client.is_told(1008), "The class is over.");
    assert_eq!(plain.is_told(1008), "The class is over.");
    ada.hears_of("act");
    ada.says("alone");
    ada.hears("alone");
    for who in [Who::Guest, Who::User] {
        assert_eq!(school.shakes_hands(who, "/ws/physics"), 403, "{who:?}");
    }
    let again = school.is_joined_by(Who::Leader, ADA).1;
    assert_eq!(again["rules"]["mode"], "closed");
}

#[test]
fn every_act_is_logged_without_what_was_written() {
    let options = ["--admin-token", OWNER, "--max-new-users", "0"];
    let program = support::Program::start_plainly(&options);
    let asks = |method: &str, path: &str, body: &str| {
        let field = support::bearer(OWNER);
        let asked = support::request_with_json(method, path, &[&field], body);
        support::Visitor::over(support::Way::Plain.connects(program.address()))
            .asks(asked)
            .tells(200)
    };
    asks("PUT", "/rooms/physics", r#"{"topic":"a-topic","key":"a-key"}"#);
    program.logs("room physics: set");
    asks("POST", "/rooms/physics/acts", r#"{"act":"end"}"#);
    program.logs("room physics: end");
    for secret in ["a-topic", "a-key"] {
        assert!(!program.has_logged(secret), "{secret} is in the log");
    }
}

#[test]
fn rule_61_with_the_history_off_nothing_that_is_said_stays() {
    let school = School::opens();
    let (mut ada, mut bob) = ada_and_bob(&school);
    let one = says(&mut bob, "one");
    does(&mut ada, &json!({"act": "set", "history": false}));
    assert_eq!(bob.hears_of("act")["said"], "Ada set the room: open, and messages are not kept.");
    let two = says(&mut bob, "two");
    ada.hears("one");
    ada.hears_of("act");
    ada.hears("two");
    school.says("from a script");
    bob.hears("from a script");
    assert_eq!(kinds(&past(&school)), ["lead", "one", "set"]);
    // What was meant to be kept is all there; what comes back to later may be missing.
    let comes_back = |since: i64| {
        let path = format!("/ws/{ROOM}?since={since}");
        let (mut eve, welcome) = V1::comes_back(&school.server, &path);
        (welcome["history"].clone(), eve.hears_the_past().1["complete"].clone())
    };
    assert_eq!(comes_back(one), (json!(0), json!(false)));
    let told = school.server.get(&format!("/rooms/{ROOM}/messages?since={one}")).tells(200);
    assert_eq!(told["complete"], false);
    // No ref is known: it is said again.
    bob.says_with_ref("two", "two");
    assert!(id(&bob.hears("two")) > two);
    does(&mut ada, &json!({"act": "set", "history": true}));
    let act = id(&bob.hears_of("act"));
    support::until("the next millisecond", || id_of_now() > act + 1000);
    let three = says(&mut bob, "three");
    assert_eq!(comes_back(two), (json!(100), json!(false)));
    assert_eq!(comes_back(three), (json!(100), json!(true)));
    assert_eq!(kinds(&past(&school)), ["lead", "one", "set", "set", "three"]);
}

fn id(event: &Value) -> i64 {
    event["id"].as_i64().expect("an id")
}

/// The id that a message would have now.
fn id_of_now() -> i64 {
    wsroom::protocol::message::now()
}
