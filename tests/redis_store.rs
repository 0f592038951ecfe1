//! What the store on Redis promises to the nodes that share it: one order for all, each message once,
//! and a true word on what became of it.

mod support;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use support::redis::{Node, PLENTY, RedisServer, room, settings, text, text_of};
use wsroom::protocol::message::{Author, Content, Draft, SessionId};
use wsroom::store::redis::Settings;
use wsroom::store::shared::{Entry, SharedLog, Told};
use wsroom::store::{Bounds, Directory, KeptMessages, Range, StoreError};

#[test]
fn each_message_is_told_once_and_in_one_order() {
    let redis = RedisServer::start();
    let nodes = [Node::on(&redis), Node::on(&redis)];
    thread::scope(|scope| {
        for (number, node) in nodes.iter().enumerate() {
            scope.spawn(move || {
                (0..300).for_each(|n| {
                    node.says(&format!("{number} {n}"));
                })
            });
        }
    });
    let until_all = |node: &Node| {
        let mut heard = Vec::new();
        while heard.len() < 600 {
            heard.push(node.is_told("a message", |told| match told {
                Told::Message { message, own, .. } => {
                    Some((message.id, support::redis::said(&message.content), *own))
                }
                _ => None,
            }));
        }
        heard
    };
    let [one, other] = [until_all(&nodes[0]), until_all(&nodes[1])];
    let without_own = |heard: &[(i64, String, Option<u64>)]| {
        heard.iter().map(|(id, text, _)| (*id, text.clone())).collect::<Vec<_>>()
    };
    assert_eq!(without_own(&one), without_own(&other));
    assert!(one.is_sorted_by(|a, b| a.0 < b.0), "ids increase");
    for ((_, text, own_of_one), (_, _, own_of_other)) in one.iter().zip(&other) {
        assert_eq!(own_of_one.is_some(), text.starts_with('0'), "{text}");
        assert_eq!(own_of_other.is_some(), text.starts_with('1'), "{text}");
    }
}
