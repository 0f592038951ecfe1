//! A slow line to a server: what a client says passes at so many bytes a second, and what it hears
//! at once. Not here: a server that is slow by itself, which nobody needs.

use std::io::{Read, Write, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Pieces in a second.
const PIECES: usize = 100;

/// The address of a slow line to `server`.
pub fn slow_line(server: SocketAddr, bytes_a_second: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Else the system would take a whole file at once, and only then be slow.
    socket2::SockRef::from(&listener).set_recv_buffer_size(16 << 10).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(server).unwrap();
            let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                let _ = copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            thread::spawn(move || carry(client, server, bytes_a_second / PIECES));
        }
    });
    address
}

fn carry(mut client: TcpStream, mut server: TcpStream, piece: usize) {
    let mut bytes = vec![0; piece];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        // The line is slow: nothing waits for this to come true.
        thread::sleep(Duration::from_secs(1) / PIECES as u32);
        if server.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Write);
}
