//! A client that loses nothing, on a thread of its own: it follows the rules of `wsroom.v1` over all of
//! its connections, to any server, and has its own share of bad luck.
//!
//! It says something now and then, keeps it until that is answered, and comes back with the last id
//! that it has heard. By chance its line breaks at some byte, it stops reading for a while, it leaves,
//! or it becomes impatient with its server and goes to another one. Not here: what becomes of the
//! servers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{Error, Message, WebSocket};

use super::{Direction, Proxy};

/// How long a client waits for something to read before it looks whether it wants to say something.
const TICK: Duration = Duration::from_millis(20);

/// How long it waits for the answer to a handshake, and for the answer to a message.
const IMPATIENCE: Duration = Duration::from_secs(4);

/// What all clients know.
#[derive(Default)]
pub struct World {
    servers: Mutex<Vec<SocketAddr>>,
    stage: AtomicU8,
    seen: Mutex<BTreeMap<String, Seen>>,
}

/// What they do.
#[derive(Clone, Copy, Eq, PartialEq)]
#[repr(u8)]
pub enum Stage {
    /// They talk, and have bad luck.
    Talking,
    /// They only listen, and send again what was not answered.
    Listening,
    /// They end.
    Over,
}

/// How a client sees the world.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    pub room: String,
    /// Its own member id, while it is live.
    pub you: Option<u64>,
    /// The members of its room.
    pub members: BTreeSet<u64>,
    /// So many messages are not answered.
    pub unanswered: usize,
    /// The last text that it has heard.
    pub last: String,
}

impl World {
    pub fn has_servers_at(&self, addresses: Vec<SocketAddr>) {
        *self.servers.lock().unwrap() = addresses;
    }

    pub fn is_now(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    fn is(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Acquire) == stage as u8
    }

    /// How each client sees it, by name.
    pub fn seen(&self) -> BTreeMap<String, Seen> {
        self.seen.lock().unwrap().clone()
    }
}

pub struct Roamer {
    world: Arc<World>,
    luck: Rng,
    pub name: String,
    pub room: &'static str,
    /// The key of a user, and whether it is used: before, the client is a guest.
    key: Option<(String, bool)>,
    proxy: Proxy,
    line: Option<WebSocket<TcpStream>>,
    is_live: bool,
    you: Option<u64>,
    members: BTreeSet<u64>,
    /// All that comes behind this id is heard; `None`: it has asked for no past, and is not live yet.
    pub heard_behind: Option<i64>,
    /// It has asked for no past, and heard nothing yet.
    begins_here: bool,
    /// Ids and texts.
    pub heard: Vec<(i64, String)>,
    /// All that it has said, in order.
    pub said: Vec<String>,
    unanswered: VecDeque<String>,
    /// The ids that it was told of its own messages.
    pub answered: BTreeMap<String, i64>,
    /// A message was refused, and sent again: then its place is where it was accepted (rule 21).
    pub was_refused: bool,
    says_next: Instant,
    /// When the oldest message that is not answered was sent, or sent again.
    waits_since: Instant,
    /// Handshakes that it gave up on: a server that stood still may take them later.
    abandoned: usize,
}

impl Roamer {
    /// With a `key` it becomes that user some time later.
    pub fn new(
        world: &Arc<World>,
        (name, room): (String, &'static str),
        key: Option<String>,
        mut luck: Rng,
    ) -> Self {
        let now = Instant::now();
        Self {
            world: Arc::clone(world),
            name,
            room,
            key: key.map(|key| (key, luck.bool())),
            proxy: Proxy::to(world.servers.lock().unwrap()[0]),
            line: None,
            is_live: false,
            you: None,
            members: BTreeSet::new(),
            heard_behind: luck.bool().then_some(0),
            begins_here: false,
            heard: Vec::new(),
            said: Vec::new(),
            unanswered: VecDeque::new(),
            answered: BTreeMap::new(),
            was_refused: false,
            says_next: now,
            waits_since: now,
            abandoned: 0,
            luck,
        }
    }

    /// Talks until the end of the world.
    pub fn lives(mut self) -> Self {
        while !self.world.is(Stage::Over) {
            if self.line.is_none() && !self.comes_back() {
                self.is_seen();
                thread::sleep(Duration::from_millis(self.luck.u64(10..200)));
                continue;
            }
            self.reads();
            if self.world.is(Stage::Talking) {
                self.talks();
                self.has_bad_luck();
            }
            self.is_impatient();
            self.is_seen();
        }
        self
    }

    fn is_seen(&self) {
        let seen = Seen {
            room: self.room.to_owned(),
            you: self.you.filter(|_| self.is_live),
            members: self.members.clone(),
            unanswered: self.unanswered.len(),
            last: self.heard.last().map_or_else(String::new, |(_, text)| text.clone()),
        };
        self.world.seen.lock().unwrap().insert(self.name.clone(), seen);
    }

    fn since(&self) -> Option<i64> {
        self.heard.last().map(|(id, _)| *id).or(self.heard_behind)
    }

    /// Connects to any server.
    fn comes_back(&mut self) -> bool {
        let server = self.luck.choice(self.world.servers.lock().unwrap().clone());
        self.proxy.leads_to(server.expect("there are servers"));
        if self.world.is(Stage::Talking) && self.luck.u8(0..4) == 0 {
            let direction = self.luck.choice([Direction::ToServer, Direction::ToClient]);
            self.proxy.will_break_after(self.luck.usize(0..4000), direction.expect("one of two"));
        }
        let since = self.since().map_or_else(String::new, |since| format!("&since={since}"));
        let path = format!("/ws/{}?session={}-0123456789abcdef{since}", self.room, self.name);
        self.line = self.shakes_hands(&path);
        self.line.is_some()
    }

    fn shakes_hands(&mut self, path: &str) -> Option<WebSocket<TcpStream>> {
        let address = self.proxy.address();
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(IMPATIENCE)).unwrap();
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        let fields = request.headers_mut();
        fields.insert("Sec-WebSocket-Protocol", HeaderValue::from_static("wsroom.v1"));
        if let Some(key) = self.key_to_use() {
            fields.insert("Authorization", format!("Bearer {key}").parse().unwrap());
        }
        self.abandoned += 1;
        let (line, _) = tungstenite::client(request, stream).ok()?;
        line.get_ref().set_read_timeout(Some(TICK)).unwrap();
        self.waits_since = Instant::now();
        Some(line)
    }

