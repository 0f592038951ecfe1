//! A connection to Redis, with everything that wsroom needs there: the scripts are loaded, and the keys
//! have the layout that this program knows.
//!
//! Nothing waits longer than a time that is known: a server that was stopped accepts connections all
//! the same, and answers nothing. Not here: when a connection is made again (its owners), and which
//! servers are refused (`open`). On the thread of its owner.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use redis::{Client, Cmd, Connection, ErrorKind, FromRedisValue, Pipeline, RedisError, cmd, pipe};

use super::keys::Keys;
use super::scripts::{SOURCES, Script};
use crate::options::RedisUrl;
use crate::store::StoreError;
use crate::store::shared::Shard;

/// The version of the layout of all keys, and of the entries of the log.
pub const LAYOUT: u32 = 1;

/// The longest time for making a connection, and for an answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest pause before a connection is made again.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// The reason why a call has failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// There was no answer that makes sense. What was asked may have been done, or not, or it is done
    /// later.
    #[error("{0}")]
    Lost(String),
    /// Redis refuses, and has done nothing.
    #[error("{0}")]
    Refused(String),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Self::Lost("Redis does not answer".to_owned());
        }
        if let Some(first) = error.clone().into_server_errors().and_then(|all| all.first().cloned())
        {
            return Self::Refused(in_one_line(first.1.code(), first.1.details()));
        }
        match (error.kind(), error.code()) {
            (_, Some(code)) => Self::Refused(in_one_line(code, error.detail())),
            (ErrorKind::AuthenticationFailed, _) => Self::Refused(error.to_string()),
            _ => Self::Lost(error.to_string()),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::Away(failure.to_string())
    }
}

/// Redis's own error. Behind it comes the hash of the script.
fn in_one_line(code: &str, detail: Option<&str>) -> String {
    let detail = detail.unwrap_or_default();
    format!("{code} {}", detail.split(" script: ").next().unwrap_or(detail))
}

/// Where Redis is, and how its keys are called.
pub struct Server {
    /// How to connect.
    pub client: Client,
    /// The address, without its password.
    pub url: RedisUrl,
    /// The names of the keys.
    pub keys: Keys,
}

/// A connection.
pub struct Link {
    connection: Connection,
    keys: Keys,
    /// The hash of each script.
    scripts: Vec<String>,
}

impl Server {
    /// Connects, loads the scripts, and checks the layout of the keys.
    ///
    /// # Errors
    /// Redis is not there, or refuses, or the keys have another layout.
    pub fn connect(&self) -> Result<Link, Failure> {
        let mut link = self.connect_to_any()?;
        self.check_layout(&mut link)?;
        Ok(link)
    }

    /// Connects for a look: no script can be run, because none is loaded.
    ///
    /// # Errors
    /// Redis is not there, or refuses.
    pub fn visit(&self) -> Result<Link, Failure> {
        let connection = self.client.get_connection_with_timeout(CALL_TIMEOUT)?;
        let link = Link { connection, keys: self.keys.clone(), scripts: Vec::new() };
        link.wait_at_most(CALL_TIMEOUT)?;
        Ok(link)
    }

    /// Connects, whatever the keys are, and loads the scripts.
    ///
    /// # Errors
    /// Redis is not there, or refuses.
    pub fn connect_to_any(&self) -> Result<Link, Failure> {
        let mut link = self.visit()?;
        let mut load = pipe();
        for source in SOURCES {
            load.cmd("SCRIPT").arg("LOAD").arg(source);
        }
        link.scripts = link.ask_all(&load)?;
        Ok(link)
    }

    /// Writes down the layout of the keys, if there is none yet, and checks it.
    ///
    /// # Errors
    /// Redis fails, or the keys have another layout.
    pub fn claim(&self, link: &mut Link) -> Result<(), Failure> {
        let layout = self.keys.of(0, "layout");
        let mut claim = pipe();
        claim.cmd("HSETNX").arg(&layout).arg("version").arg(LAYOUT);
        claim.cmd("HSETNX").arg(&layout).arg("shards").arg(self.keys.shards());
        link.ask_all::<Vec<bool>>(&claim)?;
        self.check_layout(link)
    }

    /// Checks the layout of the keys, if there is one.
    ///
    /// # Errors
    /// Redis fails, or the keys have another layout.
    pub fn check_layout(&self, link: &mut Link) -> Result<(), Failure> {
        let layout = self.keys.of(0, "layout");
        let (version, shards): (Option<u32>, Option<Shard>) =
            link.ask(cmd("HMGET").arg(layout).arg("version").arg("shards"))?;
        if let Some(version) = version.filter(|&version| version != LAYOUT) {
            return Err(Failure::Refused(format!(
                "the keys have layout {version}, and this version of wsroom knows {LAYOUT}: use \
                 another version, or another --redis-prefix"
            )));
        }
        let own = self.keys.shards();
        if let Some(shards) = shards.filter(|&shards| shards != own) {
            return Err(Failure::Refused(format!(
                "--redis-shards {own}: the keys were made with {shards}: give that number, or \
                 another --redis-prefix"
            )));
        }
        Ok(())
    }
}

impl Link {
    /// From now on, a call waits so long for its answer.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn wait_at_most(&self, time: Duration) -> Result<(), Failure> {
        self.connection.set_read_timeout(Some(time))?;
        Ok(self.connection.set_write_timeout(Some(time))?)
    }

    /// Sends a command, and waits for its answer.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Failure> {
        Ok(command.query(&mut self.connection)?)
    }

    /// Sends several commands at once, and waits for their answers.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn ask_all<T: FromRedisValue>(&mut self, commands: &Pipeline) -> Result<T, Failure> {
        Ok(commands.query(&mut self.connection)?)
    }

    /// Runs a script on a shard; `arguments` adds what it takes.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run<T: FromRedisValue>(
        &mut self,
        script: Script,
        shard: Shard,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<T, Failure> {
        let mut command = cmd("EVALSHA");
        command.arg(&self.scripts[script as usize]).arg(1).arg(self.keys.of(shard, "head"));
        command.arg(shard).arg(self.keys.shards());
        arguments(&mut command);
        self.ask(&command)
    }
}

/// The pause before the next attempt, after so many in a row have failed: at once, then longer each
/// time. Half of it is chance, or all nodes would come back in the same moment.
pub fn pause(failures: u32) -> Duration {
    let doubled = Duration::from_millis(10) * 2_u32.pow(failures.min(10));
    let whole = if failures <= 1 { Duration::from_millis(10) } else { doubled.min(MAX_PAUSE) };
    // A new hasher has random keys.
    let chance = RandomState::new().hash_one(failures) % 1000;
    whole / 2 + whole / 2 * u32::try_from(chance).unwrap_or_default() / 1000
}
