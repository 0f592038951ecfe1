//! The directory of people in Redis. Names and keys are unique over all nodes, because a script checks
//! and writes as a whole. Renaming and removal go through the log, so every node hears of them. Called
//! by threads that answer requests.

use std::cell::Cell;

use redis::{Value, cmd, from_redis_value};

use super::connect::{Failure, Link};
use super::open::Redis;
use super::records::{self, hex};
use super::scripts::Script;
use crate::protocol::message::UserId;
use crate::store::{Directory, KeyHash, Result, StoreError, User};

/// The most users in the directory.
const MAX_USERS: usize = 100_000;

/// What a script refuses, as a word; or its answer.
fn answer(value: Value) -> Result<Value> {
    match &value {
        Value::BulkString(word) if word == b"taken" => Err(StoreError::Taken),
        Value::BulkString(word) if word == b"full" => Err(StoreError::Full),
        _ => Ok(value),
    }
}

fn parsed<T: redis::FromRedisValue>(value: Value) -> Result<T> {
    from_redis_value(value).map_err(|error| StoreError::Failed(error.to_string()))
}

impl Redis {
    fn read_user(&self, link: &mut Link, id: UserId) -> std::result::Result<Option<User>, Failure> {
        let users = self.keys().of(0, "users");
        let json: Option<Vec<u8>> = link.ask(cmd("HGET").arg(users).arg(id))?;
        Ok(json.and_then(|json| records::user(Some(id), &json)))
    }
}

impl Directory for Redis {
    fn add_user(&self, name: &str, folded: &str, key: &KeyHash) -> Result<User> {
        let value = self.pool().call(|link| {
            link.run(Script::AddUser, 0, |command| {
                command.arg(name).arg(folded).arg(hex(key)).arg(MAX_USERS);
            })
        })?;
        let (id, created_at) = parsed(answer(value)?)?;
        Ok(User { id, name: name.to_owned(), created_at })
    }

    fn user(&self, id: UserId) -> Result<Option<User>> {
        Ok(self.pool().call(|link| self.read_user(link, id))?)
    }

    fn user_with_key(&self, key: &KeyHash) -> Result<Option<User>> {
        let keys = self.keys().of(0, "keys");
        Ok(self.pool().call(|link| {
            let id: Option<UserId> = link.ask(cmd("HGET").arg(&keys).arg(hex(key)))?;
            id.map_or(Ok(None), |id| self.read_user(link, id))
        })?)
    }

    fn users(&self, after: UserId, limit: usize) -> Result<Vec<User>> {
        let (ids, users) = (self.keys().of(0, "ids"), self.keys().of(0, "users"));
        Ok(self.pool().call(|link| {
            let mut list = cmd("ZRANGE");
            list.arg(&ids).arg(format!("({after}")).arg("+inf").arg("BYSCORE");
            list.arg("LIMIT").arg(0).arg(limit.min(MAX_USERS));
            let found: Vec<UserId> = link.ask(&list)?;
            if found.is_empty() {
                return Ok(Vec::new());
            }
            let records: Vec<Option<Vec<u8>>> = link.ask(cmd("HMGET").arg(&users).arg(&found))?;
            let users = found.into_iter().zip(records);
            Ok(users.filter_map(|(id, json)| records::user(Some(id), &json?)).collect())
        })?)
    }

    fn rename_user(&self, id: UserId, name: &str, folded: &str) -> Result<Option<User>> {
        let value = self.pool().call(|link| {
            link.run(Script::RenameUser, 0, |command| {
                command.arg(id).arg(name).arg(folded);
            })
        })?;
        let created_at: Option<(i64,)> = parsed(answer(value)?)?;
        Ok(created_at.map(|(created_at,)| User { id, name: name.to_owned(), created_at }))
    }

    fn remove_user(&self, id: UserId) -> Result<bool> {
        // If the answer is lost, the call is made again, and then there is no such user any more.
        let was_there = Cell::new(false);
        Ok(self.pool().call(|link| {
            let users = self.keys().of(0, "users");
            was_there.set(was_there.get() || link.ask(cmd("HEXISTS").arg(users).arg(id))?);
            link.run::<bool>(Script::RemoveUser, 0, |command| {
                command.arg(id);
            })?;
            Ok(was_there.get())
        })?)
    }
}
