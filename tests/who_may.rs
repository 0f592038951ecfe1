//! Who may do what: every address against everybody who might ask, and every handshake.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use support::school::{EVERYBODY, ROOM, School, Who};
use support::{Server, V1};

/// What is asked for, and the status for everybody in their order: a guest, somebody with a key that
/// is nobody's, a user, the room's leader, another room's leader, and the owner. `{user}` is a new
/// user, `{leader}` a new leader of the room, `{message}` a new message in it, and `{member}` somebody
/// who is there.
const ROUTES: &[(&str, [u16; 6])] = &[
    ("GET /", [200; 6]),
    ("GET /healthz", [200; 6]),
    // From this host; tests/metrics.rs has the others.
    ("GET /metrics", [200; 6]),
    ("GET /invitation?page=http://a/&room=physics", [200; 6]),
    ("GET /users", [200; 6]),
    (r#"POST /users {"name":"Dan"}"#, [201; 6]),
    ("GET /users/{user}", [200; 6]),
    (r#"PUT /users/{user} {"name":"Dan"}"#, [401, 401, 403, 403, 403, 200]),
    ("DELETE /users/{user}", [401, 401, 403, 403, 403, 204]),
    ("GET /users/me", [401, 401, 200, 200, 200, 401]),
    (r#"PUT /users/me {"name":"Dan"}"#, [401, 401, 200, 200, 200, 401]),
    ("DELETE /users/me", [401, 401, 204, 204, 204, 401]),
    ("GET /rooms", [200; 6]),
    ("GET /rooms/physics", [200; 6]),
    ("POST /rooms/physics hello", [202, 401, 202, 202, 202, 202]),
    (r#"PUT /rooms/physics {"topic":"Kepler"}"#, [401, 401, 403, 200, 403, 200]),
    ("GET /rooms/physics/members", [200; 6]),
    ("GET /rooms/physics/messages", [200; 6]),
    ("DELETE /rooms/physics/messages", [401, 401, 403, 200, 403, 200]),
    ("GET /rooms/physics/messages/{message}", [200; 6]),
    ("DELETE /rooms/physics/messages/{message}", [401, 401, 403, 200, 403, 200]),
    ("PUT /rooms/physics/leaders/{user}", [401, 401, 403, 403, 403, 200]),
    ("DELETE /rooms/physics/leaders/{leader}", [401, 401, 403, 403, 403, 200]),
    (r#"POST /rooms/physics/acts {"act":"remove","message":{message}}"#, LEADERS),
    (r#"POST /rooms/physics/acts {"act":"clear"}"#, LEADERS),
    (r#"POST /rooms/physics/acts {"act":"pin","message":{message}}"#, LEADERS),
    (r#"POST /rooms/physics/acts {"act":"unpin"}"#, LEADERS),
    (r#"POST /rooms/physics/acts {"act":"mute","member":{member}}"#, LEADERS),
    (r#"POST /rooms/physics/acts {"act":"unmute","member":{member}}"#, LEADERS),
    (r#"POST /rooms/physics/acts {"act":"put-out","member":{member}}"#, LEADERS),
    (r#"POST /rooms/physics/acts {"act":"set","mode":"read-only"}"#, LEADERS),
    (r#"POST /rooms/physics/acts {"act":"lower"}"#, LEADERS),
    (r#"POST /rooms/physics/acts {"act":"end"}"#, LEADERS),
];

const LEADERS: [u16; 6] = [401, 401, 403, 200, 403, 200];

/// Brings what a request of the table needs, and fills it in. The member stays as long as they are held.
fn prepare(school: &School, asked: &str) -> (String, Option<V1>) {
    let (mut asked, mut member) = (asked.to_owned(), None);
    if asked.contains("{user}") {
        asked = asked.replace("{user}", &school.server.enters("Eve").id.to_string());
    }
    if asked.contains("{leader}") {
        let eve = school.server.enters("Eve").id;
        school.appoints(eve, ROOM);
        asked = asked.replace("{leader}", &eve.to_string());
    }
    if asked.contains("{message}") {
        asked = asked.replace("{message}", &school.says("hello").to_string());
    }
    if asked.contains("{member}") {
        let eve = school.server.enters("Eve");
        let (v1, welcome) = V1::joins_with(&school.server, "/ws/physics", &eve.bearer());
        asked = asked.replace("{member}", &welcome["you"]["id"].to_string());
        member = Some(v1);
    }
    (asked, member)
}

/// Method, path and body.
fn parts(asked: &str) -> (&str, &str, &str) {
    let mut parts = asked.splitn(3, ' ');
    let mut next = || parts.next().unwrap_or_default();
    (next(), next(), next())
}

#[test]
fn each_address_is_for_those_who_may_use_it() {
    for (asked, statuses) in ROUTES {
        for (who, status) in EVERYBODY.into_iter().zip(statuses) {
            let school = School::opens();
            let (asked, _member) = prepare(&school, asked);
            let (method, path, body) = parts(&asked);
            let answer = school.asks(who, method, path, body);
            assert_eq!(answer.status, *status, "{who:?} {asked} {}", answer.body);
            let challenge = answer.field("WWW-Authenticate");
            assert_eq!(challenge.is_some(), *status == 401, "{who:?} {asked}");
            if *status >= 400 {
                answer.has_a_problem(*status);
            }
        }
    }
}

/// Else an address could be added, and nobody would ask who may use it.
#[test]
fn the_table_has_every_method_of_every_address() {
    let school = School::opens();
    let mut methods: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (asked, _) in ROUTES {
        let (method, path, _) = parts(asked);
        // A leader is a user.
        let path = path.split('?').next().unwrap().replace("{leader}", "{user}");
        let methods = methods.entry(path).or_default();
        methods.insert(method);
        if method == "GET" {
            methods.insert("HEAD");
        }
    }
    // Users have one address with their number, and another one of their own.
    let own = methods.remove("/users/me").unwrap();
    assert_eq!(Some(&own), methods.get("/users/{user}"));
    for (path, methods) in methods {
        let path = path.replace(['{', '}'], "");
        let answer = school.asks(Who::Owner, "PATCH", &path, "");
        assert_eq!(answer.status, 405, "{path}");
        let allowed: BTreeSet<_> = answer.field("Allow").expect("a field").split(", ").collect();
        assert_eq!(allowed, methods, "{path}");
    }
}

/// What a client of `wsroom.v1` asks for that only a leader may do.
const ACTS: &[&str] = &[
    r#"{"type":"act","act":"remove","message":{message}}"#,
    r#"{"type":"act","act":"clear"}"#,
    r#"{"type":"act","act":"pin","message":{message}}"#,
    r#"{"type":"act","act":"unpin"}"#,
    r#"{"type":"act","act":"mute","member":{member}}"#,
    r#"{"type":"act","act":"unmute","member":{member}}"#,
    r#"{"type":"act","act":"put-out","member":{member}}"#,
    r#"{"type":"act","act":"set","topic":"Kepler"}"#,
    r#"{"type":"act","act":"lower"}"#,
    r#"{"type":"act","act":"end"}"#,
];

#[test]
fn each_act_is_for_those_who_lead_the_room() {
    for asked in ACTS {
        for who in [Who::Guest, Who::User, Who::Leader, Who::OtherLeader] {
            let school = School::opens();
            let (asked, _member) = prepare(&school, asked);
            let (mut v1, _) = school.is_joined_by(who, "");
            let mut event: Value = serde_json::from_str(&asked).unwrap();
            event["ref"] = json!("r1");
            v1.does(&event);
            let answer = v1.hears_the_answer("r1");
            if who == Who::Leader {
                assert_eq!((&answer["type"], &answer["act"]), (&json!("act"), &event["act"]));
            } else {
                assert_eq!(answer["code"], "not-leader", "{who:?} {asked}");
            }
        }
    }
}

const KEY: &str = "two-bodies";

/// What needs the key of a room that has one.
const INSIDE: &[&str] = &[
    "GET /rooms/physics",
    "GET /rooms/physics/members",
    "GET /rooms/physics/messages",
    "GET /rooms/physics/messages/{message}",
    "POST /rooms/physics hello",
];

#[test]
fn a_room_with_a_key_is_for_those_who_know_it() {
    let school = School::opens();
    school.sets(&json!({"key": KEY}));
    for who in EVERYBODY {
        let leads = matches!(who, Who::Leader | Who::Owner);
        for (key, is_good) in [("", leads), ("wrong-key", leads), (KEY, true)] {
            let query = if key.is_empty() { String::new() } else { format!("?key={key}") };
            for asked in INSIDE {
                let (asked, _) = prepare(&school, asked);
                let (method, path, body) = parts(&asked);
                let in_query = school.asks(who, method, &format!("{path}{query}"), body);
                let field = format!("Room-Key: {key}");
                let fields = if key.is_empty() { vec![] } else { vec![field.as_str()] };
                let in_field = school.asks_with(who, method, path, &fields, body);
                let is_admitted = is_good && !(who == Who::Stranger && method == "POST");
                let status = match (is_admitted, method) {
                    (false, "POST") if who == Who::Stranger => 401,
                    (false, _) => 403,
                    (true, "POST") => 202,
                    (true, _) => 200,
                };
                assert_eq!(in_query.status, status, "{who:?} {asked} {key:?} {}", in_query.body);
                assert_eq!(in_field.status, status, "{who:?} {asked} {key:?} in a field");
            }
            // A plain handshake with a key that is nobody's is a mistake; the owner is no user.
            let status = match who {
                Who::Stranger | Who::Owner => 401,
                _ if is_good => 101,
                _ => 403,
            };
            let path = format!("/ws/physics{query}");
            assert_eq!(school.shakes_hands(who, &path), status, "{who:?} {path}");
        }
    }
}

#[test]
fn a_closed_room_lets_nobody_new_in() {
    let school = School::opens();
    school.sets(&json!({"mode": "closed"}));
    for (who, status) in
        [(Who::Guest, 403), (Who::User, 403), (Who::Leader, 101), (Who::OtherLeader, 403)]
    {
        assert_eq!(school.shakes_hands(who, "/ws/physics"), status, "{who:?}");
        let status = if status == 101 { 200 } else { 403 };
        assert_eq!(school.asks(who, "GET", "/rooms/physics/messages", "").status, status);
    }
    assert_eq!(school.asks(Who::Owner, "GET", "/rooms/physics/messages", "").status, 200);
    school.sets(&json!({"mode": "open"}));
    assert_eq!(school.shakes_hands(Who::Guest, "/ws/physics"), 101);
}

#[test]
fn a_room_without_rules_is_open_to_everyone() {
    let server = Server::start();
    let told = server.get("/rooms/anywhere?key=what-key").tells(200);
    let rules =
        json!({"topic": "", "mode": "open", "has_key": false, "history": true, "leaders": []});
    assert_eq!(told, json!({"room": "anywhere", "members": 0, "last": 0, "rules": rules}));
    server.is_visited().upgrades("/ws/anywhere?key=what-key");
}
