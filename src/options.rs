//! The options of the server: each with its default, its unit and its environment variable.
//!
//! Not here: the commands besides (`commands`), and what an option does. Each part of the program takes the fields that it needs.
//! Runs on the main thread, once.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{BoolishValueParser, OsStringValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Parser};
use ipnet::IpNet;

/// A small WebSocket broadcast server: open the page it prints, and everyone on it hears
/// everyone else.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Options {
    /// Address and port to listen on; port 0 picks a free one.
    #[arg(short, long, value_name = "ADDR", env = "WSROOM_LISTEN", value_parser = address)]
    #[arg(default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// Another address and port, where everyone may read the metrics and nothing else, such as
    /// 127.0.0.1:9100. Without it programs on this host may, and whoever has the --admin-token.
    #[arg(long, value_name = "ADDR", env = "WSROOM_METRICS_LISTEN", value_parser = address)]
    pub metrics_listen: Option<SocketAddr>,

    /// Connections of every kind at once; one more gets a 503.
    #[arg(long, value_name = "N", env = "WSROOM_MAX_CLIENTS", value_parser = count)]
    #[arg(default_value = "4096")]
    pub max_clients: usize,

    /// Connections of every kind at once from one address, for IPv6 from one /64 network; one more
    /// gets a 429. A class behind one router is one address. 0 = no limit.
    #[arg(long, value_name = "N", env = "WSROOM_MAX_CLIENTS_PER_IP", value_parser = most)]
    #[arg(default_value = "0")]
    pub max_clients_per_ip: usize,

    /// Largest message in bytes (suffixes K, M, G); a larger one closes its client with 1009.
    #[arg(long, value_name = "SIZE", env = "WSROOM_MAX_MESSAGE_SIZE", value_parser = size)]
    #[arg(default_value = "1M")]
    pub max_message_size: usize,

    /// Bytes (suffixes K, M, G) that may wait for one slow client before it is cut off.
    #[arg(long, value_name = "SIZE", env = "WSROOM_MAX_BACKLOG", value_parser = size)]
    #[arg(default_value = "4M")]
    pub max_backlog: usize,

    /// Messages a second taken from one client; a faster client is read more slowly. The same
    /// limit holds for POST from one address. 0 = no limit.
    #[arg(long, value_name = "N", env = "WSROOM_MAX_RATE", value_parser = rate)]
    #[arg(default_value = "0")]
    pub max_rate: u32,

    /// Bytes (suffixes K, M, G) a second taken from one client, from 1K; a faster client is read more
    /// slowly. The same limit holds for POST from one address. 0 = no limit.
    #[arg(long, value_name = "SIZE", env = "WSROOM_MAX_BYTES_RATE", value_parser = bytes_rate)]
    #[arg(default_value = "0")]
    pub max_bytes_rate: u32,

    /// A client that sends no byte for this time is cut off (seconds, or 90s, 5m). It gets a Ping
    /// after 5/12 of the time.
    #[arg(long, value_name = "DURATION", env = "WSROOM_IDLE_TIMEOUT", value_parser = duration)]
    #[arg(default_value = "60s")]
    pub idle_timeout: Duration,

    /// Also accept WebSockets from pages of this origin, such as `https://example.org`;
    /// `*` for any. May be repeated.
    #[arg(long, value_name = "ORIGIN", env = "WSROOM_ALLOW_ORIGIN", value_delimiter = ',')]
    #[arg(value_parser = origin)]
    pub allow_origin: Vec<String>,

    /// A name of this server, as in the addresses that people open; a request for another name gets a
    /// 421. IP addresses and localhost are always accepted. Without this option the names in
    /// --tls-cert are meant, and without that any name. `*` for any. May be repeated.
    #[arg(long, value_name = "NAME", env = "WSROOM_HOST", value_delimiter = ',')]
    #[arg(value_parser = host)]
    pub host: Vec<String>,

    /// A proxy in front of this server: an address, or a network such as `10.0.0.0/8`. What it says
    /// in Forwarded or X-Forwarded-* about its clients is believed. May be repeated.
    #[arg(long, value_name = "CIDR", env = "WSROOM_TRUSTED_PROXY", value_delimiter = ',')]
    #[arg(value_parser = network)]
    pub trusted_proxy: Vec<IpNet>,

    /// Speak TLS (https, wss) with the certificate in this file: PEM, the whole chain. It is read
    /// again when it changes, and on SIGHUP.
    #[arg(long, value_name = "FILE", env = "WSROOM_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key: PEM, not encrypted.
    #[arg(long, value_name = "FILE", env = "WSROOM_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// Speak TLS with a certificate of the program's own, for this host's names and addresses.
    /// Browsers warn of it: compare the fingerprint that is printed.
    #[arg(long, env = "WSROOM_TLS_SELF_SIGNED", value_parser = BoolishValueParser::new())]
    #[arg(conflicts_with_all = ["tls_cert", "tls_key"])]
    pub tls_self_signed: bool,

    /// Keep users and history in this file (SQLite), or in Redis, as in
    /// `redis://:PASSWORD@HOST:6379`: all programs that name it are one. Without it they end with the
    /// program.
    #[arg(long, value_name = "FILE|URL", env = "WSROOM_DATA", hide_env_values = true)]
    #[arg(value_parser = OsStringValueParser::new().map(Data::from))]
    pub data: Option<Data>,

    /// With Redis: all keys begin with this.
    #[arg(long, value_name = "TEXT", env = "WSROOM_REDIS_PREFIX", value_parser = prefix)]
    #[arg(default_value = "wsroom:")]
    pub redis_prefix: String,

    /// With Redis: parts into which rooms are divided, from 1 to 64, for good.
    #[arg(long, value_name = "N", env = "WSROOM_REDIS_SHARDS", value_parser = shards)]
    #[arg(default_value = "1")]
    pub redis_shards: u16,

    /// Messages that each room keeps for clients that come back; at most 16 MiB a room. 0 = none.
    #[arg(long, value_name = "N", env = "WSROOM_HISTORY", value_parser = history)]
    #[arg(default_value = "100")]
    pub history: usize,

    /// A room without a new message for this time is forgotten (seconds, or 90s, 30d). 0 = never.
    #[arg(long, value_name = "DURATION", env = "WSROOM_FORGET_AFTER", value_parser = forget)]
    #[arg(default_value = "30d")]
    pub forget_after: Duration,

    /// Only who has this token may come in: by `Authorization: Bearer TOKEN`, `?token=TOKEN`, or the
    /// page's question. 16 to 128 of A-Z a-z 0-9 . _ ~ -. Other users of this host can see it on the
    /// command line, but not in the variable.
    #[arg(long, value_name = "TOKEN", env = "WSROOM_TOKEN", value_parser = door_token)]
    #[arg(hide_env_values = true, conflicts_with = "token_file")]
    pub token: Option<String>,

    /// Only who has one of the tokens in this file may come in: one in each line, `#` begins a
    /// comment. It is read again when it changes, and on SIGHUP.
    #[arg(long, value_name = "FILE", env = "WSROOM_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,

    /// A request with `Authorization: Bearer TOKEN` may change and remove every user; at least 16
    /// characters.
    #[arg(long, value_name = "TOKEN", env = "WSROOM_ADMIN_TOKEN", value_parser = token)]
    #[arg(hide_env_values = true)]
    pub admin_token: Option<String>,

    /// New users a minute from one address; a class behind one router is one address. 0 = no
    /// limit.
    #[arg(long, value_name = "N", env = "WSROOM_MAX_NEW_USERS", value_parser = rate)]
    #[arg(default_value = "60")]
    pub max_new_users: u32,

    /// Do not print the page's address as a QR code; the code is printed to terminals only.
    #[arg(long, env = "WSROOM_NO_QR", value_parser = BoolishValueParser::new())]
    pub no_qr: bool,

    /// Log more: -v debug, -vv trace.
    #[arg(short, long, env = "WSROOM_VERBOSE", action = ArgAction::Count)]
    pub verbose: u8,

    /// Log warnings and errors only; wins over -v.
    #[arg(short, long, env = "WSROOM_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,

    /// Write the log to this file (appended) instead of standard error. It is opened again on SIGHUP.
    #[arg(long, value_name = "FILE", env = "WSROOM_LOG_FILE")]
    pub log_file: Option<PathBuf>,

    /// How a line of the log looks: plain, or json (one object with time, level, thread and text).
    #[arg(long, value_name = "FORMAT", env = "WSROOM_LOG_FORMAT", value_parser = log_format)]
    #[arg(default_value = "plain")]
    pub log_format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// For people.
    Plain,
    /// For programs: one JSON object.
    Json,
}

