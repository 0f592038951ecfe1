//! A visitor: a bare connection, for what no sound client would send.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use super::{Answer, Stream, Way, handshake};

pub struct Visitor {
    pub stream: Stream,
}

/// A server's frame: first byte, and payload.
pub type Frame = (u8, Vec<u8>);

impl Visitor {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(Way::of_this_run().connects(address))
    }

    /// On a connection that is there.
    pub fn over(stream: Stream) -> Self {
        Self { stream }
    }

    /// A failure here is no failure of the test: the server may have closed already.
    pub fn sends(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    /// Sends a request and takes the answer.
    pub fn asks(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.sends(request).gets_an_answer()
    }

    /// Reads the whole answer, up to the end of the connection.
    pub fn gets_an_answer(&mut self) -> Answer {
        Answer::parse(&self.reads_to_the_end())
    }

    /// Everything until the server closes; a reset counts as the end.
    pub fn reads_to_the_end(&mut self) -> Vec<u8> {
        self.reads_until(&[ErrorKind::ConnectionReset])
    }

    /// Everything until the server closes; one of these counts as the end.
    fn reads_until(&mut self, ends: &[ErrorKind]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut piece = [0; 16 << 10];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return bytes,
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error) if ends.contains(&error.kind()) => return bytes,
                Err(error) => panic!("after {} bytes: {error}", bytes.len()),
            }
        }
    }

    /// Reads exactly so many bytes.
    pub fn reads(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("so many bytes");
        bytes
    }

    /// Reads the head of an answer, byte by byte, so that nothing behind it is lost.
    pub fn reads_a_head(&mut self) -> Vec<u8> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.reads(1));
        }
        head
    }

    /// Asks for a WebSocket and reads the 101.
    pub fn upgrades(&mut self, path: &str) -> &mut Self {
        self.sends(handshake(path));
        let head = String::from_utf8_lossy(&self.reads_a_head()).into_owned();
        assert!(head.starts_with("HTTP/1.1 101 "), "no upgrade: {head}");
        self
    }

    /// Reads one frame: first byte, and payload.
    pub fn reads_a_frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.reads(2);
        assert_eq!(head[1] & 0x80, 0, "a server's frame is not masked");
        let length = match head[1] & 0x7f {
            126 => usize::from(u16::from_be_bytes(self.reads(2).try_into().unwrap())),
            127 => u64::from_be_bytes(self.reads(8).try_into().unwrap()).try_into().unwrap(),
            length => usize::from(length),
        };
        (head[0], self.reads(length))
    }

    /// Reads frames until a Close: its code and reason.
    pub fn reads_a_close(&mut self) -> (u16, String) {
        loop {
            let (first, payload) = self.reads_a_frame();
            if first == 0x88 {
                let code = u16::from_be_bytes(payload[..2].try_into().expect("a code"));
                return (code, String::from_utf8(payload[2..].to_vec()).expect("a reason"));
            }
        }
    }

    /// Connects, and has read the 101 at this path.
    pub fn joins(address: SocketAddr, path: &str) -> Self {
        let mut visitor = Self::connect(address);
        visitor.upgrades(path);
        visitor
    }

    pub fn says(&mut self, text: &str) -> &mut Self {
        self.sends(masked(0x81, text.as_bytes()))
    }

    /// The next frame is this text, whole.
    pub fn hears(&mut self, text: &str) -> &mut Self {
        let (first, payload) = self.reads_a_frame();
        assert_eq!((first, String::from_utf8_lossy(&payload).as_ref()), (0x81, text));
        self
    }

    /// All frames that come whole until the end, whatever that is: over TLS a client that takes
    /// nothing cannot be told the end of the stream either.
    pub fn reads_whole_frames(&mut self) -> Vec<Frame> {
        let bytes = self.reads_until(&[ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof]);
        let (mut frames, mut rest) = (Vec::new(), bytes.as_slice());
        while let Some((frame, behind)) = split_frame(rest) {
            frames.push(frame);
            rest = behind;
        }
        frames
    }

    /// The server closes in order: no more bytes, and no reset.
    pub fn reads_the_end(&mut self) {
        let count = self.stream.read(&mut [0]).expect("an end without a reset");
        assert_eq!(count, 0, "there was more to read");
    }

    pub fn half_closes(&mut self) -> &mut Self {
        let _ = self.stream.half_closes();
        self
    }

    /// Goes with a reset.
    pub fn vanishes(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
    }
}

/// The first frame of a server's bytes, and what is behind it; `None` if it is not whole.
fn split_frame(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let (head, rest) = bytes.split_at_checked(2)?;
    let size = match head[1] {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let (extended, rest) = rest.split_at_checked(size)?;
    let long = extended.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let length = if size == 0 { usize::from(head[1]) } else { long };
    let (payload, behind) = rest.split_at_checked(length)?;
    Some(((head[0], payload.to_vec()), behind))
}

/// A frame as a client sends it: `first` holds FIN, reserved bits and opcode; masked.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
