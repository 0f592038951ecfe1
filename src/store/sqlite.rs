//! SQLite: users and history in a file that outlives the program, or users alone in memory.
//!
//! One program at a time uses a file. After a `kill -9` all committed data is there (WAL); after a
//! power cut all but the last moments (`synchronous=NORMAL`). One connection writes, behind a lock
//! that is held for one call. A few others read, and never make the writer wait; each call takes
//! one that is free. Not here: the statements of the history (`sqlite_log`), and who may do what
//! (`api`). Called from many threads.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, unbounded};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

use crate::protocol::address::RoomName;
use crate::protocol::message::{Message, MessageId, Origin, UserId, now};
use crate::store::schema::{self, Fold};
use crate::store::sqlite_acts;
use crate::store::sqlite_log::{self, Appender};
use crate::store::{
    Bounds, Directory, Fields, HistoryPage, KeptMessages, KeyHash, MessageLog, Range, Result,
    StoreError, User,
};

/// The most users in the directory.
const MAX_USERS: i64 = 100_000;

/// The number of connections that read. One reads a page of history in less than a millisecond.
const READERS: usize = 4;

/// The number of statements that each connection keeps prepared.
const STATEMENTS: usize = 32;

/// After this many bytes the write-ahead log is started anew. SQLite does so by itself, but only at a
/// moment when nobody reads. If somebody always reads, the log would grow for ever.
const WAL_BYTES: i64 = 16 << 20;

/// An open database.
pub struct Sqlite {
    writer: Mutex<Writer>,
    readers: Readers,
    /// `--history`, in messages.
    max_messages: i64,
    /// See [`schema::Database::lock`].
    _lock: Option<File>,
}

struct Writer {
    connection: Connection,
    appender: Appender,
    /// Bytes written since the write-ahead log was started anew.
    written: i64,
}

impl Sqlite {
    /// Opens `file`, or memory, and brings an older schema up to date; `fold` makes the form by which
    /// names are compared.
    ///
    /// # Errors
    /// The file cannot be used; the error is a sentence with the file and the remedy.
    pub fn open(
        file: Option<&Path>,
        bounds: Bounds,
        fold: Fold,
    ) -> std::result::Result<Self, String> {
        let schema::Database { writer: connection, readers, lock } =
            schema::open(file, READERS, fold)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let writer = Writer { connection, appender: Appender::new(bounds), written: 0 };
        let max_messages = i64::try_from(bounds.messages).unwrap_or(i64::MAX);
        Ok(Self {
            writer: Mutex::new(writer),
            readers: Readers::new(readers),
            max_messages,
            _lock: lock,
        })
    }

    /// A poisoned lock is used on: after a panic, a transaction that was not committed is rolled back.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads on a connection that is free; in memory on the only one.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        Ok(match self.readers.take() {
            Some(reader) => read(&reader)?,
            None => read(&self.writer().connection)?,
        })
    }
}

/// The connections that read.
struct Readers {
    count: usize,
    free: Receiver<Connection>,
    back: Sender<Connection>,
}

/// A connection that reads. It is given back when this value is dropped.
struct Reader<'a> {
    connection: Option<Connection>,
    back: &'a Sender<Connection>,
}

impl Readers {
    fn new(connections: Vec<Connection>) -> Self {
        let (count, (back, free)) = (connections.len(), unbounded());
        for connection in connections {
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            let _ = back.send(connection);
        }
        Self { count, free, back }
    }

    /// Waits until a connection is free; `None` if there are none at all, as in memory.
    fn take(&self) -> Option<Reader<'_>> {
        let connection = if self.count > 0 { self.free.recv().ok() } else { None };
        connection.map(|connection| Reader { connection: Some(connection), back: &self.back })
    }

    /// Waits until nobody reads, and lets nobody read while `work` runs.
    fn pause<T>(&self, work: impl FnOnce() -> T) -> T {
        let _all: Vec<_> = (0..self.count).map_while(|_| self.take()).collect();
        work()
    }
}

impl Deref for Reader<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("the connection is given back only when this is dropped")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let _ = self.connection.take().map(|connection| self.back.send(connection));
    }
}

impl MessageLog for Sqlite {
    fn last_id(&self) -> Result<MessageId> {
        self.read(sqlite_log::last_id)
    }

    fn append(&self, messages: &[Arc<Message>]) -> Result<()> {
        let mut writer = self.writer();
        let Writer { connection, appender, written } = &mut *writer;
        *written += appender.append(connection, messages)?;
        if self.readers.count > 0 && *written > WAL_BYTES {
            *written = 0;
            let start_anew =
                || connection.query_one("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
            // The messages are kept all the same, and the next attempt comes soon.
            if let Err(error) = self.readers.pause(start_anew) {
                log::debug!("the write-ahead log goes on: {error}");
            }
        }
        Ok(())
    }

    fn probe(&self) -> Result<()> {
        Ok(schema::rewrite_version(&self.writer().connection)?)
    }
}

impl KeptMessages for Sqlite {
    fn known(&self, room: &RoomName, origin: &Origin) -> Result<Option<MessageId>> {
        // The broadcaster asks, and appends next: it needs this connection anyway.
        Ok(sqlite_log::known(&self.writer().connection, room, origin)?)
    }

