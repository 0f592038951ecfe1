//! The rules of a room hold: who is kept out is told why, who was in may come back, a restart
//! forgets nothing, and no key is ever logged.

mod support;

use serde_json::{Value, json};
use support::school::{OWNER, School, Who, on_member, reason};
use support::{Client, Program, Way, bearer, named, request, request_with_json};

const KEY: &str = "two-bodies";
const EVE: &str = "eve-0123456789abcdef";
const DAN: &str = "dan-0123456789abcdef";

/// Why a guest may not enter, in words and in a word.
fn is_kept_out(school: &School, query: &str) -> Value {
    assert_eq!(school.shakes_hands(Who::Guest, &format!("/ws/physics{query}")), 403);
    let answer = school.asks(Who::Guest, "GET", &format!("/rooms/physics{query}"), "");
    answer.has_a_problem(403);
    reason(&answer)
}

#[test]
fn a_page_can_ask_why_its_handshake_was_refused() {
    let school = School::opens();
    school.sets(&json!({"key": KEY}));
    assert_eq!(is_kept_out(&school, ""), "room-key");
    assert_eq!(is_kept_out(&school, "?key=wrong"), "room-key");
    school.sets(&json!({"key": "", "mode": "closed"}));
    assert_eq!(is_kept_out(&school, ""), "closed");
    school.sets(&json!({"mode": "open"}));
    let (_eve, welcome) = school.is_joined_by(Who::Guest, EVE);
    school.acts(&on_member("put-out", &welcome));
    assert_eq!(is_kept_out(&school, &format!("?session={EVE}")), "put-out");
    // A stranger who does not know the key learns nothing else.
    school.sets(&json!({"key": KEY, "mode": "closed"}));
    assert_eq!(is_kept_out(&school, &format!("?session={EVE}")), "room-key");
}

#[test]
fn a_refused_handshake_says_why_in_words() {
    let school = School::opens();
    school.sets(&json!({"key": KEY}));
    let answer = school.server.is_visited().asks(support::handshake("/ws/physics"));
    assert!(answer.refuses_with(403).body.contains("?key="), "{}", answer.body);
    let answer = school.server.is_visited().asks(support::handshake("/ws/physics?key=x"));
    assert!(answer.refuses_with(403).body.contains("not the key"), "{}", answer.body);
}

#[test]
fn those_who_were_in_when_a_room_was_closed_may_come_back() {
    let school = School::opens();
    let (eve, _) = school.is_joined_by(Who::Guest, EVE);
    let (bob, _) = school.is_joined_by(Who::User, "");
    school.sets(&json!({"mode": "closed"}));
    eve.client.vanishes();
    bob.client.vanishes();
    school.is_joined_by(Who::Guest, EVE).0.says("back again");
    school.is_joined_by(Who::User, "").0.says("me too");
    assert_eq!(is_kept_out(&school, &format!("?session={DAN}")), "closed");
    // They may read, too, as long as they say who they are.
    let path = format!("/rooms/physics/messages?session={EVE}");
    assert_eq!(school.asks(Who::Guest, "GET", &path, "").status, 200);
    // A room that was opened in between has new members.
    school.sets(&json!({"mode": "open"}));
    school.is_joined_by(Who::Guest, DAN).0.client.leaves();
    school.sets(&json!({"mode": "closed"}));
    assert_eq!(is_kept_out(&school, &format!("?session={DAN}")), "closed");
}

