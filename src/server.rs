//! Starts the parts of the server, connects them, and stops them in order.
//!
//! Not here: the work of any part. Called by the main thread (and by tests).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::api::credentials::Credentials;
use crate::api::health::Health;
use crate::api::invitation::BaseUrl;
use crate::api::leading::Leading;
use crate::api::rights::Rights;
use crate::api::rooms::Rooms;
use crate::api::routes::{Api, Routes};
use crate::api::users::Users;
use crate::capacity;
use crate::client::owner::Owners;
use crate::client::reading::{Clients, Limits};
use crate::client::stream::ESCAPED_BYTES;
use crate::http::accept::{Acceptor, DOOR_STACK, Entrance, LastCall};
use crate::http::admission::Admission;
use crate::http::door::{CLIENT_STACK, Door};
use crate::http::host::Hosts;
use crate::http::listener::{ListenError, listen, take_over};
use crate::http::outside::TrustedProxies;
use crate::http::proxy;
use crate::http::scrape::Scrape;
use crate::identity::auth::Auth;
use crate::identity::name::Name;
use crate::identity::rulebook::Rulebook;
use crate::identity::tokens::Tokens;
use crate::logging::Limited;
use crate::metrics::meters::Metrics;
use crate::net::byte_budget::ByteBudget;
use crate::net::certificate::Certificate;
use crate::net::networks::Networks;
use crate::net::pool::Pool;
use crate::net::slots::Slots;
use crate::options::{Data, Options, RedisUrl};
use crate::relay::broadcaster::{Broadcaster, GOODBYE, Keeper};
use crate::relay::events::{self, Event, Events};
use crate::relay::history::History;
use crate::store::memory::Memory;
use crate::store::redis::{self, Settings};
use crate::store::shared::SharedLog;
use crate::store::sqlite::Sqlite;
use crate::store::{Bounds, Directory, KeptMessages, MessageLog};

/// The most connections at a time to `--metrics-listen`.
const MAX_SCRAPES: usize = 4;

/// Bytes of history that all rooms together keep in memory.
const HISTORY_IN_MEMORY: usize = 64 << 20;

/// Bytes of history that all rooms together keep in the file of `--data`.
const HISTORY_IN_FILE: usize = 4 << 30;

/// The time between two looks at the files of the certificate and of the tokens.
const FILES_INTERVAL: Duration = Duration::from_secs(60);

/// The time in which a request is answered that was accepted before the server stops. Browsers also
/// open connections on which they ask nothing: these are waited for as long.
const REQUESTS: Duration = Duration::from_secs(1);

/// Why the server could not be started, in words for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server cannot listen on an address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// This host's limits leave no room for even one connection.
    #[error("--max-clients: {0}")]
    Capacity(String),
    /// The store of users and history cannot be opened.
    #[error("{0}")]
    Store(String),
    /// The certificate cannot be used.
    #[error("{0}")]
    Certificate(String),
    /// The file of tokens cannot be used.
    #[error("{0}")]
    Tokens(String),
    /// The system gave no socket, thread or temporary directory.
    #[error("the server could not be set up: {0}; free memory or descriptors, or set TMPDIR")]
    Setup(#[from] io::Error),
}

/// A running server. It runs until [`Server::stop`].
pub struct Server {
    base: BaseUrl,
    certificate: Option<Arc<Certificate>>,
    tokens: Option<Arc<Tokens>>,
    last_call: Arc<LastCall>,
    slots: Arc<Slots>,
    events: Events,
    accept: JoinHandle<()>,
    /// The listener of `--metrics-listen`, if there is one.
    scrapes: Option<Scrapes>,
    broadcaster: JoinHandle<()>,
    /// The log that other nodes share; `None`: this server is alone.
    shared: Option<Arc<dyn SharedLog>>,
    api: Api,
}

