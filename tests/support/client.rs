//! A client: what one person on the page would do and hear, over tungstenite's own client.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Instant;

use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use super::{PATIENCE, Stream, Way};

pub struct Client {
    pub socket: WebSocket<Stream>,
}

impl Client {
    /// Connects to a path, and has read the 101 when this returns.
    pub fn connect(address: SocketAddr, path: &str) -> Self {
        Self::over(Way::of_this_run().connects(address), path)
    }

    /// The same on a connection that is there.
    pub fn over(stream: Stream, path: &str) -> Self {
        Self::offering(stream, path, &[]).0
    }

    /// The same, with subprotocols to choose from; answers with the one that was chosen, too.
    pub fn offering(stream: Stream, path: &str, protocols: &[&str]) -> (Self, Option<String>) {
        Self::offering_with(stream, path, protocols, None)
    }

    /// The same, with one more field such as `Authorization: Bearer KEY`.
    pub fn offering_with(
        stream: Stream,
        path: &str,
        protocols: &[&str],
        field: Option<&str>,
    ) -> (Self, Option<String>) {
        let address = stream.peer_addr().expect("the server is there");
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        if !protocols.is_empty() {
            let offer = protocols.join(", ").parse().unwrap();
            request.headers_mut().insert("Sec-WebSocket-Protocol", offer);
        }
        if let Some((name, value)) = field.and_then(|field| field.split_once(": ")) {
            let name: tungstenite::http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let (socket, answer) = tungstenite::client(request, stream)
            .unwrap_or_else(|error| panic!("no handshake at {path}: {error}"));
        let chosen = answer.headers().get("Sec-WebSocket-Protocol");
        (Self { socket }, chosen.map(|name| name.to_str().unwrap().to_owned()))
    }

    pub fn says(&mut self, text: &str) {
        self.sends(Message::text(text));
    }

    pub fn shows(&mut self, bytes: &[u8]) {
        self.sends(Message::binary(bytes.to_vec()));
    }

    pub fn sends(&mut self, message: Message) {
        self.socket.send(message).expect("the server reads");
    }

    /// The next message is this text.
    pub fn hears(&mut self, text: &str) {
        assert_eq!(self.next(), Message::text(text));
    }

    /// The next message is these bytes.
    pub fn sees(&mut self, bytes: &[u8]) {
        assert_eq!(self.next(), Message::binary(bytes.to_vec()));
    }

    /// Absence is proved by a later marker, not by waiting.
    pub fn hears_nothing_before(&mut self, marker: &str) {
        self.hears(marker);
    }

    /// The next message, whatever it is, but for pings.
    pub fn next(&mut self) -> Message {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.socket.read() {
                // The server's pings come more often than a read gives up.
                Ok(Message::Ping(_)) => assert!(Instant::now() < deadline, "waited in vain"),
                Ok(message) => return message,
                Err(error) => panic!("waited for a message and got: {error}"),
            }
        }
    }

    /// Says goodbye, and waits until the server has answered and closed.
    pub fn leaves(mut self) {
        self.closes_with(1000, "");
        self.is_told(1000);
    }

    pub fn closes_with(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.to_owned().into() };
        self.socket.close(Some(frame)).expect("the server reads");
    }

    /// Messages apart, the next is a Close with this code; then the server ends the connection.
    pub fn is_told(&mut self, code: u16) -> String {
        let mut told = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "waited in vain for Close {code}");
            match self.socket.read() {
                Ok(Message::Close(close)) => told = close,
                Ok(_) => {}
                Err(Error::ConnectionClosed) => break,
                Err(error) => panic!("waited for Close {code} and got: {error}"),
            }
        }
        let told = told.expect("a Close with a code");
        assert_eq!(u16::from(told.code), code, "the reason was {:?}", told.reason);
        told.reason.to_string()
    }

    /// Messages apart, the connection ends without a Close.
    pub fn is_cut_off(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "waited in vain to be cut off");
            match self.socket.read() {
                Ok(Message::Close(close)) => panic!("was told {close:?}"),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("the server keeps it")
                }
                Err(_) => return,
            }
        }
    }

    /// Goes without a word, as when a laptop lid closes: a reset.
    pub fn vanishes(self) {
        let stream = self.socket.get_ref();
        let _ = socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
    }

    /// Shuts its writing side, and waits for the end of the stream.
    pub fn half_closes(mut self) {
        self.socket.get_ref().half_closes().unwrap();
        loop {
            match self.socket.read() {
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("the server holds on to a half-closed connection")
                }
                Err(Error::Io(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                    panic!("the server's side was cut short")
                }
                Err(_) => return,
            }
        }
    }
}
