//! TLS 1.3 records (RFC 8446 §5), counted without opening them.
//!
//! A record tells its length before it is encrypted, so whoever counts needs no key. Not here:
//! what is in them (see `session`).

use std::io;

/// Type, version, and length.
const HEADER: usize = 5;

/// What encryption adds: the real type, and the tag of AES-GCM.
const ADDED: usize = 1 + 16;

/// The types from ChangeCipherSpec on, and that of all encrypted ones.
const TYPES: std::ops::RangeInclusive<u8> = 20..=APPLICATION_DATA;
const APPLICATION_DATA: u8 = 23;

/// How far one stream has come.
#[derive(Default)]
pub struct Records {
    header: [u8; HEADER],
    /// Bytes of the header that have come.
    come: usize,
    /// Bytes of the record itself that have not.
    left: usize,
    /// Encrypted records that are complete.
    pub count: u64,
}

impl Records {
    /// Goes on by so many bytes; answers with the plaintext's in those records that they complete.
    pub fn pass(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        let mut plaintext = 0;
        while !bytes.is_empty() {
            if self.come < HEADER {
                bytes = self.pass_header(bytes)?;
                continue;
            }
            let passed = bytes.len().min(self.left);
            bytes = &bytes[passed..];
            self.left -= passed;
            if self.left == 0 {
                plaintext += self.end();
            }
        }
        Ok(plaintext)
    }

    fn pass_header<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let (header, rest) = bytes.split_at(bytes.len().min(HEADER - self.come));
        self.header[self.come..self.come + header.len()].copy_from_slice(header);
        self.come += header.len();
        if !TYPES.contains(&self.header[0]) {
            return Err(io::Error::other("the server sent something that is no TLS record"));
        }
        self.left = self.length();
        Ok(rest)
    }

    /// A record is complete: its plaintext's length, if it was encrypted.
    fn end(&mut self) -> usize {
        self.come = 0;
        if self.header[0] != APPLICATION_DATA {
            return 0;
        }
        self.count += 1;
        self.length().saturating_sub(ADDED)
    }

    fn length(&self) -> usize {
        usize::from(u16::from_be_bytes([self.header[3], self.header[4]]))
    }
}