/// Where users and history are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Data {
    /// In this file.
    File(PathBuf),
    /// In this Redis, together with other programs.
    Redis(RedisUrl),
}

impl From<OsString> for Data {
    /// Whatever has a scheme is a URL. Which schemes are good is for the store to say.
    fn from(text: OsString) -> Self {
        match text.to_str().filter(|text| text.contains("://")) {
            Some(url) => Self::Redis(RedisUrl::new(url)),
            None => Self::File(text.into()),
        }
    }
}

/// The URL of a Redis server. It is shown without its password.
#[derive(Clone, Eq, PartialEq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// Any text.
    pub fn new(url: &str) -> Self {
        Self(url.to_owned())
    }

    /// The whole URL, with its password.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RedisUrl {
    /// All that may be a password is replaced: from the first colon behind the scheme up to the last
    /// `@`; and what stands behind `pass=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (url, query) = self.0.split_once("pass=").unwrap_or((&self.0, ""));
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        write!(f, "{scheme}://")?;
        match rest.rsplit_once('@') {
            Some((user, host)) => match user.split_once(':') {
                Some((user, _)) => write!(f, "{user}:***@{host}")?,
                None => write!(f, "***@{host}")?,
            },
            None => f.write_str(rest)?,
        }
        if query.is_empty() { Ok(()) } else { f.write_str("pass=***") }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Options {
    /// The file of `--data`, if it names one.
    pub fn data_file(&self) -> Option<&Path> {
        match &self.data {
            Some(Data::File(file)) => Some(file),
            _ => None,
        }
    }

    /// Lets -v on the command line win over WSROOM_QUIET. clap does not know that: it compares an option
    /// only with its own variable.
    pub fn settle(&mut self, matches: &ArgMatches) {
        let typed = |option| matches.value_source(option) == Some(ValueSource::CommandLine);
        let louder = typed("verbose") && !typed("quiet");
        self.quiet &= !louder;
    }
}