impl Server {
    /// Starts all threads; from then on clients can connect.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::net::TcpStream;
    ///
    /// use clap::Parser;
    /// use wsroom::options::Options;
    /// use wsroom::server::Server;
    ///
    /// // Port 0 lets the system pick a free port.
    /// let options = Options::parse_from(["wsroom", "--listen", "127.0.0.1:0"]);
    /// let server = Server::start(&options)?;
    ///
    /// let mut client = TcpStream::connect(server.address())?;
    /// client.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    /// let mut response = String::new();
    /// client.read_to_string(&mut response)?;
    /// assert!(response.starts_with("HTTP/1.1 200 OK\r\n"));
    /// assert!(response.contains(r#""status":"ok""#));
    ///
    /// server.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(options: &Options) -> Result<Self, StartError> {
        Self::start_on(options, None)
    }

    /// As [`Server::start`], on this socket instead of `--listen`: a service manager listens on it
    /// before the server starts, and after it has ended.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_on(options: &Options, socket: Option<TcpListener>) -> Result<Self, StartError> {
        let limit = capacity::clip(options.max_clients).map_err(StartError::Capacity)?;
        let certificate =
            Certificate::open(options, FILES_INTERVAL).map_err(StartError::Certificate)?;
        let certificate = certificate.map(Arc::new);
        let tokens = Tokens::open(options, FILES_INTERVAL).map_err(StartError::Tokens)?;
        let tokens = tokens.map(Arc::new);
        let (events, inbox) = events::open();
        let metrics = Arc::new(Metrics::default());
        let store = open_store(options, &events, &metrics).map_err(StartError::Store)?;
        let Store { directory, past, keeper, shared } = store;
        let listener = match socket {
            Some(socket) => take_over(socket)?,
            None => listen("--listen", options.listen)?,
        };
        let scrapes = options.metrics_listen.map(|address| listen("--metrics-listen", address));
        let scrapes = scrapes.transpose()?;
        let address = listener.local_addr()?;
        let (tiny_http, proxy) = proxy::open()?;
        let rulebook = Rulebook::default();
        rulebook.load(past.rules().map_err(|error| StartError::Store(error.to_string()))?);
        let broadcaster = Broadcaster::new(
            events.clone(),
            options,
            keeper,
            rulebook.clone(),
            Arc::clone(&metrics),
        );
        let broadcaster = spawn("broadcaster", move || broadcaster.run(&inbox))?;
        let scheme = if certificate.is_some() { "https" } else { "http" };
        let base = BaseUrl { scheme, address };
        let auth = Auth::new(Arc::clone(&directory), options.admin_token.as_deref());
        let credentials = Arc::new(Credentials { auth, tokens: tokens.clone() });
        let rights = Arc::new(Rights::new(Arc::clone(&credentials), rulebook));
        let routes = Routes {
            leading: Leading::new(
                events.clone(),
                Arc::clone(&past),
                Arc::clone(&directory),
                Arc::clone(&rights),
            ),
            users: Users::new(
                directory,
                events.clone(),
                Arc::clone(&credentials),
                options.max_new_users,
            ),
            rooms: Rooms::new(
                events.clone(),
                Arc::clone(&past),
                Arc::clone(&rights),
                options.max_rate,
                options.max_bytes_rate,
            ),
            health: Health::new(events.clone(), certificate.clone(), options),
            base,
            credentials: Arc::clone(&credentials),
        };
        let api = Api::start(tiny_http, routes)?;
        proxy.prove()?;
        let slots = Slots::new(limit);
        let last_call = Arc::new(LastCall::default());
        let networks = Networks::new(options.max_clients_per_ip);
        let door = Door {
            clients: Clients {
                limits: limits(options),
                events: events.clone(),
                past: Arc::clone(&past),
                escaped: Arc::new(ByteBudget::new(ESCAPED_BYTES)),
                metrics: Arc::clone(&metrics),
                left: Limited::default(),
                owners: Owners::default(),
            },
            past,
            proxy,
            admission: Admission::new(Arc::clone(&credentials)),
            threads: Pool::new("client", CLIENT_STACK),
            scrape: Scrape {
                metrics,
                events: events.clone(),
                slots: Arc::clone(&slots),
                certificate: certificate.clone(),
                credentials: Arc::clone(&credentials),
            },
            credentials,
            base,
            trusted_proxies: TrustedProxies::new(&options.trusted_proxy),
            networks: Arc::clone(&networks),
            hosts: Hosts::new(&options.host, certificate.as_ref()),
            rights,
            certificate: certificate.clone(),
            allow_origin: options.allow_origin.clone(),
            refused: Limited::default(),
            joined: Limited::default(),
        };
        let door = Arc::new(door);
        let scrapes = match scrapes {
            Some(listener) => Some(Scrapes::start(listener, &door)?),
            None => None,
        };
        let acceptor = Acceptor {
            listener,
            last_call: Arc::clone(&last_call),
            slots: Arc::clone(&slots),
            networks,
            door: Arc::clone(&door),
            threads: Pool::new("door", DOOR_STACK),
            entrance: Entrance::Main,
        };
        if options.data.is_none() && options.history > 0 {
            log::info!("users and history end with the program: --data FILE keeps them");
        }
        let accept = spawn("accept", move || acceptor.run())?;
        Ok(Self {
            base,
            certificate,
            tokens,
            last_call,
            slots,
            events,
            accept,
            scrapes,
            broadcaster,
            shared,
            api,
        })
    }

    /// The address on which it listens, with the port that the system gave it.
    pub fn address(&self) -> SocketAddr {
        self.base.address
    }

    /// The address on which everyone may read the metrics, if there is one.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.scrapes.as_ref().map(|scrapes| scrapes.address)
    }

    /// The beginning of all URLs of this server.
    pub fn base(&self) -> BaseUrl {
        self.base
    }

    /// The certificate that it shows to clients; `None` if it does not speak TLS.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_deref()
    }

    /// Whether it asks for a token.
    pub fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Makes it look for a new certificate and new tokens now.
    pub fn renew(&self) {
        if let Some(certificate) = &self.certificate {
            certificate.renew();
        }
        if let Some(tokens) = &self.tokens {
            tokens.renew();
        }
    }

    /// Answers whether the broadcaster takes an event out of its inbox within the time that it is
    /// given. It outlives the server, and then answers `false`.
    pub fn pulse(&self) -> impl FnMut(Duration) -> bool + Send + use<> {
        let events = self.events.clone();
        move |timeout| events.ask(timeout).is_some()
    }

    /// Stops in this order, within [`GOODBYE`] and about two seconds:
    /// 1. no more connections are accepted, and the port is free, unless a service manager has it too:
    ///    then the next server accepts those that wait;
    /// 2. requests that were accepted are answered, within [`REQUESTS`]; then those who have not asked
    ///    yet are sent away;
    /// 3. every client gets a Close frame with 1001, and time to answer it; the other nodes are told
    ///    that this one's members have left;
    /// 4. connections that are still open are shut, which ends their threads;
    /// 5. the page's threads end.
    pub fn stop(self) {
        self.last_call.make(self.base.address);
        join(self.accept);
        if let Some(Scrapes { address, last_call, accept }) = self.scrapes {
            last_call.make(address);
            join(accept);
        }
        self.slots.wait_until_all_joined(Instant::now() + REQUESTS);
        self.slots.end_unjoined();
        let deadline = Instant::now() + GOODBYE;
        self.events.send(Event::Stopped);
        join(self.broadcaster);
        if let Some(shared) = self.shared {
            shared.leave();
        }
        self.slots.wait_until_empty(deadline);
        self.slots.end_all();
        if !self.slots.wait_until_empty(Instant::now() + Duration::from_secs(1)) {
            log::warn!("some connections did not end in time");
        }
        self.api.stop();
    }
}