    /// A guest with a key becomes that user at some time, and stays it.
    fn key_to_use(&mut self) -> Option<&str> {
        let becomes_a_user = self.luck.u8(0..4) == 0;
        let (key, is_used) = self.key.as_mut()?;
        *is_used |= becomes_a_user;
        is_used.then_some(key.as_str())
    }

    fn lets_go(&mut self) {
        (self.line, self.is_live) = (None, false);
    }

    /// Reads an event, or waits a moment for one.
    fn reads(&mut self) {
        let Some(line) = &mut self.line else { return };
        match line.read() {
            Ok(Message::Text(event)) => {
                self.takes(&serde_json::from_str(&event).expect("an event"));
            }
            Ok(Message::Close(close)) => {
                // Without a code it answers the client's own.
                let code = close.map_or(1000, |close| close.code.into());
                self.is_told_to_leave(code);
            }
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => self.lets_go(),
        }
    }

    fn is_told_to_leave(&mut self, code: u16) {
        match code {
            1000 | 1001 | 4002 => {}
            4001 if self.abandoned > 0 => self.abandoned -= 1,
            _ => panic!("{} got Close {code}", self.name),
        }
        self.lets_go();
    }

    fn takes(&mut self, event: &Value) {
        match event["type"].as_str().expect("a type") {
            "welcome" => {
                self.abandoned -= 1;
                self.you = event["you"]["id"].as_u64();
                self.members = ids(&event["members"]);
            }
            "live" => self.is_live(event),
            "message" => self.hears(event),
            "kept" => self.is_answered(event),
            "error" => {
                // It is sent again when the client becomes impatient.
                assert_eq!(event["retry"], true, "{}: {event}", self.name);
                self.was_refused = true;
            }
            "joined" => self.members.extend(ids(&event["members"])),
            "left" => {
                let gone = ids(&event["members"]);
                self.members.retain(|member| !gone.contains(member));
            }
            "members" => self.members = ids(&event["members"]),
            _ => {}
        }
    }

    fn is_answered(&mut self, event: &Value) {
        let Some(answered) = event["ref"].as_str() else { return };
        let id = event["id"].as_i64().expect("an id");
        let before = self.answered.insert(answered.to_owned(), id);
        assert!(before.is_none_or(|before| before == id), "{event}: it was {before:?}");
        self.unanswered.retain(|text| text != answered);
        self.waits_since = Instant::now();
    }

    fn is_live(&mut self, event: &Value) {
        assert_eq!(event["complete"], true, "{}: {event}", self.name);
        self.begins_here = self.heard_behind.is_none();
        self.heard_behind = self.heard_behind.or(event["last"].as_i64());
        self.is_live = true;
        for text in self.unanswered.clone() {
            self.sends(&text);
        }
    }

    fn hears(&mut self, event: &Value) {
        let id = event["id"].as_i64().expect("an id");
        let since = self.since().expect("before the first `live` comes nothing");
        assert!(id > since, "{} heard {event} behind {since}", self.name);
        if std::mem::take(&mut self.begins_here) {
            self.heard_behind = Some(id - 1);
        }
        self.heard.push((id, event["text"].as_str().expect("a text").to_owned()));
        self.is_answered(event);
    }

    fn talks(&mut self) {
        if !self.is_live || Instant::now() < self.says_next {
            return;
        }
        let burst = if self.luck.u8(0..20) == 0 { 20 } else { 1 };
        for _ in 0..burst {
            let text = format!("{} {}", self.name, self.said.len());
            self.said.push(text.clone());
            self.unanswered.push_back(text.clone());
            self.sends(&text);
        }
        self.says_next = Instant::now() + Duration::from_millis(self.luck.u64(5..200));
    }

    fn sends(&mut self, text: &str) {
        let event = json!({"type": "message", "text": text, "ref": text}).to_string();
        if self.line.as_mut().is_some_and(|line| line.send(Message::text(event)).is_err()) {
            self.lets_go();
        }
    }

    fn has_bad_luck(&mut self) {
        match self.luck.u16(0..4000) {
            // It stalls.
            0..10 => thread::sleep(Duration::from_millis(self.luck.u64(0..1000))),
            // It goes without a word, and to another server.
            10..20 => self.lets_go(),
            // It leaves.
            20..25 => {
                if let Some(line) = &mut self.line {
                    let _ = line.close(None);
                }
            }
            _ => {}
        }
    }

    /// It tries again, elsewhere, what is not answered for long.
    fn is_impatient(&mut self) {
        let is_waiting = !self.is_live || !self.unanswered.is_empty();
        if is_waiting && self.waits_since.elapsed() > IMPATIENCE {
            self.lets_go();
        }
    }
}

fn ids(members: &Value) -> BTreeSet<u64> {
    let members = members.as_array().expect("a room that is no crowd");
    let id = |member: &Value| member.as_u64().or_else(|| member["id"].as_u64());
    members.iter().map(|member| id(member).expect("an id")).collect()
}
