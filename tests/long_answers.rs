//! What is read over HTTP has a bound, for one answer and for all that are under way together.

mod support;

use serde_json::Value;
use support::{Answer, Program, Server, Visitor, request, until};

const KIB: u64 = 1 << 10;

/// Bytes of one answer, and of all that are under way.
const ANSWER: usize = 1 << 20;
const ANSWERS: usize = 16 << 20;

/// Each becomes `\u0001` in JSON: six bytes for one.
static HOSTILE: [u8; 64 << 10] = [1; 64 << 10];

fn get(path: &str) -> Vec<u8> {
    request("GET", path, &[], "")
}

fn posts(mut visitor: Visitor, media_type: &str, body: &[u8]) {
    let fields = [&*format!("Content-Type: {media_type}")];
    assert_eq!(visitor.asks(request("POST", "/rooms/a", &fields, body)).status, 202);
}

/// What an answer tells that is no longer than one may be.
fn tells(answer: &Answer) -> Value {
    assert!(answer.body.len() <= ANSWER, "{} bytes", answer.body.len());
    answer.tells(200)
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs /proc")]
fn thirty_who_do_not_read_long_answers_cost_no_more_than_they_may() {
    let options = ["-q", "--max-clients", "1000", "--max-message-size", "64K"];
    let program = Program::start(&options);
    (0..64).for_each(|_| posts(program.is_visited(), "text/plain", &HOSTILE));
    let before = program.status("VmHWM");
    let mut lazy: Vec<Visitor> = (0..30).map(|_| program.is_visited()).collect();
    for visitor in &mut lazy {
        visitor.sends(get("/rooms/a/messages?limit=1000"));
    }
    let heads = lazy.iter_mut().map(|visitor| String::from_utf8(visitor.reads_a_head()).unwrap());
    let (long, refused): (Vec<_>, Vec<_>) = heads.partition(|head| head.contains(" 200 OK"));
    assert!(long.len() >= ANSWERS / ANSWER && !refused.is_empty(), "{} are sent", long.len());
    for head in refused {
        assert!(head.contains(" 503 ") && head.contains("Retry-After: "), "{head}");
    }
    // What all answers may take, what each of the four lines to tiny_http may have in its hands
    // (the room's 4 MiB as they were read, and an answer twice), and some for the threads.
    let most = (ANSWERS + 4 * (64 * HOSTILE.len() + 2 * ANSWER)) as u64 / KIB + 8 * KIB;
    let grown = program.status("VmHWM") - before;
    assert!(grown < most, "{grown} KiB, over {most}");
    // What is short is answered all the while.
    for path in ["/", "/healthz", "/rooms", "/rooms/b/messages"] {
        assert_eq!(program.is_visited().asks(get(path)).status, 200, "{path}");
    }
    drop(lazy);
    let room = get("/rooms/a/messages?limit=1000");
    until("a long answer", || program.is_visited().asks(&room).status == 200);
}

/// Everything that the room keeps, page by page.
fn reads_all(server: &Server) -> Vec<Value> {
    let (mut all, mut since) = (Vec::new(), 0);
    loop {
        let page = tells(&server.get(&format!("/rooms/a/messages?limit=1000&since={since}")));
        let messages = page["messages"].as_array().unwrap();
        since = messages.last().expect("at least one")["id"].as_i64().unwrap();
        all.extend(messages.iter().cloned());
        assert_eq!(page["more"], since < page["last"].as_i64().unwrap(), "{since}");
        if page["more"] == false {
            return all;
        }
    }
}

/// The same from behind. A page that cannot hold all messages holds the newest ones.
fn reads_all_backwards(server: &Server) -> Vec<Value> {
    let (mut all, mut before) = (Vec::new(), i64::MAX);
    loop {
        let page = tells(&server.get(&format!("/rooms/a/messages?limit=1000&before={before}")));
        let messages = page["messages"].as_array().unwrap();
        before = messages.first().expect("at least one")["id"].as_i64().unwrap();
        all.splice(0..0, messages.iter().cloned());
        if page["more"] == false {
            return all;
        }
    }
}

#[test]
fn a_long_history_is_read_in_pages_and_nothing_is_missing() {
    let server = Server::start();
    for number in 0..20 {
        posts(server.is_visited(), "text/plain", &[&[b'0' + number][..], &HOSTILE].concat());
        posts(server.is_visited(), "image/png", &[number; 100_000]);
    }
    let all = reads_all(&server);
    assert_eq!(all.len(), 40);
    assert_eq!(reads_all_backwards(&server), all);
    for (number, pair) in all.chunks(2).enumerate() {
        let text = pair[0]["text"].as_str().unwrap();
        assert_eq!((text.len(), text.as_bytes()[0]), ((64 << 10) + 1, b'0' + number as u8));
        assert_eq!(
            (&pair[1]["size"], pair[1]["base64"].as_str().unwrap().len()),
            (&100_000.into(), 133_336)
        );
    }
    let ids: Vec<_> = all.iter().map(|message| message["id"].as_i64().unwrap()).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
}

#[test]
fn a_message_that_is_longer_than_an_answer_may_be_comes_alone() {
    let server = Server::start();
    posts(server.is_visited(), "text/plain", &[1; 1 << 20]);
    posts(server.is_visited(), "text/plain", b"short");
    let first = server.get("/rooms/a/messages?since=0");
    assert!(first.body.len() > 6 * ANSWER);
    let first = first.tells(200);
    assert_eq!((first["messages"].as_array().unwrap().len(), &first["more"]), (1, &true.into()));
    let rest = server.get(&format!("/rooms/a/messages?since={}", first["messages"][0]["id"]));
    let rest = tells(&rest);
    assert_eq!((&rest["messages"][0]["text"], &rest["more"]), (&"short".into(), &false.into()));
    assert_eq!(tells(&server.get("/rooms/nobody/messages"))["more"], false);
    // The newest one comes first, and then the long one alone.
    let newest = tells(&server.get("/rooms/a/messages"));
    assert_eq!((&newest["messages"], &newest["more"]), (&rest["messages"], &true.into()));
    let id = &newest["messages"][0]["id"];
    let before = server.get(&format!("/rooms/a/messages?before={id}")).tells(200);
    assert_eq!((&before["messages"], &before["more"]), (&first["messages"], &false.into()));
}