    fn page(&self, room: &RoomName, range: Range) -> Result<HistoryPage> {
        self.read(|connection| sqlite_log::page(connection, room, range, self.max_messages))
    }

    fn before_newest(
        &self,
        room: &RoomName,
        upto: MessageId,
        messages: usize,
        bytes: usize,
    ) -> Result<MessageId> {
        let range = Range { after: 0, upto, messages, bytes };
        self.read(|connection| {
            sqlite_log::before_newest(connection, room, range, self.max_messages)
        })
    }

    fn last_in(&self, room: &RoomName) -> Result<MessageId> {
        self.read(|connection| sqlite_log::last_in(connection, room))
    }

    fn message(&self, room: &RoomName, id: MessageId) -> Result<Option<Arc<Message>>> {
        self.read(|connection| sqlite_log::message(connection, room, id))
    }

    fn rooms(&self, after: &str, limit: usize) -> Result<Vec<(RoomName, MessageId)>> {
        self.read(|connection| sqlite_log::rooms(connection, after, limit))
    }

    fn rules(&self) -> Result<Vec<(RoomName, Fields)>> {
        self.read(sqlite_acts::rules)
    }
}

impl Directory for Sqlite {
    fn add_user(&self, name: &str, folded: &str, key: &KeyHash) -> Result<User> {
        let writer = self.writer();
        let count: i64 = writer.connection.query_one("SELECT count(*) FROM users", [], first)?;
        if count >= MAX_USERS {
            return Err(StoreError::Full);
        }
        let created_at = now() / 1_000_000;
        let id = writer.connection.prepare_cached(
            "INSERT INTO users (name, folded, created_at, key) VALUES (?1, ?2, ?3, ?4) RETURNING id",
        )?.query_one(params![name, folded, created_at, key], first)?;
        Ok(User { id, name: name.to_owned(), created_at })
    }

    fn user(&self, id: UserId) -> Result<Option<User>> {
        let sql = "SELECT id, name, created_at FROM users WHERE id = ?1";
        self.read(|connection| connection.prepare_cached(sql)?.query_one([id], user).optional())
    }

    fn user_with_key(&self, key: &KeyHash) -> Result<Option<User>> {
        let sql = "SELECT id, name, created_at FROM users WHERE key = ?1";
        self.read(|connection| connection.prepare_cached(sql)?.query_one([key], user).optional())
    }

    fn users(&self, after: UserId, limit: usize) -> Result<Vec<User>> {
        let sql = "SELECT id, name, created_at FROM users WHERE id > ?1 ORDER BY id LIMIT ?2";
        self.read(|connection| {
            connection.prepare_cached(sql)?.query_map(params![after, limit], user)?.collect()
        })
    }

    fn rename_user(&self, id: UserId, name: &str, folded: &str) -> Result<Option<User>> {
        let sql = "UPDATE users SET name = ?2, folded = ?3 WHERE id = ?1
                   RETURNING id, name, created_at";
        let writer = self.writer();
        let mut rename = writer.connection.prepare_cached(sql)?;
        Ok(rename.query_one(params![id, name, folded], user).optional()?)
    }

    fn remove_user(&self, id: UserId) -> Result<bool> {
        Ok(self.writer().connection.execute("DELETE FROM users WHERE id = ?1", [id])? > 0)
    }
}

fn first<T: rusqlite::types::FromSql>(row: &Row) -> rusqlite::Result<T> {
    row.get(0)
}

fn user(row: &Row) -> rusqlite::Result<User> {
    Ok(User { id: row.get(0)?, name: row.get(1)?, created_at: row.get(2)? })
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Self::Taken,
            _ => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::protocol::message::{Author, Content};

    fn said(id: MessageId) -> Arc<Message> {
        let author = Author { user: None, name: "guest".to_owned() };
        let content = Content::Text("hello".into());
        Arc::new(Message { id, room: RoomName::lobby(), author, content, origin: None })
    }

    /// Else somebody who reads a long history would hold up everyone who talks.
    #[test]
    fn who_reads_keeps_nobody_from_writing_or_reading() {
        let place = tempfile::tempdir().unwrap();
        let bounds = Bounds { messages: 10, bytes: 1 << 20, idle: None };
        let sqlite = Sqlite::open(Some(&place.path().join("kept")), bounds, str::to_owned).unwrap();
        sqlite.append(&[said(1)]).unwrap();
        let (done, is_done) = crossbeam_channel::bounded(1);
        thread::scope(|scope| {
            let seen = sqlite.read(|reader| {
                reader.execute_batch("BEGIN")?;
                let before = sqlite_log::last_id(reader)?;
                scope.spawn(|| {
                    sqlite.append(&[said(2)]).unwrap();
                    done.send(sqlite.last_id().unwrap()).unwrap();
                });
                let written = is_done.recv_timeout(Duration::from_secs(30));
                assert_eq!(written, Ok(2), "somebody waits for this reader");
                let after = sqlite_log::last_id(reader)?;
                reader.execute_batch("COMMIT")?;
                Ok((before, after))
            });
            assert_eq!(seen.unwrap(), (1, 1), "a page is of one moment");
        });
    }
}
