//! Each message goes to everyone in the room, the sender too, as it was, in one order for all.

mod support;

use support::Server;

#[test]
fn everyone_hears_everyone() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("physics"));
    ada.says("hello");
    bob.hears("hello");
    ada.hears("hello");
    bob.shows(&[0, 255, 1]);
    ada.sees(&[0, 255, 1]);
    bob.sees(&[0, 255, 1]);
}
