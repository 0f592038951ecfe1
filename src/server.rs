//! Wires the parts together, and stops them in order.
//!
//! Not here: any of their work. Called by the main thread (and by tests).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::api::credentials::Credentials;
use crate::api::health::Health;
use crate::api::invitation::BaseUrl;
use crate::api::rooms::Rooms;
use crate::api::routes::{Api, Routes};
use crate::api::users::Users;
use crate::capacity;
use crate::client::reading::{Clients, Limits};
use crate::http::accept::Acceptor;
use crate::http::door::Door;
use crate::http::proxy;
use crate::identity::auth::Auth;
use crate::identity::name::Name;
use crate::logging::Limited;
use crate::net::certificate::Certificate;
use crate::net::slots::Slots;
use crate::options::Options;
use crate::relay::broadcaster::{Broadcaster, GOODBYE};
use crate::relay::events;
use crate::relay::events::{Event, Events};
use crate::relay::history::History;
use crate::store::memory::Memory;
use crate::store::sqlite::Sqlite;
use crate::store::{Bounds, Directory, MessageLog};

/// Connections that may wait to be accepted. A class opens the page at once.
const LISTEN_QUEUE: i32 = 4096;

/// Bytes of history in all rooms.
const IN_MEMORY: usize = 64 << 20;
const IN_A_FILE: usize = 4 << 30;

/// How often the certificate's files are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// A server that could not be started, in words for the person who did.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("--listen {address}: {error}; {}", remedy(error))]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// `--max-clients` cannot be had at all.
    #[error("--max-clients: {0}")]
    Capacity(String),
    /// Users and history cannot be kept where they should be.
    #[error("{0}")]
    Store(String),
    /// The certificate cannot be used.
    #[error("{0}")]
    Certificate(String),
    /// The system gave no socket, thread or temporary directory.
    #[error("the server could not be set up: {0}; free memory or descriptors, or set TMPDIR")]
    Setup(#[from] io::Error),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop the program that uses it, or choose another port",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one",
        io::ErrorKind::AddrNotAvailable => "this host has no such address: try 0.0.0.0 or [::]",
        _ => "choose another address",
    }
}

/// A running server. It runs until [`Server::stop`].
pub struct Server {
    base: BaseUrl,
    certificate: Option<Arc<Certificate>>,
    stopping: Arc<AtomicBool>,
    slots: Arc<Slots>,
    events: Events,
    accept: JoinHandle<()>,
    broadcaster: JoinHandle<()>,
    api: Api,
}

impl Server {
    /// Starts all threads; from then on clients can connect.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(options: &Options) -> Result<Self, StartError> {
        let limit = capacity::clip(options.max_clients).map_err(StartError::Capacity)?;
        let certificate = Certificate::open(options, LOOK).map_err(StartError::Certificate)?;
        let certificate = certificate.map(Arc::new);
        let Store { directory, log } = open_store(options).map_err(StartError::Store)?;
        let address = options.listen;
        let listener = listen(address).map_err(|error| StartError::Listen { address, error })?;
        let address = listener.local_addr()?;
        let (tiny_http, proxy) = proxy::open()?;
        let (events, inbox) = events::open();
        let history = History::open(Arc::clone(&log), options.history)
            .map_err(|error| StartError::Store(error.to_string()))?;
        let broadcaster = Broadcaster::new(events.clone(), options, history);
        let broadcaster = spawn("broadcaster", move || broadcaster.run(&inbox))?;
        let scheme = if certificate.is_some() { "https" } else { "http" };
        let base = BaseUrl { scheme, address };
        let auth = Auth::new(Arc::clone(&directory), options.admin_token.as_deref());
        let credentials = Arc::new(Credentials::new(auth, base));
        let routes = Routes {
            users: Users::new(
                directory,
                events.clone(),
                Arc::clone(&credentials),
                options.max_new_users,
            ),
            rooms: Rooms::new(
                events.clone(),
                Arc::clone(&log),
                Arc::clone(&credentials),
                options.max_rate,
            ),
            health: Health::new(events.clone()),
            base,
        };
        let api = Api::start(tiny_http, routes)?;
        proxy.prove()?;
        let slots = Slots::new(limit);
        let stopping = Arc::new(AtomicBool::new(false));
        let door = Door {
            clients: Clients {
                limits: limits(options),
                events: events.clone(),
                left: Limited::default(),
            },
            log,
            proxy,
            credentials,
            certificate: certificate.clone(),
            allow_origin: options.allow_origin.clone(),
            refused: Limited::default(),
            joined: Limited::default(),
        };
        let acceptor = Acceptor {
            listener,
            stopping: Arc::clone(&stopping),
            slots: Arc::clone(&slots),
            door: Arc::new(door),
        };
        if options.data.is_none() && options.history > 0 {
            log::info!("users and history end with the program: --data FILE keeps them");
        }
        let accept = spawn("accept", move || acceptor.run())?;
        Ok(Self { base, certificate, stopping, slots, events, accept, broadcaster, api })
    }

    /// Where it listens, with the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.base.address
    }

    /// The same, as people come to it.
    pub fn base(&self) -> BaseUrl {
        self.base
    }

    /// What it shows to clients, where it speaks TLS.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_deref()
    }

    /// Stops in this order, within [`GOODBYE`] and a bit:
    /// 1. no more connections are accepted, and the port is free;
    /// 2. connections that have not asked for anything yet are ended;
    /// 3. every client gets Close 1001 and the time to answer it;
    /// 4. what is still open is shut, which ends its threads;
    /// 5. the page's threads end.
    pub fn stop(self) {
        let deadline = Instant::now() + GOODBYE;
        self.stopping.store(true, Ordering::Release);
        wake(self.base.address);
        join(self.accept);
        self.slots.end_unjoined();
        self.events.send(Event::Stopped);
        join(self.broadcaster);
        self.slots.wait_until_empty(deadline);
        self.slots.end_all();
        if !self.slots.wait_until_empty(Instant::now() + Duration::from_secs(1)) {
            log::warn!("some connections did not end in time");
        }
        self.api.stop();
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for the last connections' TIME_WAIT. On Windows the same option
    // would let another program take the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_QUEUE)?;
    Ok(socket.into())
}

/// Where users and history are kept.
struct Store {
    directory: Arc<dyn Directory>,
    log: Arc<dyn MessageLog>,
}

/// Users and history in the file of `--data`; without one, both in memory.
fn open_store(options: &Options) -> Result<Store, String> {
    let (file, forget_after) = (options.data.as_deref(), options.forget_after);
    let bounds = Bounds {
        messages: options.history,
        bytes: if file.is_some() { IN_A_FILE } else { IN_MEMORY },
        idle: (!forget_after.is_zero()).then_some(forget_after),
    };
    let sqlite = Arc::new(Sqlite::open(file, bounds, Name::folded)?);
    let directory = Arc::clone(&sqlite) as Arc<dyn Directory>;
    let log = file.map_or_else(|| Arc::new(Memory::new(bounds)) as Arc<dyn MessageLog>, |_| sqlite);
    Ok(Store { directory, log })
}

fn limits(options: &Options) -> Limits {
    Limits {
        message_size: options.max_message_size,
        rate: options.max_rate,
        idle: options.idle_timeout,
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        log::error!("a thread of the server has panicked");
    }
}

/// A blocked `accept` can only be woken by a connection. If none can be made, it is not blocked:
/// it fails for the same reason, and looks whether to stop.
fn wake(mut address: SocketAddr) {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
}
