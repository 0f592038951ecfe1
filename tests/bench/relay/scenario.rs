//! The scenarios, as data: how many clients, what they do, and beside whom the server is put.
//!
//! Not here: how it is done (the loads), and how often (`trial`).

use super::contender::Contender;
use super::floor::Manner;
use super::frame;

/// One row of the table.
#[derive(Clone)]
pub struct Scenario {
    pub name: &'static str,
    pub clients: usize,
    /// Client `n` is in room `n % rooms`.
    pub rooms: usize,
    /// The first so many clients talk; a multiple of `rooms`.
    pub senders: usize,
    /// Length of a message.
    pub bytes: usize,
    pub traffic: Traffic,
    pub transport: Transport,
    pub keeps: Keeps,
    /// Every so many clients one looks at its messages, where the load would else be the narrow
    /// place; of the others the bytes are counted. All frames are of one length, so a lost message
    /// shows.
    pub sample: usize,
    /// The server first; the others are what it is put beside.
    pub contenders: &'static [Contender],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Traffic {
    /// At a fixed pace, whether the server keeps up or not.
    Paced(Pace),
    /// As `Paced`, with some clients in the room that do not read.
    Mud(Pace),
    /// As fast as it is taken.
    Storm,
    /// Each client sends again what comes back, with so many messages under way.
    Echo { window: usize },
    /// Connect, one message, close, and again; `clients` at a time.
    Churn,
    /// Connected and silent.
    Idle,
}

/// What clients speak below WebSocket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    Plain,
    Tls,
}

/// What the server keeps of what is said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keeps {
    /// As it does unless it is told otherwise: the last messages, in memory.
    AsUsual,
    /// The last messages, in a file.
    InAFile,
    Nothing,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// Messages that each sender sends in a second.
    pub per_second: u32,
    pub turns: Turns,
}

/// How senders keep out of each other's way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turns {
    /// They do not: all send at the same moment.
    Together,
    /// One after the other, evenly spread.
    Spread,
}

use Contender::{Floor, Forgetful, Plain, Server, Unhindered};

/// Floors that a scenario is put beside. One that joins does so only where messages wait.
const ONE_SEND: &[Contender] = &[Server, Floor(Manner::OneSendEach)];
const JOINED: &[Contender] = &[Server, Floor(Manner::Joined)];
const BOTH: &[Contender] = &[Server, Floor(Manner::OneSendEach), Floor(Manner::Joined)];

impl Scenario {
    /// All of them, in the order of the table.
    pub fn all() -> Vec<Self> {
        vec![
            Self::fanout("fanout-10", 10, 64),
            Self::fanout("fanout-100", 100, 64),
            Self { contenders: BOTH, ..Self::fanout("fanout-1000", 1000, 64) },
            Self::fanout("fanout-1000-1k", 1000, 1024),
            Self::fanout_tls(),
            Self::storm(),
            Self::table(),
            Self::pictures(),
            Self::echo("echo-1", 1),
            Self::echo("echo-16", 16),
            Self::idle(),
            Self::idle_tls(),
            Self::churn(),
            Self::rooms(),
            Self::mud(),
            Self { name: "kept-fanout", ..Self::fanout("fanout-10", 10, 64).kept() },
            Self { name: "kept-storm", ..Self::storm().kept() },
            Self { name: "kept-table", ..Self::table().kept() },
        ]
    }

    /// `fanout` and `fanout-10` are both names of `fanout-10`.
    pub fn is_called(&self, name: &str) -> bool {
        let rest = self.name.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// Text, unless it is too long for anyone to have typed it.
    pub fn opcode(&self) -> u8 {
        if self.bytes > 4096 { frame::BINARY } else { frame::TEXT }
    }

    /// The path at which a client joins.
    pub fn path(&self, client: usize) -> String {
        match self.traffic {
            Traffic::Echo { .. } => "/echo".to_owned(),
            _ => format!("/ws/room-{}", client % self.rooms),
        }
    }

    /// One talks, 100 times a second, and everyone hears it.
    fn fanout(name: &'static str, clients: usize, bytes: usize) -> Self {
        let traffic = Traffic::Paced(Pace { per_second: 100, turns: Turns::Together });
        Self {
            name,
            clients,
            rooms: 1,
            senders: 1,
            bytes,
            traffic,
            transport: Transport::Plain,
            keeps: Keeps::AsUsual,
            sample: 1,
            contenders: ONE_SEND,
        }
    }

    /// `fanout-1000` over TLS, beside itself without. Half as often: one core cannot seal and send
    /// 100,000 times a second, and messages that wait would leave together, in one record. 16 of
    /// the clients look at messages: opening costs the load what sealing costs the server.
    fn fanout_tls() -> Self {
        let traffic = Traffic::Paced(Pace { per_second: 50, turns: Turns::Together });
        let all = Self::fanout("fanout-tls", 1000, 64);
        Self { traffic, transport: Transport::Tls, sample: 64, contenders: &[Server, Plain], ..all }
    }

    /// With a file, beside itself without a history.
    fn kept(self) -> Self {
        Self { keeps: Keeps::InAFile, contenders: &[Server, Forgetful], ..self }
    }

    fn storm() -> Self {
        let traffic = Traffic::Storm;
        let all = Self::fanout("storm", 1000, 64);
        Self { senders: 10, traffic, sample: 64, contenders: JOINED, ..all }
    }

    /// Ten people in one fast game: all of them move at every tick.
    fn table() -> Self {
        let traffic = Traffic::Paced(Pace { per_second: 200, turns: Turns::Together });
        Self { senders: 10, traffic, contenders: BOTH, ..Self::fanout("table", 10, 64) }
    }

    fn pictures() -> Self {
        Self { contenders: BOTH, ..Self::fanout("pictures", 100, 16 << 10) }
    }

    fn echo(name: &'static str, window: usize) -> Self {
        let traffic = Traffic::Echo { window };
        Self {
            rooms: 100,
            senders: 100,
            traffic,
            contenders: JOINED,
            ..Self::fanout(name, 100, 64)
        }
    }

    /// A floor would tell nothing here: it keeps next to nothing for a client.
    fn idle() -> Self {
        Self { traffic: Traffic::Idle, contenders: &[Server], ..Self::fanout("idle", 10_000, 64) }
    }

    /// Everyone opens everything: the pings come inside TLS. Half as many, as their handshakes take
    /// as long as all else together.
    fn idle_tls() -> Self {
        Self { name: "idle-tls", clients: 5000, transport: Transport::Tls, ..Self::idle() }
    }

    fn churn() -> Self {
        let traffic = Traffic::Churn;
        Self {
            rooms: 32,
            senders: 32,
            traffic,
            contenders: JOINED,
            ..Self::fanout("churn", 32, 64)
        }
    }

    fn rooms() -> Self {
        let traffic = Traffic::Paced(Pace { per_second: 20, turns: Turns::Spread });
        let all = Self::fanout("rooms", 1000, 64);
        Self { rooms: 100, senders: 100, traffic, contenders: BOTH, ..all }
    }

    /// `fanout-1000` again, beside itself without the clients that do not read.
    fn mud() -> Self {
        let traffic = Traffic::Mud(Pace { per_second: 100, turns: Turns::Together });
        let contenders = &[Server, Unhindered];
        Self { traffic, contenders, ..Self::fanout("mud", 1000, 64) }
    }
}
