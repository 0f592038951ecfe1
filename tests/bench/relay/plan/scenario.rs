//! A scenario, as data: how many clients, what they do, and beside whom the server is put.
//!
//! Not here: which ones there are (`scenarios`), how it is done (the loads), and how often
//! (`effort`).

use crate::relay::contenders::contender::Contender;
use crate::relay::messages::frame;

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
    /// The first client alone in its room, as `Paced`; the others in one large room, in which so
    /// many ping and talk as fast as they are taken.
    Pings { pace: Pace, pingers: usize },
    /// Likewise, but those in the large room say texts of so many bytes, and nothing else.
    Flood { pace: Pace, flooders: usize, bytes: usize },
    /// The senders as `Paced`, in a room with a long history; the others come all at once and read
    /// that.
    Rejoin(Pace),
    /// As fast as it is taken.
    Storm,
    /// Each client sends again what comes back, with so many messages under way.
    Echo { window: usize },
    /// Connect, one message, close, and again; `clients` at a time.
    Churn,
    /// All come at once, each as a client that the server has never seen, and read a short past.
    Reconnect,
    /// Connected and silent.
    Idle,
}

impl Traffic {
    /// At which pace those talk whose latency is measured.
    pub fn pace(self) -> Option<Pace> {
        match self {
            Self::Paced(pace)
            | Self::Mud(pace)
            | Self::Pings { pace, .. }
            | Self::Flood { pace, .. }
            | Self::Rejoin(pace) => Some(pace),
            Self::Storm | Self::Echo { .. } | Self::Churn | Self::Reconnect | Self::Idle => None,
        }
    }
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
    /// The last messages, in a file in which there are already so many rooms with one message each.
    ManyRooms(usize),
    /// The last messages, in a Redis that so many servers share. Client `n` is on server `n % servers`.
    InRedis {
        servers: usize,
    },
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

impl Scenario {
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
}
