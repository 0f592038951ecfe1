//! `wsroom check`: what this host can hold, and whether a server with these options could start on it.
//!
//! Each line is one thing that was looked at: it is well (`ok`), or has a remedy (`warning`, or `error`
//! if a server could not start, or nobody could use it). It changes nothing: no file is created, no data
//! file is brought to a newer form, and nothing is written to Redis. Not here: the host itself (`host`),
//! and starting (`server`). Runs on the main thread.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::host;
use crate::http::listener;
use crate::identity::tokens;
use crate::net::certificate::{self, Validity};
use crate::options::{Data, Options, RedisUrl};
use crate::protocol::message::now;
use crate::store::redis::{self, Settings};
use crate::store::sqlite_check;
use crate::store::{Bounds, ROOM_BYTES};

/// A certificate should be renewed when it has fewer days than this.
const FEW_DAYS: i64 = 14;

/// What was found about one thing.
pub struct Finding {
    level: Level,
    what: &'static str,
    says: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// It is well.
    Ok,
    /// A server can start, and will have trouble.
    Warning,
    /// A server cannot start, or nobody can use it.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Finding {
    /// It is well.
    pub fn ok(what: &'static str, says: impl Into<String>) -> Self {
        Self { level: Level::Ok, what, says: says.into() }
    }

    /// There will be trouble; the sentence has the remedy.
    pub fn warning(what: &'static str, says: impl Into<String>) -> Self {
        Self { level: Level::Warning, what, says: says.into() }
    }

    /// So it does not work; the sentence has the remedy.
    pub fn error(what: &'static str, says: impl Into<String>) -> Self {
        Self { level: Level::Error, what, says: says.into() }
    }
}

/// Prints a line for each thing that it looks at.
///
/// # Errors
/// Something would keep a server from working.
pub fn run(options: &Options) -> Result<(), String> {
    let findings = look(options);
    let mut lines = String::new();
    for Finding { level, what, says } in &findings {
        lines += &format!("{:<8} {what}: {says}\n", level.name());
    }
    // If nobody reads it, the exit status still tells.
    let _ = io::stdout().write_all(lines.as_bytes());
    let errors = findings.iter().filter(|finding| finding.level == Level::Error).count();
    match errors {
        0 => Ok(()),
        1 => Err("1 error: put it right before you start the server".to_owned()),
        _ => Err(format!("{errors} errors: put them right before you start the server")),
    }
}

fn look(options: &Options) -> Vec<Finding> {
    let mut findings = host::look(options);
    findings.push(listen("--listen", options.listen));
    findings.extend(options.metrics_listen.map(|address| listen("--metrics-listen", address)));
    findings.push(tls(options));
    findings.extend(options.token_file.as_deref().map(tokens));
    findings.extend(data(options));
    findings
}

fn data(options: &Options) -> Vec<Finding> {
    match &options.data {
        None => {
            let says = "users and history end with the program: --data keeps them";
            vec![Finding::ok("data", says)]
        }
        Some(Data::File(file)) => vec![data_file(file)],
        Some(Data::Redis(url)) => redis(url, options),
    }
}

/// The address is taken for a moment, and nobody is accepted on it.
fn listen(option: &'static str, address: std::net::SocketAddr) -> Finding {
    match listener::bind(option, address) {
        Ok(_) if address.port() == 0 => Finding::ok(option, "the system will pick a port"),
        Ok(_) => Finding::ok(option, format!("{address} is free")),
        Err(error) => Finding::error(option, error.to_string()),
    }
}

fn tls(options: &Options) -> Finding {
    const WHAT: &str = "certificate";
    match certificate::look(options) {
        Ok(None) if options.tls_self_signed => {
            Finding::ok(WHAT, "the program's own, made or found again at the start; browsers warn")
        }
        Ok(None) => Finding::ok(WHAT, "none: this server speaks plain http and ws"),
        Ok(Some(validity)) => validity_of(WHAT, &validity),
        Err(why) => Finding::error(WHAT, why),
    }
}

fn validity_of(what: &'static str, Validity { from, until }: &Validity) -> Finding {
    let now = now() / 1_000_000;
    let days = (until - now) / 86_400;
    match () {
        () if *from > now => Finding::error(what, "not good yet: look at the clock, or renew it"),
        () if *until <= now => {
            Finding::error(what, "has expired, and browsers refuse it: renew it")
        }
        () if days < FEW_DAYS => Finding::warning(what, format!("{days} days are left: renew it")),
        () => Finding::ok(what, format!("good, {days} days are left")),
    }
}

fn tokens(file: &Path) -> Finding {
    match tokens::look(file) {
        Ok(count) => Finding::ok("tokens", format!("{count} in {}", file.display())),
        Err(why) => Finding::error("tokens", why),
    }
}

fn data_file(file: &Path) -> Finding {
    const WHAT: &str = "data";
    let name = file.display();
    if !file.exists() {
        let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        return match fs::metadata(directory) {
            Ok(about) if about.is_dir() && !about.permissions().readonly() => {
                Finding::ok(WHAT, format!("{name} will be made"))
            }
            _ => Finding::error(
                WHAT,
                format!(
                    "--data {name}: name a file in a directory that is there and can be written"
                ),
            ),
        };
    }
    match sqlite_check::look(file) {
        Ok(found) => Finding::ok(WHAT, found.to_string()),
        Err(why) => Finding::error(WHAT, why),
    }
}

fn redis(url: &RedisUrl, options: &Options) -> Vec<Finding> {
    const WHAT: &str = "data";
    let bounds = Bounds { messages: options.history, bytes: ROOM_BYTES, idle: None };
    let settings = Settings::new(&options.redis_prefix, options.redis_shards, bounds);
    match redis::check::look(url, &settings) {
        Ok((version, losses)) => {
            let found = Finding::ok(WHAT, format!("{url} answers, version {version}"));
            let losses = losses.into_iter().map(|loss| Finding::warning(WHAT, loss));
            std::iter::once(found).chain(losses).collect()
        }
        Err(why) => vec![Finding::error(WHAT, why)],
    }
}
