//! The DevTools of Chromium, JSON on a WebSocket: a question, its answer, and events in between.
//! Not here: what they are used for (`browser`).

use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::PATIENCE;

/// One connection to the DevTools of Chromium: a question, its answer, and events in between.
pub struct DevTools {
    pub url: String,
    socket: WebSocket<TcpStream>,
    questions: u64,
    pub complaints: Vec<String>,
}

impl DevTools {
    pub fn connect(address: SocketAddr, url: &str) -> Self {
        let stream = TcpStream::connect(address).expect("chromium accepts");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let (socket, _) = tungstenite::client(url, stream).expect("chromium can be driven");
        Self { url: url.to_owned(), socket, questions: 0, complaints: Vec::new() }
    }

    /// Says what to do, without waiting for it.
    pub fn says(&mut self, method: &str, parameters: &Value) {
        self.questions += 1;
        let question = json!({"id": self.questions, "method": method, "params": parameters});
        let _ = self.socket.send(Message::text(question.to_string()));
    }

    /// Says what to do, and waits for the answer.
    pub fn does(&mut self, method: &str, parameters: &Value) -> Value {
        self.tries(method, parameters).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Likewise; fails with the reason where Chromium cannot do it.
    pub fn tries(&mut self, method: &str, parameters: &Value) -> Result<Value, Value> {
        self.says(method, parameters);
        loop {
            let message = self.socket.read().unwrap_or_else(|error| panic!("{method}: {error}"));
            let Message::Text(text) = message else { continue };
            let mut told: Value = serde_json::from_str(&text).expect("DevTools speaks JSON");
            if told["id"] == self.questions {
                let error = told["error"].take();
                return if error.is_null() { Ok(told["result"].take()) } else { Err(error) };
            }
            self.complaints.extend(complaint(&told));
        }
    }
}

/// What an event complains of, if it does.
fn complaint(event: &Value) -> Option<String> {
    let (told, entry) = (&event["params"], &event["params"]["entry"]);
    let is_bad = |level: &Value| ["error", "warning", "assert"].iter().any(|bad| level == bad);
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(told["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" if is_bad(&told["type"]) => Some(told["args"].to_string()),
        "Log.entryAdded" if is_bad(&entry["level"]) => Some(entry.to_string()),
        "Page.javascriptDialogOpening" => panic!("the page opened a dialog: {told}"),
        _ => None,
    }
}
