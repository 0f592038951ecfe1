//! The broadcaster's inbox: a bounded queue of events, from many threads to one.
//!
//! It is like a channel, with two differences that a small room feels. The broadcaster takes all
//! events that wait at once, under one lock. And when there are none, it sleeps at once: the receiver
//! of a channel first calls the scheduler several times, in the hope of a next item, and in a small
//! room that costs more than the sleep. Not here: what the events mean, and the bound in bytes
//! (`events`). Used by the broadcaster's thread, and by all threads that send.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::events::Event;

/// The most events that wait.
const MAX_EVENTS: usize = 1024;

/// The sending end.
#[derive(Clone)]
pub struct Sender(Arc<Shared>);

/// The receiving end. Its drop ends the senders that wait; what they send later is dropped.
pub struct Inbox {
    shared: Arc<Shared>,
    /// Events that were taken out and are not received yet.
    taken: VecDeque<Event>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Notified when an event comes while the receiver sleeps.
    came: Condvar,
    /// Notified when there is room again and a sender waits for it.
    freed: Condvar,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    /// The receiver sleeps, and nobody has woken it.
    is_asleep: bool,
    /// Senders that wait for room.
    blocked: usize,
    /// The receiver is gone.
    is_closed: bool,
}

/// Both ends of a new inbox.
pub fn open() -> (Sender, Inbox) {
    let shared = Arc::<Shared>::default();
    (Sender(Arc::clone(&shared)), Inbox { shared, taken: VecDeque::new() })
}

impl Sender {
    /// Sends an event; blocks while the inbox is full. Without a receiver the event is dropped.
    pub fn send(&self, event: Event) {
        let mut queue = self.0.queue();
        while queue.is_full() {
            queue.blocked += 1;
            queue = self.0.freed.wait(queue).expect(UNPOISONED);
            queue.blocked -= 1;
        }
        self.0.push(queue, event);
    }

    /// As [`Sender::send`], but waits at most for `timeout`; `false` if there was no room, and the
    /// event is dropped.
    pub fn send_timeout(&self, event: Event, timeout: Duration) -> bool {
        let mut queue = self.0.queue();
        queue.blocked += 1;
        let wait = self.0.freed.wait_timeout_while(queue, timeout, |queue| queue.is_full());
        let (mut queue, result) = wait.expect(UNPOISONED);
        queue.blocked -= 1;
        let has_room = !result.timed_out();
        if has_room {
            self.0.push(queue, event);
        }
        has_room
    }
}

impl Inbox {
    /// Waits for the next event, at most until `deadline`; `None`: none has come.
    pub fn receive(&mut self, deadline: Option<Instant>) -> Option<Event> {
        if self.taken.is_empty() {
            self.wait(deadline);
        }
        self.receive_now()
    }

    /// The next event, if one is here.
    pub fn receive_now(&mut self) -> Option<Event> {
        if self.taken.is_empty() {
            let mut queue = self.shared.queue();
            std::mem::swap(&mut queue.events, &mut self.taken);
            if queue.blocked > 0 {
                self.shared.freed.notify_all();
            }
        }
        self.taken.pop_front()
    }

    /// The number of events that are here.
    pub fn count(&self) -> usize {
        self.taken.len() + self.shared.queue().events.len()
    }

    fn wait(&self, deadline: Option<Instant>) {
        let mut queue = self.shared.queue();
        while queue.events.is_empty() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return;
            }
            queue.is_asleep = true;
            let came = &self.shared.came;
            queue = match left {
                None => came.wait(queue).expect(UNPOISONED),
                Some(left) => came.wait_timeout(queue, left).expect(UNPOISONED).0,
            };
            queue.is_asleep = false;
        }
    }
}

impl Drop for Inbox {
    /// Drops the events that wait too: a connection among them would stay open.
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.is_closed = true;
        let unreceived = std::mem::take(&mut queue.events);
        drop(queue);
        drop(unreceived);
        self.shared.freed.notify_all();
    }
}

impl Shared {
    /// Adds an event, and wakes the receiver if it sleeps. (A notification costs a system call, even
    /// if nobody waits for it.)
    fn push(&self, mut queue: MutexGuard<'_, Queue>, event: Event) {
        if queue.is_closed {
            return;
        }
        queue.events.push_back(event);
        let was_asleep = std::mem::take(&mut queue.is_asleep);
        drop(queue);
        if was_asleep {
            self.came.notify_one();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect(UNPOISONED)
    }
}

impl Queue {
    fn is_full(&self) -> bool {
        self.events.len() >= MAX_EVENTS && !self.is_closed
    }
}

const UNPOISONED: &str = "nothing panics while it holds the lock";

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::net::connection::ClientId;

    const A_MOMENT: Duration = Duration::from_millis(1);

    fn event(number: u64) -> Event {
        Event::Typing(ClientId::new(number))
    }

    fn number(event: Option<Event>) -> Option<u64> {
        event.map(|event| match event {
            Event::Typing(id) => id.number(),
            _ => unreachable!("no other event is sent here"),
        })
    }

    #[test]
    fn events_come_in_their_order_and_a_full_inbox_holds_the_sender_back() {
        let (sender, mut inbox) = open();
        let most = MAX_EVENTS as u64;
        (0..most).for_each(|number| sender.send(event(number)));
        assert!(!sender.send_timeout(event(most), A_MOMENT), "there was room");
        let sending = thread::spawn(move || (most..3 * most).for_each(|n| sender.send(event(n))));
        for expected in 0..3 * most {
            assert_eq!(number(inbox.receive(None)), Some(expected));
        }
        sending.join().unwrap();
        assert_eq!(number(inbox.receive(Some(Instant::now() + A_MOMENT))), None);
    }

    #[test]
    fn without_a_receiver_nobody_waits_and_nothing_is_kept() {
        let (sender, inbox) = open();
        let (reply, answer) = crossbeam_channel::bounded(1);
        sender.send(Event::Asked(reply));
        drop(inbox);
        assert!(answer.recv().is_err(), "the question is still there");
        (0..2 * MAX_EVENTS as u64).for_each(|number| sender.send(event(number)));
        assert!(sender.send_timeout(event(0), A_MOMENT));
    }
}
