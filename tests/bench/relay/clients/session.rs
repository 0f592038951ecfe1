//! One client's TLS: what it says is sealed, and what it hears is opened, or counted only.
//!
//! It touches no socket (`connection` does). A client that has begun to count cannot go back to
//! opening: what it passed over would be missing.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection};

use super::records::Records;

pub struct Session {
    connection: ClientConnection,
    records: Records,
}

impl Session {
    pub fn new(config: Arc<ClientConfig>, server: IpAddr) -> io::Result<Self> {
        let connection = ClientConnection::new(config, server.into()).map_err(io::Error::other)?;
        Ok(Self { connection, records: Records::default() })
    }

    /// Appends what is to be sent: this, sealed, and what the handshake has to say. Until that is
    /// over, what is said waits here.
    pub fn seal(&mut self, plaintext: &[u8], sealed: &mut Vec<u8>) -> io::Result<()> {
        self.connection.writer().write_all(plaintext)?;
        while self.connection.wants_write() {
            self.connection.write_tls(sealed)?;
        }
        Ok(())
    }

    /// Appends what was said in here.
    pub fn open(&mut self, mut sealed: &[u8], plaintext: &mut Vec<u8>) -> io::Result<()> {
        self.records.pass(sealed)?;
        // Behind the server's last word nothing is taken.
        while !sealed.is_empty() && self.connection.read_tls(&mut sealed)? > 0 {
            let state = self.connection.process_new_packets().map_err(io::Error::other)?;
            let start = plaintext.len();
            plaintext.resize(start + state.plaintext_bytes_to_read(), 0);
            self.connection.reader().read_exact(&mut plaintext[start..])?;
        }
        Ok(())
    }

    /// The number of bytes that were said in here.
    pub fn count(&mut self, sealed: &[u8]) -> io::Result<usize> {
        self.records.pass(sealed)
    }

    /// Encrypted records that have come.
    pub fn records(&self) -> u64 {
        self.records.count
    }
}