/// An address such as `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let help = "give an address and a port, such as 0.0.0.0:8080 or [::]:8080";
    let found = text.to_socket_addrs().map_err(|_| help.to_owned())?.next();
    found.ok_or_else(|| help.to_owned())
}

/// A whole number from 1.
fn count(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&n| n > 0);
    number.ok_or_else(|| "give a whole number from 1, such as 4096".to_owned())
}

/// A whole number from 0.
fn rate(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "give a whole number such as 20, or 0 for no limit".to_owned())
}

/// As [`rate`], for what is counted in memory.
fn most(text: &str) -> Result<usize, String> {
    rate(text).map(|most| most as usize)
}

/// A number of bytes a second, from 1K: a lower rate would take longer than the idle timeout for one
/// message. 0 is no limit.
fn bytes_rate(text: &str) -> Result<u32, String> {
    let bytes = if text == "0" { Some(0) } else { size(text).ok().filter(|&n| n >= 1024) };
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "give 1K to 1G bytes a second, such as 64K, or 0 for no limit".to_owned())
}

/// A whole number from 0 to a million.
fn history(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&n| n <= 1_000_000);
    number.ok_or_else(|| "give a whole number up to 1000000, such as 100, or 0 for none".to_owned())
}

/// The beginning of keys: visible ASCII without the braces that mark a shard.
fn prefix(text: &str) -> Result<String, String> {
    let is_allowed = |c: u8| c.is_ascii_graphic() && !matches!(c, b'{' | b'}');
    let sound = (1..=64).contains(&text.len()) && text.bytes().all(is_allowed);
    sound.then(|| text.to_owned()).ok_or_else(|| {
        "give 1 to 64 visible ASCII characters without { and }, such as wsroom:".to_owned()
    })
}

/// A whole number from 1 to 64.
fn shards(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|n| (1..=64).contains(n));
    number.ok_or_else(|| "give a whole number from 1 to 64, such as 1".to_owned())
}

/// A duration as [`duration`] reads it, but of any length.
fn forget(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    let duration = seconds.or_else(|| humantime::parse_duration(text).ok());
    duration.ok_or_else(|| "give a time such as 30d or 12h, or 0 for never".to_owned())
}

/// Whether a text is a token for the door: too long to be guessed, and of characters that need no
/// escape in a query (RFC 3986 §2.3) nor in a cookie.
pub fn is_token(text: &str) -> bool {
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"._~-".contains(&c);
    (16..=128).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// A token for the door.
fn door_token(text: &str) -> Result<String, String> {
    is_token(text).then(|| text.to_owned()).ok_or_else(|| {
        "give 16 to 128 of A-Z a-z 0-9 . _ ~ -, such as `openssl rand -hex 16` makes".to_owned()
    })
}

/// A token that is too long to be guessed, made of characters that a header field may contain.
fn token(text: &str) -> Result<String, String> {
    let sound = text.len() >= 16 && text.bytes().all(|c| c.is_ascii_graphic());
    sound.then(|| text.to_owned()).ok_or_else(|| {
        "give at least 16 visible ASCII characters, such as `openssl rand -hex 16` makes".to_owned()
    })
}

/// A number of bytes from 1, with K, M or G for powers of 1024.
fn size(text: &str) -> Result<usize, String> {
    let upper = text.to_ascii_uppercase();
    let (digits, unit) = match upper.as_bytes().last() {
        Some(b'K') => (&upper[..upper.len() - 1], 1 << 10),
        Some(b'M') => (&upper[..upper.len() - 1], 1 << 20),
        Some(b'G') => (&upper[..upper.len() - 1], 1 << 30),
        _ => (upper.as_str(), 1),
    };
    let bytes = digits.parse::<usize>().ok().and_then(|n| n.checked_mul(unit));
    // A frame header has 64 bits for a length. 1 GiB also fits the memory of a 32-bit host.
    let bytes = bytes.filter(|n| (1..=1 << 30).contains(n));
    bytes.ok_or_else(|| "give 1 to 1G bytes, such as 65536, 64K or 1M".to_owned())
}

/// A bare number of seconds, or a time that humantime reads, such as `90s` or `5m`.
fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    let duration = seconds.or_else(|| humantime::parse_duration(text).ok());
    // With less than a second, a good client on a slow network could not answer a Ping in time.
    let sound = Duration::from_secs(1)..=Duration::from_secs(86_400);
    duration
        .filter(|duration| sound.contains(duration))
        .ok_or_else(|| "give a time from 1s to 1d, such as 60, 90s or 5m".to_owned())
}