/// The listener of `--metrics-listen`, and its thread. It has slots of its own, so that a full server
/// can be watched.
struct Scrapes {
    address: SocketAddr,
    last_call: Arc<LastCall>,
    accept: JoinHandle<()>,
}

impl Scrapes {
    fn start(listener: TcpListener, door: &Arc<Door>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let last_call = Arc::new(LastCall::default());
        let acceptor = Acceptor {
            listener,
            last_call: Arc::clone(&last_call),
            slots: Slots::new(MAX_SCRAPES),
            networks: Networks::new(0),
            door: Arc::clone(door),
            threads: Pool::new("door", DOOR_STACK),
            entrance: Entrance::Metrics,
        };
        log::info!("the metrics are at http://{address}/metrics");
        Ok(Self { address, last_call, accept: spawn("accept-metrics", move || acceptor.run())? })
    }
}

/// The parts of the store.
struct Store {
    /// The users.
    directory: Arc<dyn Directory>,
    /// The messages that are kept.
    past: Arc<dyn KeptMessages>,
    /// Who keeps new ones.
    keeper: Keeper,
    /// The log that other nodes share, if there is one.
    shared: Option<Arc<dyn SharedLog>>,
}

/// Users and history where `--data` says; without it, both in memory.
fn open_store(options: &Options, events: &Events, metrics: &Arc<Metrics>) -> Result<Store, String> {
    match &options.data {
        Some(Data::Redis(url)) => open_shared(options, url, events, metrics),
        _ => open_own(options),
    }
}

fn open_own(options: &Options) -> Result<Store, String> {
    let file = options.data_file();
    let bounds = bounds(options, if file.is_some() { HISTORY_IN_FILE } else { HISTORY_IN_MEMORY });
    let sqlite = Arc::new(Sqlite::open(file, bounds, Name::folded)?);
    let directory = Arc::clone(&sqlite) as Arc<dyn Directory>;
    let log = file.map_or_else(|| Arc::new(Memory::new(bounds)) as Arc<dyn MessageLog>, |_| sqlite);
    let history = History::open(log, options.history).map_err(|error| error.to_string())?;
    Ok(Store { directory, past: history.past(), keeper: Keeper::Own(history), shared: None })
}

/// The store that other nodes share. Waits until Redis answers.
fn open_shared(
    options: &Options,
    url: &RedisUrl,
    events: &Events,
    metrics: &Arc<Metrics>,
) -> Result<Store, String> {
    let settings =
        Settings::new(&options.redis_prefix, options.redis_shards, bounds(options, usize::MAX));
    let settings = Settings { metrics: Arc::clone(metrics), ..settings };
    let events = events.clone();
    let redis = redis::open(url, settings, Box::new(move |told| events.tell(told)))?;
    let redis = Arc::new(redis);
    let (log, past) =
        (Arc::clone(&redis) as Arc<dyn SharedLog>, Arc::clone(&redis) as Arc<dyn KeptMessages>);
    let keeper = Keeper::Shared(Arc::clone(&log), Arc::clone(&past));
    Ok(Store { directory: redis, past, keeper, shared: Some(log) })
}

fn bounds(options: &Options, bytes: usize) -> Bounds {
    let idle = (!options.forget_after.is_zero()).then_some(options.forget_after);
    Bounds { messages: options.history, bytes, idle }
}

fn limits(options: &Options) -> Limits {
    Limits {
        message_size: options.max_message_size,
        rate: options.max_rate,
        bytes_rate: options.max_bytes_rate,
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
