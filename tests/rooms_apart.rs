//! Rooms are apart; they appear when joined, and vanish, memory included, when left.

mod support;

use support::{Client, Program, Server};

#[test]
fn what_is_said_in_a_room_stays_in_the_room() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.joins("physics"), server.joins("music"));
    let mut carol = server.joins("Physics");
    ada.says("gravity");
    ada.hears("gravity");
    bob.says("a marker");
    bob.hears_nothing_before("a marker");
    carol.says("a marker");
    carol.hears_nothing_before("a marker");
    ada.says("and");
    ada.hears("and");
}

#[test]
fn those_who_name_no_room_meet_in_the_lobby() {
    let server = Server::start();
    let mut ada = Client::connect(server.address(), "/ws");
    let (mut bob, mut carol) = (server.joins("lobby"), server.joins("physics"));
    ada.says("anyone?");
    bob.hears("anyone?");
    carol.says("a marker");
    carol.hears_nothing_before("a marker");
    assert_eq!(server.count_of("rooms"), 2);
}

#[test]
fn a_room_appears_when_joined_and_vanishes_when_left() {
    let server = Server::start();
    assert_eq!(server.count_of("rooms"), 0);
    let (ada, bob) = (server.joins("physics"), server.joins("physics"));
    assert_eq!((server.count_of("rooms"), server.count_of("clients")), (1, 2));
    let carol = server.joins("music");
    assert_eq!((server.count_of("rooms"), server.count_of("clients")), (2, 3));
    ada.leaves();
    assert_eq!((server.count_of("rooms"), server.count_of("clients")), (2, 2));
    bob.leaves();
    assert_eq!((server.count_of("rooms"), server.count_of("clients")), (1, 1));
    carol.vanishes();
    server.comes_to_have(0, "rooms");
    server.comes_to_have(0, "clients");
}

#[test]
fn a_client_moves_on_to_another_room() {
    let server = Server::start();
    let (mut bob, mut carol) = (server.joins("physics"), server.joins("music"));
    let mut ada = server.joins("physics");
    ada.says("goodbye");
    bob.hears("goodbye");
    ada.leaves();
    let mut ada = server.joins("music");
    bob.says("is she gone?");
    bob.hears("is she gone?");
    carol.says("welcome");
    ada.hears_nothing_before("welcome");
    ada.says("thank you");
    carol.hears("welcome");
    carol.hears("thank you");
    bob.says("she is");
    bob.hears_nothing_before("she is");
}

#[test]
fn a_room_that_is_joined_again_knows_nothing_of_the_past() {
    let server = Server::start();
    let mut ada = server.joins("physics");
    ada.says("a secret");
    ada.hears("a secret");
    ada.leaves();
    let mut bob = server.joins("physics");
    bob.says("a marker");
    bob.hears_nothing_before("a marker");
}

#[test]
fn memory_of_rooms_that_came_and_went_is_given_back() {
    const ROOMS: usize = 600;
    const SLACK: u64 = 4 << 10;
    // What is kept of them is another matter.
    let program = Program::start(&["-q", "--history", "0"]);
    come_and_go(&program, ROOMS);
    let before = program.status("VmRSS");
    come_and_go(&program, ROOMS);
    let after = program.status("VmRSS");
    // If each room left behind what was said in it, this would be 9 MiB.
    assert!(after <= before + SLACK, "{before} KiB grew to {after} KiB");
}

/// Rooms, a few at a time, each with a name of its own and something said in it.
fn come_and_go(program: &Program, rooms: usize) {
    let message = [7; 16 << 10];
    for first in (0..rooms).step_by(10) {
        let names = (first..first + 10).map(|n| format!("{n:064}"));
        let mut members: Vec<Client> = names.map(|name| program.joins(&name)).collect();
        members.iter_mut().for_each(|member| member.shows(&message));
        members.iter_mut().for_each(|member| member.sees(&message));
        members.into_iter().for_each(Client::leaves);
    }
}
