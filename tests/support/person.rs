//! Somebody in the directory, and what a server is asked about them.

use serde_json::json;

use super::{Answer, Server, request, request_with_json};

/// Somebody in the directory, with their key.
pub struct Person {
    pub id: i64,
    pub key: String,
}

impl Person {
    /// The field that carries the key.
    pub fn bearer(&self) -> String {
        bearer(&self.key)
    }
}

/// The field that carries a key, whoever's it is.
pub fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}")
}

/// The body of a request that names a user.
pub fn named(name: &str) -> String {
    json!({"name": name}).to_string()
}

impl Server {
    /// The answer to somebody who wants to be in the directory.
    pub fn creates_user(&self, name: &str) -> Answer {
        self.is_visited().asks(request_with_json("POST", "/users", &[], &named(name)))
    }

    /// Somebody new in the directory.
    pub fn enters(&self, name: &str) -> Person {
        let user = self.creates_user(name).tells(201);
        Person { id: user["id"].as_i64().unwrap(), key: user["key"].as_str().unwrap().to_owned() }
    }

    /// The answer to somebody who renames a user (`PUT`), or removes one (`DELETE`).
    pub fn changes_user(&self, method: &str, id: i64, fields: &[&str], name: &str) -> Answer {
        let path = format!("/users/{id}");
        self.is_visited().asks(match method {
            "PUT" => request_with_json(method, &path, fields, &named(name)),
            _ => request(method, &path, fields, ""),
        })
    }

    /// They are called otherwise from now on.
    pub fn renames(&self, person: &Person, name: &str) {
        let answer = self.changes_user("PUT", person.id, &[&person.bearer()], name);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}
