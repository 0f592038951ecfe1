//! Who is measured: the program, or a floor, each as a process of its own.
//!
//! Not here: what the floors do (see `floor`).

use std::env;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

use super::credentials::{self, Credentials};
use super::destination::Destination;
use super::redis::Redis;
use crate::relay::floor::handshake;
use crate::relay::floor::server::Manner;
use crate::relay::loads::many_rooms;
use crate::relay::plan::scenario::{Keeps, Scenario, Transport};

/// Where everyone listens.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long a server may take to tell its address.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Who can be measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Contender {
    /// The program.
    Server,
    /// The program again, in a scenario that goes easier on it.
    Unhindered,
    /// The program again, without TLS.
    Plain,
    /// The program again, without a history.
    Forgetful,
    /// The program again, one alone and without a Redis.
    Alone,
    /// A floor.
    Floor(Manner),
}

impl Contender {
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Unhindered => "unhindered",
            Self::Plain => "plain",
            Self::Forgetful => "forgetful",
            Self::Alone => "alone",
            Self::Floor(Manner::OneSendEach) => "one send each",
            Self::Floor(Manner::Joined) => "joined sends",
        }
    }

    /// Starts it on a free port of 127.0.0.1; `options` are for the program alone.
    pub fn start(self, scenario: &Scenario, options: &[&str]) -> io::Result<Running> {
        let credentials = match scenario.transport {
            Transport::Plain => None,
            Transport::Tls => Some(Credentials::make(HOST)?),
        };
        let files = credentials.as_ref().map(Credentials::options);
        let data = TempDir::new()?;
        let file = data.path().join("kept");
        let mut command = match self {
            Self::Floor(manner) => floor(manner)?,
            _ => program(options),
        };
        command.args(files.iter().flatten());
        match scenario.keeps {
            Keeps::AsUsual => &mut command,
            Keeps::InAFile => command.arg("--data").arg(file),
            Keeps::ManyRooms(rooms) => {
                make_rooms(rooms, &file)?;
                command.arg("--data").arg(file)
            }
            Keeps::InRedis { servers } => return on_redis(servers, &mut command),
            Keeps::Nothing => command.args(["--history", "0"]),
        };
        Running::new(spawn(&mut command)?, credentials, Some(data))
    }
}

/// So many servers, all started by this command, on a Redis of their own.
fn on_redis(servers: usize, command: &mut Command) -> io::Result<Running> {
    let redis = Redis::start()?;
    command.arg("--data").arg(redis.url());
    let mut running = Running::new(spawn(command)?, None, None)?;
    for _ in 1..servers {
        running.others.push(Running::new(spawn(command)?, None, None)?);
    }
    running.redis = Some(redis);
    Ok(running)
}

/// By a server that ends with this.
fn make_rooms(rooms: usize, file: &Path) -> io::Result<()> {
    let server = Running::new(spawn(program(&[]).arg("--data").arg(file))?, None, None)?;
    many_rooms::make(rooms, &server.destination())
}

fn spawn(command: &mut Command) -> io::Result<Child> {
    let child = command.stdout(Stdio::piped()).stdin(Stdio::piped()).spawn();
    child.map_err(|error| io::Error::other(format!("{}: {error}", command.get_program().display())))
}

/// The program that cargo has just built, or the one that WSROOM_BIN names.
fn program(options: &[&str]) -> Command {
    let built = || env!("CARGO_BIN_EXE_wsroom").into();
    let mut command = Command::new(env::var_os("WSROOM_BIN").unwrap_or_else(built));
    // Its own options may stand in the environment too, and would change what is measured.
    for (name, _) in
        env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"WSROOM_"))
    {
        command.env_remove(name);
    }
    command.args(["--listen", "127.0.0.1:0", "-q", "--max-clients", "12000"]).args(options);
    command
}

fn floor(manner: Manner) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("--floor").arg(manner.name());
    Ok(command)
}

/// A running server; it is ended when this is dropped, however the scenario went.
pub struct Running {
    child: Child,
    address: SocketAddr,
    /// Of a server that speaks TLS.
    credentials: Option<Credentials>,
    /// Where its file is, if it has one; it goes with the server.
    _data: Option<TempDir>,
    /// The other servers on the same Redis.
    others: Vec<Running>,
    redis: Option<Redis>,
}

impl Running {
    fn new(
        mut child: Child,
        credentials: Option<Credentials>,
        data: Option<TempDir>,
    ) -> io::Result<Self> {
        let output = child.stdout.take();
        let address = SocketAddr::new(HOST, 0);
        let mut running =
            Self { child, address, credentials, _data: data, others: Vec::new(), redis: None };
        let output = output.ok_or_else(|| io::Error::other("no standard output"))?;
        running.address = address_in(output)?;
        Ok(running)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its clients need to know.
    pub fn destination(&self) -> Destination {
        let tls = self.credentials.as_ref().map(|credentials| Arc::clone(&credentials.client));
        let others = self.others.iter().map(Self::address).collect();
        Destination { address: self.address, others, tls }
    }

    /// CPU time of its half of a TLS handshake, and of nothing else; `None` without TLS.
    pub fn cost_of_handshake(&self) -> io::Result<Option<Duration>> {
        let cost = |Credentials { server, client, .. }: &Credentials| {
            handshake::cost(server, &credentials::resuming(client))
        };
        self.credentials.as_ref().map(cost).transpose()
    }

    /// The processes of all servers.
    pub fn processes(&self) -> impl Iterator<Item = u32> {
        let others = self.others.iter().map(|other| other.child.id());
        std::iter::once(self.child.id()).chain(others)
    }

    /// The process of their Redis, if they share one.
    pub fn redis(&self) -> Option<u32> {
        self.redis.as_ref().map(Redis::process)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // At once: saying goodbye to 10,000 clients is not what is measured.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in a server's first lines. A thread reads them, so that a server that prints
/// nothing cannot hold up the run, and reads on, so that one that prints more is never held up.
fn address_in(output: ChildStdout) -> io::Result<SocketAddr> {
    let (found, address) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let rest = line.split_once("://").map(|(_, rest)| rest);
            let text = rest.and_then(|rest| rest.split('/').next());
            if let Some(address) = text.and_then(|text| text.parse().ok()) {
                // Only the first is waited for.
                let _ = found.send(address);
            }
        }
    });
    let missing = |_| io::Error::other("the server did not print its address");
    address.recv_timeout(PATIENCE).map_err(missing)
}
