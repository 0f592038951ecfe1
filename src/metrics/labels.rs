//! The values that labels may have. Each set is closed: nothing that a client sends becomes a label, or
//! it could make as many series as it likes.
//!
//! Not here: the metrics that have them (`meters`). Pure functions.

/// Why a connection was ended before it could ask for anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unheard {
    /// `--max-clients` is reached.
    MaxClients,
    /// `--max-clients-per-ip` is reached.
    MaxClientsPerIp,
    /// No thread could be started.
    NoThread,
    /// No TLS could be agreed on.
    Tls,
}

/// Why a client that is behind was cut off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Eviction {
    /// More than `--max-backlog` waited for it.
    Backlog,
    /// It took nothing for 10 s.
    Stalled,
    /// It took its last messages too slowly.
    TooSlow,
    /// No thread could be started to write to it.
    NoThread,
}

impl Unheard {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::MaxClients, Self::MaxClientsPerIp, Self::NoThread, Self::Tls];

    /// The value of the label.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxClients => "max_clients",
            Self::MaxClientsPerIp => "max_clients_per_ip",
            Self::NoThread => "no_thread",
            Self::Tls => "tls",
        }
    }
}

impl Eviction {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Backlog, Self::Stalled, Self::TooSlow, Self::NoThread];

    /// The value of the label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Backlog => "backlog",
            Self::Stalled => "stalled",
            Self::TooSlow => "too_slow",
            Self::NoThread => "no_thread",
        }
    }

    /// Why, in words for the log.
    pub fn words(self) -> &'static str {
        match self {
            Self::Backlog => "too much waited for it (--max-backlog)",
            Self::Stalled => "it took nothing for 10 s",
            Self::TooSlow => "it took its last messages too slowly",
            Self::NoThread => "no thread could be started to write to it",
        }
    }
}

/// The statuses with which requests are refused, and the value of the label for each. Any other status
/// is [`OTHER`].
pub const REFUSALS: [(u16, &str); 12] = [
    (308, "plain_http"),
    (400, "malformed"),
    (401, "unauthorized"),
    (403, "forbidden"),
    (404, "not_found"),
    (405, "method"),
    (408, "late"),
    (413, "too_large"),
    (421, "host"),
    (426, "no_websocket"),
    (429, "too_many"),
    (503, "unavailable"),
];

/// The codes of Closes (RFC 6455 §7.4.1, and this server's own). 1005 stands for a Close without a code,
/// and 1006 for a line that broke. Any other code is [`OTHER`].
pub const CODES: [(u16, &str); 13] = [
    (1000, "1000"),
    (1001, "1001"),
    (1002, "1002"),
    (1003, "1003"),
    (1005, "1005"),
    (1006, "1006"),
    (1007, "1007"),
    (1008, "1008"),
    (1009, "1009"),
    (1011, "1011"),
    (1013, "1013"),
    (4001, "4001"),
    (4002, "4002"),
];

/// Whatever is not in one of these lists.
pub const OTHER: &str = "other";

/// The value of the label for a status or a code.
pub fn name_of(number: u16, list: &[(u16, &'static str)]) -> &'static str {
    list.iter().find(|(known, _)| *known == number).map_or(OTHER, |(_, name)| name)
}
