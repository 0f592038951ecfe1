//! What encryption alone costs: one TLS 1.3 record after the other, and nothing else.
//!
//! With TLS, nothing can deliver a message for less than it takes to deliver it plain and to
//! encrypt it once for each receiver. The second part is measured here, on this thread, with the
//! cipher suite that the clients speak. They have a key each, and so have the records here: when
//! its turn comes, a key is not where the last one was. Not here: handshakes, sockets, and the
//! buffers between them.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::error::Unspecified;

use crate::relay::measure::system;
use crate::relay::messages::frame;
use crate::relay::plan::scenario::Scenario;

/// Records for each client: enough for a steady figure, and some 20 ms for 1000 clients.
const RECORDS: u64 = 100;

/// Type 23, and the version that all records tell (RFC 8446 §5.2).
const APPLICATION_DATA: u8 = 23;
const VERSION: [u8; 2] = [3, 3];

const TAG: usize = 16;

/// The CPU time of one record with one message, sealed for one client.
pub fn cost_of_record(scenario: &Scenario) -> io::Result<Duration> {
    let message = vec![b'.'; frame::length_around(scenario.bytes)];
    let writers: io::Result<Vec<_>> = (0..scenario.clients).map(Writer::new).collect();
    let (writers, mut record) = (writers?, Vec::new());
    // The first of them are dear, and a server's are long over.
    seal(0, &writers, &message, &mut record)?;
    let start = system::own_cpu()?;
    for number in 1..=RECORDS {
        seal(number, &writers, &message, &mut record)?;
    }
    let records = RECORDS * writers.len() as u64;
    let nanos = (system::own_cpu()? - start).as_nanos() as u64;
    Ok(Duration::from_nanos(nanos / records))
}

/// The message, for everyone.
fn seal(number: u64, writers: &[Writer], message: &[u8], record: &mut Vec<u8>) -> io::Result<()> {
    writers.iter().try_for_each(|writer| {
        writer.seal(number, message, record)?;
        black_box(record.as_slice());
        Ok(())
    })
}

struct Writer {
    key: LessSafeKey,
    iv: [u8; 12],
}

impl Writer {
    /// No key takes longer than another, so any will do.
    fn new(client: usize) -> io::Result<Self> {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&(client as u64).to_be_bytes());
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(failed)?;
        Ok(Self { key: LessSafeKey::new(key), iv: [0x5a; 12] })
    }

    /// Writes a record (RFC 8446 §5.2 and §5.3).
    fn seal(&self, number: u64, message: &[u8], record: &mut Vec<u8>) -> io::Result<()> {
        let length = (message.len() + 1 + TAG) as u16;
        let [high, low] = length.to_be_bytes();
        let header = [APPLICATION_DATA, VERSION[0], VERSION[1], high, low];
        record.clear();
        record.extend_from_slice(&header);
        record.extend_from_slice(message);
        record.push(APPLICATION_DATA);
        let mut nonce = self.iv;
        nonce[4..].iter_mut().zip(number.to_be_bytes()).for_each(|(byte, digit)| *byte ^= digit);
        let (nonce, header) = (Nonce::assume_unique_for_key(nonce), Aad::from(header));
        let sealed = &mut record[header.as_ref().len()..];
        let tag = self.key.seal_in_place_separate_tag(nonce, header, sealed);
        record.extend_from_slice(tag.map_err(failed)?.as_ref());
        Ok(())
    }
}

/// ring never tells more.
fn failed(_: Unspecified) -> io::Error {
    io::Error::other("encrypting failed")
}
