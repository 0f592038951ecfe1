//! The judge of every event that a test reads or finds in the specification: the JSON Schema of
//! `wsroom.v1` in `tests/protocol.schema.json`, compiled once for each side.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

/// Who sends an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    Server,
    Client,
}

/// The schema as it stands in its file.
pub static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../protocol.schema.json")).expect("the schema is JSON")
});

static SERVER: LazyLock<Validator> = LazyLock::new(|| compiled("#/$defs/server"));
static CLIENT: LazyLock<Validator> = LazyLock::new(|| compiled("#/$defs/client"));

fn compiled(root: &str) -> Validator {
    let mut schema = SCHEMA.clone();
    schema["$ref"] = root.into();
    jsonschema::validator_for(&schema).expect("the schema is one")
}

impl Side {
    /// This is an event that this side may send, with no field too few and, of the server, none too
    /// many.
    pub fn may_send(self, event: &Value) {
        let validator = match self {
            Self::Server => &*SERVER,
            Self::Client => &*CLIENT,
        };
        let errors: Vec<_> = validator.iter_errors(event).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "no event of the {self:?}: {event}\n{errors:#?}");
    }
}
