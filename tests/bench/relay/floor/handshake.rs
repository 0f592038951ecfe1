//! What a TLS handshake alone costs a server: its half of one after the other, in memory.
//!
//! As in `churn`, each but the first resumes the session before it. Not here: sockets, and records
//! behind the handshake (`encryption`).

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use crate::relay::measure::system;

const HANDSHAKES: u32 = 200;

/// The CPU time of the server's half of one handshake.
pub fn cost(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> io::Result<Duration> {
    // The first is dear, and brings the ticket for the next.
    one(server, client)?;
    let mut sum = Duration::ZERO;
    for _ in 0..HANDSHAKES {
        sum += one(server, client)?;
    }
    Ok(sum / HANDSHAKES)
}

fn one(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> io::Result<Duration> {
    let name = IpAddr::from(Ipv4Addr::LOCALHOST).into();
    let mut client = ClientConnection::new(Arc::clone(client), name).map_err(io::Error::other)?;
    let (mut server_side, mut spent) = (None, Duration::ZERO);
    let mut to_client = Vec::new();
    loop {
        let mut to_server = Vec::new();
        client.read_tls(&mut to_client.as_slice())?;
        client.process_new_packets().map_err(io::Error::other)?;
        while client.wants_write() {
            client.write_tls(&mut to_server)?;
        }
        if to_server.is_empty() {
            return Ok(spent);
        }
        let start = system::own_cpu()?;
        to_client = answer(server_side.get_or_insert(begin(server)?), &to_server)?;
        spent += system::own_cpu()? - start;
    }
}

fn begin(server: &Arc<ServerConfig>) -> io::Result<ServerConnection> {
    ServerConnection::new(Arc::clone(server)).map_err(io::Error::other)
}

fn answer(server: &mut ServerConnection, mut bytes: &[u8]) -> io::Result<Vec<u8>> {
    while !bytes.is_empty() {
        server.read_tls(&mut bytes)?;
        server.process_new_packets().map_err(io::Error::other)?;
    }
    let mut answer = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut answer)?;
    }
    Ok(answer)
}
