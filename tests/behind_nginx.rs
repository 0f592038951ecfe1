//! Several servers on one Redis stand behind one nginx, as the README sets it up, and are one server
//! to its clients.

mod support;

use std::net::SocketAddr;

use serde_json::Value;
use support::redis::RedisServer;
use support::{
    Answer, Nginx, Program, Traveller, V1, Visitor, Way, is_whole, named, request, until,
};

/// Three servers, their Redis, and the nginx in front of them.
struct Site {
    nginx: Nginx,
    programs: [Program; 3],
    _redis: RedisServer,
}

impl Site {
    fn opens() -> Self {
        let redis = RedisServer::start();
        let url = redis.url();
        let options = ["-q", "--history", "100000", "--data", url.secret()];
        let programs = [(); 3].map(|()| Program::start_plainly(&options));
        let nginx = Nginx::shares_out(&programs.each_ref().map(Program::address));
        Self { nginx, programs, _redis: redis }
    }

    fn joins(&self) -> V1 {
        V1::over(Way::Plain.connects(self.nginx.address()), "/ws/a").0
    }

    /// The answer to a request that goes through nginx.
    fn answers(&self, method: &str, path: &str, fields: &[&str], body: &str) -> Answer {
        asks(
            self.nginx.address(),
            request(method, path, &[fields, &["Connection: close"]].concat(), body),
        )
    }

    /// How many clients each of these servers has.
    fn shares<const N: usize>(&self, numbers: [usize; N]) -> [u64; N] {
        numbers.map(|number| {
            let health = asks(self.programs[number].address(), request("GET", "/healthz", &[], ""));
            health.tells(200)["clients_here"].as_u64().expect("a number")
        })
    }
}

fn asks(address: SocketAddr, request: Vec<u8>) -> Answer {
    Visitor::over(Way::Plain.connects(address)).asks(request)
}

#[test]
fn clients_are_shared_out_and_hear_the_same() {
    const EACH: usize = 5;
    let site = Site::opens();
    let mut crowd: Vec<_> = (0..12).map(|_| site.joins()).collect();
    assert_eq!(site.shares([0, 1, 2]), [4, 4, 4]);
    for round in 0..EACH {
        for (number, one) in crowd.iter_mut().enumerate() {
            one.says(&format!("{number} {round}"));
        }
    }
    let all = crowd.len() * EACH;
    let mut hear = |one: &mut V1| -> Vec<Value> {
        (0..all).map(|_| one.hears_of("message")).map(|event| event["text"].clone()).collect()
    };
    let heard: Vec<_> = crowd.iter_mut().map(&mut hear).collect();
    for other in &heard[1..] {
        assert_eq!(other, &heard[0]);
    }
}

#[test]
fn when_a_server_is_killed_its_clients_go_on_at_the_others() {
    const EACH: usize = 20;
    let mut site = Site::opens();
    let places = [site.nginx.address()];
    let names = ["ada", "bob", "carol", "dave", "eve", "frank"];
    let mut all = names.map(|name| Traveller::new(name, 0));
    all.iter_mut().for_each(|one| one.comes_back(&places));
    assert_eq!(site.shares([0, 1, 2]), [2, 2, 2]);
    for number in 0..EACH {
        for (one, name) in all.iter_mut().zip(names) {
            one.says(format!("{name} {number}"));
        }
        if number == EACH / 2 {
            site.programs[0].process.kill().unwrap();
            site.programs[0].process.wait().unwrap();
        }
    }
    all.iter_mut().for_each(|one| one.hears_until(&places, |one| one.unanswered.is_empty()));
    all[0].says("the end".to_owned());
    all.iter_mut().for_each(|one| one.hears_the_end(&places, "the end"));
    is_whole(&all.each_ref(), &names, EACH);
    assert_eq!(site.shares([1, 2]).iter().sum::<u64>(), 6);
}

#[test]
fn files_users_and_posts_pass_through_it() {
    let site = Site::opens();
    let mut ada = site.joins();
    let page = site.answers("GET", "/", &[], "");
    assert_eq!((page.status, page.body.as_str()), (200, include_str!("../static/index.html")));
    page.is_sound();
    let script = site.answers("GET", "/app.js", &[], "");
    assert_eq!((script.status, script.body.as_str()), (200, include_str!("../static/app.js")));
    let json = ["Content-Type: application/json"];
    let user = site.answers("POST", "/users", &json, &named("Ada")).tells(201);
    // Each of these may be answered by another server.
    let bearer = support::bearer(user["key"].as_str().expect("a key"));
    for _ in 0..3 {
        let me = site.answers("GET", "/users/me", &[&bearer], "").tells(200);
        assert_eq!(me["id"], user["id"]);
    }
    for text in ["one", "two", "three"] {
        let fields = [bearer.as_str(), "Content-Type: text/plain"];
        site.answers("POST", "/rooms/a", &fields, text).tells(202);
        assert_eq!(ada.hears(text)["from"]["name"], "Ada");
    }
    // Another server may be told of the last one a moment later.
    until("all servers to know all three", || {
        let past = site.answers("GET", "/rooms/a/messages", &[], "").tells(200);
        past["messages"].as_array().is_some_and(|messages| messages.len() == 3)
    });
    site.answers("GET", "/nowhere", &[], "").refuses_with(404);
}