#[test]
fn a_guest_who_was_put_out_stays_out_and_so_do_newcomers_from_there() {
    let school = School::opens();
    let (mut eve, welcome) = school.is_joined_by(Who::Guest, EVE);
    let (dan, _) = school.is_joined_by(Who::Guest, DAN);
    let mut act = on_member("put-out", &welcome);
    act["reason"] = json!("spam");
    school.acts(&act);
    let told = eve.client.is_told(1008);
    assert!(told.contains("spam") && told.contains("10 minutes"), "{told}");
    assert_eq!(is_kept_out(&school, &format!("?session={EVE}")), "put-out");
    assert_eq!(is_kept_out(&school, "?session=another-0123456789"), "put-out");
    assert_eq!(is_kept_out(&school, ""), "put-out");
    // Whoever sits beside them is not sent away, nor kept from coming back.
    dan.client.vanishes();
    let (mut dan, _) = school.is_joined_by(Who::Guest, DAN);
    dan.says("still here");
    dan.hears("still here");
    // Other rooms have their own rules, and so have leaders.
    assert_eq!(school.shakes_hands(Who::Guest, "/ws/chemistry"), 101);
    assert_eq!(school.shakes_hands(Who::Leader, "/ws/physics"), 101);
    assert_eq!(school.asks(Who::Guest, "POST", "/rooms/physics", "hello").status, 403);
}

#[test]
fn a_user_who_was_put_out_for_no_time_may_come_back_at_once() {
    let school = School::opens();
    let (mut bob, welcome) = school.is_joined_by(Who::User, "");
    let mut act = on_member("put-out", &welcome);
    act["minutes"] = json!(0);
    school.acts(&act);
    bob.client.is_told(1008);
    let (mut bob, welcome) = school.is_joined_by(Who::User, "");
    school.acts(&on_member("put-out", &welcome));
    bob.client.is_told(1008);
    assert_eq!(school.shakes_hands(Who::User, "/ws/physics"), 403);
    // Nor does he come back as a guest, or as another user.
    assert_eq!(is_kept_out(&school, ""), "put-out");
    assert_eq!(school.shakes_hands(Who::OtherLeader, "/ws/physics"), 403);
    assert_eq!(school.shakes_hands(Who::Leader, "/ws/physics"), 101);
}

#[test]
fn a_script_speaks_where_it_may_speak() {
    let school = School::opens();
    let posts = |who| school.asks(who, "POST", "/rooms/physics", "hello");
    school.sets(&json!({"mode": "read-only"}));
    for who in [Who::Guest, Who::User, Who::OtherLeader] {
        assert_eq!(reason(posts(who).has_a_problem(403)), "read-only");
    }
    assert_eq!((posts(Who::Leader).status, posts(Who::Owner).status), (202, 202));
    school.sets(&json!({"mode": "open"}));
    let (_bob, welcome) = school.is_joined_by(Who::User, "");
    school.acts(&on_member("mute", &welcome));
    assert_eq!(reason(posts(Who::User).has_a_problem(403)), "muted");
    assert_eq!(posts(Who::Guest).status, 202);
    school.acts(&on_member("unmute", &welcome));
    assert_eq!(posts(Who::User).status, 202);
}

