//! An address that the server listens on: it is taken, and then connections may come.
//!
//! Not here: accepting them (`accept`). Runs on the main thread.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::net::connection::set_options;

/// The most connections that wait to be accepted: a whole class may open the page at once.
const QUEUE: i32 = 4096;

/// The server cannot listen on an address.
#[derive(Debug, thiserror::Error)]
#[error("{option} {address}: {error}; {}", remedy(.error))]
pub struct ListenError {
    option: &'static str,
    address: SocketAddr,
    error: io::Error,
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop the program that uses it, or choose another port",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one",
        io::ErrorKind::AddrNotAvailable => "this host has no such address: try 0.0.0.0 or [::]",
        _ => "choose another address",
    }
}

/// Listens on the address of this option.
///
/// # Errors
/// As [`bind`].
pub fn listen(option: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let socket = bind(option, address)?;
    let listening = set_options(&socket).and_then(|()| socket.listen(QUEUE));
    listening.map_err(|error| ListenError { option, address, error })?;
    Ok(socket.into())
}

/// Listens on a socket that a service manager has handed over.
///
/// # Errors
/// The socket takes no options.
pub fn take_over(socket: TcpListener) -> io::Result<TcpListener> {
    // It may have been made with other options, and the accept thread must block.
    socket.set_nonblocking(false)?;
    set_options(&SockRef::from(&socket))?;
    let own = socket.local_addr()?;
    log::info!("the service manager listens on {own}; --listen has no effect");
    Ok(socket)
}

/// Takes the address of this option. Nobody can connect to it yet.
///
/// # Errors
/// It is in use, or not this host's; the error is a sentence with the remedy.
pub fn bind(option: &'static str, address: SocketAddr) -> Result<Socket, ListenError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // So a restart need not wait until the old connections leave TIME_WAIT. On Windows the same
        // option would let another program take the port.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    bind().map_err(|error| ListenError { option, address, error })
}
