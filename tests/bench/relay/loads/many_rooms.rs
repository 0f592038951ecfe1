//! `many-rooms`: a file in which there are very many rooms, in each of which one thing was said.
//!
//! Whoever says it comes, hears it and goes. The server that is measured is started with the file
//! afterwards: it tidies up when something is said for the first time, and then hardly ever.

use std::io;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::relay::clients::crowd::{Crowd, PATIENCE};
use crate::relay::contenders::destination::Destination;
use crate::relay::messages::frame;

/// Rooms that are made at a time.
const BATCH: usize = 256;

/// Says something in each of so many rooms.
pub fn make(rooms: usize, server: &Destination) -> io::Result<()> {
    let paths: Vec<_> = (0..rooms).map(|room| format!("/ws/one-of-many-{room}")).collect();
    paths.chunks(BATCH).try_for_each(|paths| speak_in(paths, server))
}

fn speak_in(paths: &[String], server: &Destination) -> io::Result<()> {
    let mut crowd = Crowd::new()?;
    crowd.join(server, paths)?;
    let mut message = Vec::new();
    frame::push_masked(frame::TEXT, b"I was here", &mut message);
    for connection in &mut crowd.connections {
        connection.send(&message)?;
        // A reset at the end: a port that was closed in order cannot be used again for a minute.
        SockRef::from(&connection.socket).set_linger(Some(Duration::ZERO))?;
    }
    let (mut heard, deadline) = (0, Instant::now() + PATIENCE);
    while heard < paths.len() {
        if Instant::now() > deadline {
            return Err(io::Error::other("not all of many rooms answered"));
        }
        for event in 0..crowd.wait(PATIENCE)? {
            if let Some(place) = crowd.ready(event) {
                crowd.receive(place, |_| heard += 1)?;
            }
        }
    }
    Ok(())
}
