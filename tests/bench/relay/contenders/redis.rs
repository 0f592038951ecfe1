//! The Redis of one trial, as the README wants it: each write is appended to a file, which reaches the
//! disk once a second. It is the one that is installed; without it these scenarios fail, and say so.

use std::io;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::contender::PATIENCE;

/// It is ended when this is dropped.
pub struct Redis {
    child: Child,
    /// Its file and its socket; they go with it.
    place: TempDir,
}

impl Redis {
    /// Returns when it answers.
    pub fn start() -> io::Result<Self> {
        let place = TempDir::new()?;
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--unixsocket", "redis.sock", "--dir"]).arg(place.path());
        command.args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.map_err(|error| io::Error::other(format!("redis-server: {error}")))?;
        let redis = Self { child, place };
        redis.wait()?;
        Ok(redis)
    }

    fn wait(&self) -> io::Result<()> {
        let client = redis::Client::open(self.url()).map_err(io::Error::other)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match client.get_connection() {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(io::Error::other(error)),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// For `--data`.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.place.path().join("redis.sock").display())
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
