//! All scenarios, in the order of the table.
//!
//! Not here: what the fields mean (`scenario`), and how large a short run makes them (`effort`).

use super::scenario::{Keeps, Pace, Scenario, Traffic, Transport, Turns};
use crate::relay::contenders::contender::Contender;
use crate::relay::floor::server::Manner;

use Contender::{Alone, Floor, Forgetful, Plain, Server, Unhindered};

/// Floors that a scenario is put beside. One that joins does so only where messages wait.
const ONE_SEND: &[Contender] = &[Server, Floor(Manner::OneSendEach)];
const JOINED: &[Contender] = &[Server, Floor(Manner::Joined)];
const UNHINDERED: &[Contender] = &[Server, Unhindered];
const ALONE: &[Contender] = &[Server, Alone];
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
            Self::churn_tls(),
            Self::reconnect(),
            Self::reconnect_tls(),
            Self::rooms(),
            Self::mud(),
            Self { name: "kept-fanout", ..Self::fanout("fanout-10", 10, 64).kept() },
            Self { name: "kept-storm", ..Self::storm().kept() },
            Self { name: "kept-table", ..Self::table().kept() },
            Self::pings(),
            Self::flood("flood", 100, 64),
            Self::flood("flood-large", 10, 16 << 10),
            Self::rejoin(),
            Self { name: "rejoin-kept", keeps: Keeps::InAFile, ..Self::rejoin() },
            Self { name: "rejoin-redis", keeps: Keeps::InRedis { servers: 1 }, ..Self::rejoin() },
            Self::many_rooms(),
            Self::nodes("nodes-1", 1),
            Self::nodes("nodes-2", 2),
            Self::nodes("nodes-3", 3),
            Self { name: "nodes-storm-1", ..Self::storm().on_redis(1) },
            Self { name: "nodes-storm-2", ..Self::storm().on_redis(2) },
            Self { name: "nodes-storm-3", ..Self::storm().on_redis(3) },
        ]
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

    /// With so many servers on a Redis, beside one that is alone.
    fn on_redis(self, servers: usize) -> Self {
        Self { keeps: Keeps::InRedis { servers }, contenders: ALONE, ..self }
    }

    /// One talks, and everyone hears it, on whatever server they are. Seldom enough that two cores do
    /// not limit it, for on them are the servers, Redis and the load.
    fn nodes(name: &'static str, servers: usize) -> Self {
        let traffic = Traffic::Paced(Pace { per_second: 20, turns: Turns::Together });
        Self { traffic, ..Self::fanout(name, 1000, 64).on_redis(servers) }
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

    /// Beside itself without TLS.
    fn churn_tls() -> Self {
        let contenders = &[Server, Plain];
        Self { name: "churn-tls", transport: Transport::Tls, contenders, ..Self::churn() }
    }

    /// A floor would tell nothing here: it has no past.
    fn reconnect() -> Self {
        let (senders, traffic, contenders) = (0, Traffic::Reconnect, &[Server] as &[_]);
        Self { senders, traffic, contenders, ..Self::fanout("reconnect", 2000, 64) }
    }

    fn reconnect_tls() -> Self {
        Self { name: "reconnect-tls", transport: Transport::Tls, ..Self::reconnect() }
    }

    fn rooms() -> Self {
        let traffic = Traffic::Paced(Pace { per_second: 20, turns: Turns::Spread });
        let all = Self::fanout("rooms", 1000, 64);
        Self { rooms: 100, senders: 100, traffic, contenders: BOTH, ..all }
    }

    /// `fanout-1000` again, beside itself without the clients that do not read.
    fn mud() -> Self {
        let traffic = Traffic::Mud(Pace { per_second: 100, turns: Turns::Together });
        Self { traffic, contenders: UNHINDERED, ..Self::fanout("mud", 1000, 64) }
    }

    /// One alone, beside herself while nobody pings in the room of 500.
    fn pings() -> Self {
        let pace = Pace { per_second: 100, turns: Turns::Together };
        let (traffic, contenders) = (Traffic::Pings { pace, pingers: 1 }, UNHINDERED);
        Self { traffic, contenders, ..Self::fanout("pings", 501, 64) }
    }

    /// One alone, beside herself while nobody talks in the other room.
    fn flood(name: &'static str, members: usize, bytes: usize) -> Self {
        let pace = Pace { per_second: 200, turns: Turns::Together };
        let (traffic, contenders) = (Traffic::Flood { pace, flooders: 1, bytes }, UNHINDERED);
        Self { traffic, contenders, ..Self::fanout(name, 1 + members, 64) }
    }

    /// Ten talk while 1,000 come back, beside themselves while nobody does.
    fn rejoin() -> Self {
        let traffic = Traffic::Rejoin(Pace { per_second: 10, turns: Turns::Spread });
        let all = Self::fanout("rejoin", 10 + 1000, 256);
        Self { senders: 10, traffic, contenders: UNHINDERED, ..all }
    }

    /// One alone, beside herself on a server whose file is new.
    fn many_rooms() -> Self {
        let keeps = Keeps::ManyRooms(200_000);
        Self { keeps, contenders: UNHINDERED, ..Self::fanout("many-rooms", 1, 64) }
    }
}
