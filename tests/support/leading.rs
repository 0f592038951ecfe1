//! A class on the page: a room that the owner of the server has given rules and a leader, and what people in
//! front of it do.

use serde_json::{Value, json};

use super::school::OWNER;
use super::{Browser, Program, Tab, bearer, request, request_with_json};

/// The options of a server whose owner can be told from others.
pub const OWNED: [&str; 2] = ["--admin-token", OWNER];

impl Program {
    /// The owner changes the rules of a room.
    pub fn has_a_room_with(&self, room: &str, settings: &Value) {
        let body = settings.to_string();
        let change = request_with_json("PUT", &format!("/rooms/{room}"), &[&bearer(OWNER)], &body);
        self.is_visited().asks(change).tells(200);
    }
}

impl Browser {
    /// Opens the page, takes a name, and is made a leader of the room by the owner.
    pub fn enters_to_lead(&self, program: &Program, room: &str, name: &str) -> Tab {
        let mut tab = self.enters(program, &format!("#{room}"), name);
        let user = tab.awaits("fetch('users/me').then((it) => it.json())")["id"].clone();
        let path = format!("/rooms/{room}/leaders/{user}");
        let made = program.is_visited().asks(request("PUT", &path, &[&bearer(OWNER)], ""));
        assert_eq!(made.status, 200, "{made:?}");
        tab.is_told(&format!("made {name} a leader of this room."));
        tab
    }
}

impl Tab {
    /// The page says so in the log.
    pub fn is_told(&mut self, what: &str) {
        let notices = "[...document.querySelectorAll('#log .notice')]";
        self.shows(what, &format!("{notices}.some((it) => it.textContent.includes({what:?}))"));
    }

    /// An element is in sight, and says this among other things.
    pub fn reads(&mut self, selector: &str, what: &str) {
        let it = format!("document.querySelector({selector:?})");
        self.shows(
            what,
            &format!("{it}?.checkVisibility() && {it}.textContent.includes({what:?})"),
        );
    }

    /// No such element is in sight.
    pub fn sees_no(&mut self, selector: &str) {
        let js = format!("!document.querySelector({selector:?})?.checkVisibility()");
        self.shows(&format!("{selector} gone"), &js);
    }

    /// Opens what may be done to the message with this text. Whatever is near the log brings the buttons.
    pub fn turns_to(&mut self, text: &str) {
        self.asks("document.querySelector('#scroller').focus(); 0");
        let item = format!(
            "[...document.querySelectorAll('#log .message')].find((it) => it.querySelector('.body').textContent === {text:?})"
        );
        self.shows(&format!("a button at {text}"), &format!("!!{item}?.querySelector('.deeds')"));
        self.asks(&format!("{item}.querySelector('.deeds').click(); 0"));
        self.reads("#message-dialog", text);
    }

    /// Opens what may be done to a member.
    pub fn turns_to_member(&mut self, name: &str) {
        let press = format!("document.querySelector('#members button[title*={name:?}]')");
        self.shows(&format!("a button at {name}"), &format!("!!{press}"));
        self.asks(&format!("{press}.click(); 0"));
        self.reads("#member-title", name);
    }

    /// Opens what a leader may change of the room.
    pub fn opens_the_settings(&mut self) {
        self.clicks("#people-button");
        self.reads("#lead-button", "Change this room");
        self.clicks("#lead-button");
        self.shows("the settings", "document.querySelector('#room-dialog').open");
    }

    /// The messages in the log are these.
    pub fn has_in_the_log(&mut self, texts: &[&str]) {
        let shown = "[...document.querySelectorAll('#log .body')].map((it) => it.textContent)";
        let wanted = json!(texts).to_string();
        self.shows(&wanted, &format!("JSON.stringify({shown}) === {wanted:?}"));
    }

    /// Whoever sits here can write, or is told why not.
    pub fn may_speak(&mut self) {
        self.shows("a box to write in", "!document.querySelector('#text').disabled");
    }

    pub fn may_not_speak_because(&mut self, why: &str) {
        self.reads("#silence", why);
        self.shows("nothing to write in", "document.querySelector('#text').disabled");
    }
}