#[test]
fn an_author_removes_an_own_message_and_no_other() {
    let school = School::opens();
    let say = |who| school.asks(who, "POST", "/rooms/physics", "hello").tells(202)["id"].clone();
    let (by_bob, by_ada) = (say(Who::User), say(Who::Leader));
    let remove = |who, id: &Value| {
        school.asks(who, "DELETE", &format!("/rooms/physics/messages/{id}"), "").status
    };
    assert_eq!(remove(Who::User, &by_ada), 403);
    assert_eq!(remove(Who::OtherLeader, &by_bob), 403);
    assert_eq!(remove(Who::User, &by_bob), 200);
    assert_eq!(remove(Who::Leader, &by_bob), 404);
    let read = school.asks(Who::Guest, "GET", "/rooms/physics/messages", "").tells(200);
    let ids: Vec<_> = read["messages"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert!(ids.contains(&&by_ada) && !ids.contains(&&by_bob), "{read}");
}

#[test]
fn a_wrong_setting_is_answered_and_changes_nothing() {
    let school = School::opens();
    let before = school.sets(&json!({"topic": "Kepler"}));
    let put = |body: &str| school.asks(Who::Leader, "PUT", "/rooms/physics", body);
    for body in [
        "{}",
        "{",
        r#"{"mode":"shut"}"#,
        r#"{"mode":7}"#,
        r#"{"topic":"a\nb"}"#,
        r#"{"topic":"\u202eadA"}"#,
        r#"{"key":"two words"}"#,
        r#"{"history":"no"}"#,
        r#"{"colour":"red"}"#,
        &json!({"topic": "x".repeat(1000)}).to_string(),
        &json!({"key": "x".repeat(65)}).to_string(),
    ] {
        put(body).has_a_problem(400);
    }
    put(&json!({"topic": "x".repeat(5000)}).to_string()).has_a_problem(413);
    put("a text").has_a_problem(415);
    let act = |body: &str| school.asks(Who::Leader, "POST", "/rooms/physics/acts", body);
    for body in ["{", r#"{"act":"dance"}"#, r#"{"act":"mute"}"#, r#"{"act":"lead","user":1}"#] {
        act(body).has_a_problem(400);
    }
    for body in [r#"{"act":"mute","member":999}"#, r#"{"act":"pin","message":7}"#] {
        act(body).has_a_problem(404);
    }
    act("unpin").has_a_problem(415);
    for (method, path, status) in [
        ("PUT", "/rooms/physics/leaders/999", 404),
        ("PUT", "/rooms/physics/leaders/x", 404),
        ("DELETE", "/rooms/physics/leaders/999", 404),
        ("DELETE", "/rooms/physics/messages/7", 404),
        ("DELETE", "/rooms/physics/messages/x", 400),
        ("PUT", "/rooms/two%20words/leaders/1", 400),
    ] {
        school.asks(Who::Owner, method, path, "").has_a_problem(status);
    }
    let told = school.asks(Who::Guest, "GET", "/rooms/physics", "").tells(200);
    assert_eq!(told["rules"], before);
}

#[test]
fn a_form_is_as_good_as_json() {
    let school = School::opens();
    let key = school.ada.bearer();
    let fields = [key.as_str(), "Content-Type: application/x-www-form-urlencoded"];
    let body = "topic=Two+bodies%3A+Kepler&mode=read-only&history=false";
    let asked = request("PUT", "/rooms/physics", &fields, body);
    let rules = school.server.is_visited().asks(asked).tells(200);
    assert_eq!(rules["topic"], "Two bodies: Kepler");
    assert_eq!((&rules["mode"], &rules["history"]), (&json!("read-only"), &json!(false)));
    assert_eq!(rules["leaders"], json!([{"user": school.ada.id, "name": "Ada"}]));
}

#[test]
fn guessing_a_key_takes_for_ever() {
    let school = School::opens();
    school.sets(&json!({"key": KEY}));
    let guess = |key: &str| {
        school.asks(Who::Guest, "GET", &format!("/rooms/physics/messages?key={key}"), "")
    };
    for number in 0..60 {
        guess(&format!("guess-{number}")).has_a_problem(403);
    }
    let answer = guess("guess-60");
    assert!(answer.has_a_problem(429).field("Retry-After").is_some());
    assert_eq!(guess(KEY).status, 429, "else the right guess would be told");
    assert_eq!(school.shakes_hands(Who::User, &format!("/ws/physics?key={KEY}")), 429);
    // A leader needs no key, and nobody is kept out of other rooms.
    assert_eq!(school.shakes_hands(Who::Leader, "/ws/physics?key=wrong"), 101);
    assert_eq!(school.shakes_hands(Who::Guest, "/ws/chemistry?key=any"), 101);
}

#[test]
fn the_list_of_rooms_tells_nothing_of_what_is_behind_a_key() {
    let school = School::opens();
    school.says("hello");
    school.sets(&json!({"topic": "Kepler", "mode": "read-only"}));
    let physics = || {
        let rooms = school.server.get("/rooms").tells(200);
        let rooms = rooms["rooms"].as_array().unwrap().clone();
        rooms.into_iter().find(|room| room["name"] == "physics").expect("the room")
    };
    let told = physics();
    assert_eq!((&told["topic"], &told["mode"]), (&json!("Kepler"), &json!("read-only")));
    school.sets(&json!({"key": KEY}));
    let told = physics();
    assert_eq!(told["has_key"], true);
    assert!(told.get("topic").is_none() && told.get("mode").is_none(), "{told}");
}

/// The program with a file, and its answer to a request of its owner.
fn asks(program: &Program, key: &str, method: &str, path: &str, body: &str) -> support::Answer {
    program.is_visited().asks(request_with_json(method, path, &[&bearer(key)], body))
}

#[test]
fn a_restart_forgets_no_rule_and_the_log_has_no_key() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept").display().to_string();
    let options = ["-vv", "--admin-token", OWNER, "--data", &file];
    let program = Program::start(&options);
    let made = program.is_visited().asks(request_with_json("POST", "/users", &[], &named("Ada")));
    let made = made.tells(201);
    let ada = made["key"].as_str().unwrap();
    let leader = format!("/rooms/physics/leaders/{}", made["id"]);
    asks(&program, OWNER, "PUT", &leader, "").tells(200);
    let settings = json!({"key": KEY, "topic": "Kepler"}).to_string();
    asks(&program, ada, "PUT", "/rooms/physics", &settings).tells(200);
    program.gets_signal("TERM");
    let (_, first) = program.ends();

    let program = Program::start(&options);
    let guest = |path: &str| {
        program.is_visited().asks(request("GET", path, &["Room-Key: wrong-in-a-field"], ""))
    };
    assert_eq!(guest("/rooms/physics").status, 403);
    assert_eq!(guest("/rooms/physics/messages?key=wrong-in-a-query").status, 403);
    let answer = program.is_visited().asks(support::handshake("/ws/physics?key=wrong-at-the-door"));
    assert_eq!(answer.status, 403);
    let mut eve = program.connects(&format!("/ws/physics?key={KEY}"));
    let told = asks(&program, ada, "GET", "/rooms/physics", "").tells(200);
    assert_eq!(told["rules"]["topic"], "Kepler");
    asks(&program, ada, "POST", "/rooms/physics/acts", r#"{"act":"set","key":""}"#).tells(200);
    assert_eq!(guest("/rooms/physics").tells(200)["rules"]["has_key"], false);
    eve.says("hello");
    eve.hears("hello");
    drop(eve);
    program.gets_signal("TERM");
    let (_, second) = program.ends();
    for log in [first, second] {
        for secret in [KEY, "wrong-in", "wrong-at", ada, OWNER] {
            assert!(!log.contains(secret), "{secret} is in the log: {log}");
        }
        assert!(!log.contains("Kepler"), "an act is logged without its content: {log}");
    }
}

/// A put-out goes on after a restart, in its own time.
#[test]
fn a_restart_lets_nobody_back_in() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kept").display().to_string();
    let options = ["-q", "--admin-token", OWNER, "--data", &file];
    let program = Program::start(&options);
    let made = program.is_visited().asks(request_with_json("POST", "/users", &[], &named("Bob")));
    let made = made.tells(201);
    let bob = made["key"].as_str().unwrap();
    let line = Way::of_this_run().connects(program.address());
    let (mut client, _) = Client::offering_with(line, "/ws/physics", &[], Some(&bearer(bob)));
    let here = asks(&program, bob, "GET", "/rooms/physics/members", "").tells(200);
    let act = json!({"act": "put-out", "member": here["members"][0]["id"]}).to_string();
    asks(&program, OWNER, "POST", "/rooms/physics/acts", &act).tells(200);
    client.is_told(1008);
    program.gets_signal("TERM");
    program.ends();

    let program = Program::start(&options);
    let answer = asks(&program, bob, "GET", "/rooms/physics", "");
    assert_eq!(reason(answer.has_a_problem(403)), "put-out");
    let guest = program.is_visited().asks(support::request("GET", "/rooms/physics", &[], ""));
    assert_eq!(reason(guest.has_a_problem(403)), "put-out");
    program.joins("chemistry").says("another room");
}