/// `plain` or `json`.
fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "plain" => Ok(LogFormat::Plain),
        "json" => Ok(LogFormat::Json),
        _ => Err("give plain or json".to_owned()),
    }
}

/// `*`, or `scheme://host[:port]` as a browser writes it in its Origin field (RFC 6454 §6.2).
fn origin(text: &str) -> Result<String, String> {
    let bare = |(scheme, host): (&str, &str)| {
        !scheme.is_empty() && !host.is_empty() && !host.contains(['/', ' '])
    };
    let sound = text == "*" || text.split_once("://").is_some_and(bare);
    sound
        .then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "give * or an origin without a path, such as https://example.org".to_owned())
}

/// `*`, or a host's name without a port, in lower case.
fn host(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
    };
    let sound = text == "*" || text.split('.').all(is_label);
    sound
        .then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "give a name without a port, such as talk.example, or *".to_owned())
}

/// An address, or a network in CIDR notation.
fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| "give an address or a network, such as 127.0.0.1 or 10.0.0.0/8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_without_a_port() {
        assert_eq!(host("Talk.Example"), Ok("talk.example".to_owned()));
        assert_eq!(host("*"), Ok("*".to_owned()));
        for wrong in ["", "talk.example:80", "https://talk.example", "a..b", "*.example", "a b"] {
            assert!(host(wrong).is_err(), "{wrong:?} passed");
        }
    }

    #[test]
    fn a_network_may_be_one_address() {
        assert_eq!(network("127.0.0.1"), network("127.0.0.1/32"));
        assert_eq!(network("::1"), network("::1/128"));
        assert!(network("10.0.0.0/8").unwrap().contains(&"10.1.2.3".parse::<IpAddr>().unwrap()));
        for wrong in ["", "10.0.0.0/33", "localhost", "10.0.0.1:80", "10.0.0"] {
            assert!(network(wrong).is_err(), "{wrong:?} passed");
        }
    }

    #[test]
    fn a_size_counts_in_powers_of_1024() {
        assert_eq!(size("65536"), Ok(65_536));
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("1m"), Ok(1 << 20));
        for wrong in ["", "K", "-1", "0", "1.5M", "2G", "99999999999999999999", "1T"] {
            assert!(size(wrong).is_err(), "{wrong:?} passed");
        }
    }

    #[test]
    fn a_bare_number_is_seconds() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for wrong in ["", "0", "500ms", "-5", "soon", "3days"] {
            assert!(duration(wrong).is_err(), "{wrong:?} passed");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            ("redis://host:6379/1", "redis://host:6379/1"),
            ("redis://:secret@host", "redis://:***@host"),
            ("rediss://ada:se:c@r/et@host:1", "rediss://ada:***@host:1"),
            ("redis://secret@host", "redis://***@host"),
            ("redis+unix:///s?user=ada&pass=secret", "redis+unix:///s?user=ada&pass=***"),
        ] {
            assert_eq!(RedisUrl::new(url).to_string(), shown);
            assert_eq!(format!("{:?}", RedisUrl::new(url)), shown);
        }
    }

    #[test]
    fn data_is_a_file_or_a_url() {
        assert_eq!(Data::from(OsString::from("kept")), Data::File("kept".into()));
        let url = "redis://host";
        assert_eq!(Data::from(OsString::from(url)), Data::Redis(RedisUrl::new(url)));
    }

    #[test]
    fn an_origin_has_a_scheme_and_no_path() {
        assert_eq!(origin("https://Example.org"), Ok("https://example.org".to_owned()));
        assert_eq!(origin("*"), Ok("*".to_owned()));
        for wrong in ["example.org", "https://", "https://example.org/", ""] {
            assert!(origin(wrong).is_err(), "{wrong:?} passed");
        }
    }
}
