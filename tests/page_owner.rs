//! The owner's page: what is so in the server, live, and what the owner does about it.

mod support;

use support::school::OWNER;
use support::{Browser, OWNED, Program, Tab, axe, has_no_barrier};

/// The owner's page, at the address that people know.
fn opens(browser: &Browser, program: &Program) -> Tab {
    let mut owner = browser.opens(program, "#/owner");
    let is_there = "location.pathname === '/owner.html' && document.readyState === 'complete'";
    owner.shows("the owner's page", is_there);
    owner.reads("#token-form", "Watch this server");
    owner
}

fn opens_to_watch(browser: &Browser, program: &Program) -> Tab {
    let mut owner = opens(browser, program);
    owner.types("#token", OWNER);
    owner.presses_enter();
    owner.reads("#state", "Watching.");
    owner
}

/// The first cells of each row of a table.
fn has_rows(tab: &mut Tab, table: &str, rows: &[[&str; 2]]) {
    let shown = format!(
        "[...document.querySelectorAll('#{table} tr')].map((it) => [...it.cells].slice(0, 2).map((cell) => cell.textContent)).sort()"
    );
    let wanted = serde_json::to_string(rows).unwrap();
    tab.shows(&wanted, &format!("JSON.stringify({shown}) === {wanted:?}"));
}

#[test]
fn the_owner_watches_who_comes_and_goes() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut owner = opens_to_watch(&browser, &program);
    has_rows(&mut owner, "rooms", &[]);
    let mut ada = program.joins("physics");
    let bob = program.joins("lobby");
    has_rows(&mut owner, "rooms", &[["lobby", "1"], ["physics", "1"]]);
    owner.reads("#counts", "In rooms: 2 · Different users: 0");
    owner.reads("#clients", "127.0.0.1");
    bob.leaves();
    has_rows(&mut owner, "rooms", &[["physics", "1"]]);
    // What is said becomes a rate.
    ada.says("hello");
    owner.shows("a line", "document.querySelector('#messages').points.length >= 2");
    owner.reads("#rates figcaption", "Messages in: ");
    let peak = "Math.min(...[...document.querySelector('#messages').points].map(({ y }) => y))";
    owner.shows("a peak", &format!("{peak} < 40"));
    owner.has_no_complaints();
}

#[test]
fn the_token_is_asked_for_until_it_is_right_and_is_kept_nowhere() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut owner = opens(&browser, &program);
    owner.types("#token", "not-the-token-of-the-owner");
    owner.presses_enter();
    owner.reads("#state", "this is not the admin token");
    owner.sees_no("#view");
    owner.types("#token", OWNER);
    owner.presses_enter();
    owner.reads("#state", "Watching.");
    owner.sees_no("#token-form");
    // The attempt is among the warnings.
    owner.reads("#warnings", "has sent a wrong admin token");
    let kept = owner.asks(
        "JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie, location.href])
            + document.documentElement.outerHTML + document.querySelector('#token').value",
    );
    assert!(!kept.as_str().unwrap().contains(OWNER));
    assert_eq!(owner.cookies().len(), 0);
    owner.has_no_complaints();
}

#[test]
fn the_owner_puts_somebody_out() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut bob = browser.enters(&program, "#physics", "Bob <b>");
    let mut owner = opens_to_watch(&browser, &program);
    owner.reads("#clients", "Bob <b> (user ");
    owner.clicks("#clients button");
    owner.reads("#out-title", "Put Bob <b> out of physics?");
    owner.types("#out-reason", "spam");
    owner.presses_enter();
    owner.reads("#done", "Bob <b> is put out of physics.");
    owner.sees_no("#out-dialog");
    bob.has_state("stopped");
    bob.reads("#words", "put you out: spam.");
    has_rows(&mut owner, "clients", &[]);
    owner.has_no_complaints();
}

#[test]
fn the_owner_closes_a_room_and_opens_it_again() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let mut bob = browser.enters(&program, "#physics", "Bob");
    let mut owner = opens_to_watch(&browser, &program);
    has_rows(&mut owner, "rooms", &[["physics", "1"]]);
    owner.clicks("#rooms button");
    owner.reads("#end-title", "Close physics?");
    owner.clicks("#end-dialog .button");
    owner.reads("#done", "physics is closed.");
    bob.has_state("stopped");
    bob.clicks("#retry");
    bob.reads("#words", "This room is closed");
    owner.clicks("#done button");
    owner.reads("#done", "physics is open.");
    bob.clicks("#retry");
    bob.is_connected_to("physics");
    owner.has_no_complaints();
}

#[test]
fn a_button_keeps_the_focus_while_the_rows_change() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let _ada = program.joins("physics");
    let mut owner = opens_to_watch(&browser, &program);
    has_rows(&mut owner, "rooms", &[["physics", "1"]]);
    owner.asks("document.querySelector('#rooms button').focus(); 0");
    // A larger room takes the first place.
    let _others = [program.joins("lobby"), program.joins("lobby")];
    has_rows(&mut owner, "rooms", &[["lobby", "2"], ["physics", "1"]]);
    assert_eq!(owner.asks("document.activeElement.ariaLabel"), "Close: physics");
    assert_eq!(owner.asks("document.querySelector('#rooms tr').cells[0].textContent"), "lobby");
}

#[test]
fn the_page_watches_again_when_the_server_is_back() {
    let (program, browser) = (Program::start_plainly(&OWNED), Browser::start());
    let address = program.address().to_string();
    let mut owner = opens_to_watch(&browser, &program);
    drop(program);
    owner.reads("#state", "Trying again");
    let mut command = Program::command();
    command.args(["--listen", &address]).args(OWNED);
    let _program = Program::spawn_plainly(command);
    owner.reads("#state", "Watching.");
}

#[test]
fn no_barrier_is_found_on_a_phone_either() {
    let (program, browser) = (Program::start(&OWNED), Browser::start());
    let _ada = program.joins("a-room-with-a-name-that-is-as-long-as-the-name-of-a-room-may-be_");
    let mut owner = opens(&browser, &program);
    owner.asks(&(axe() + "; 0"));
    has_no_barrier(&mut owner, "the token");
    owner.types("#token", OWNER);
    owner.presses_enter();
    owner.reads("#clients", "127.0.0.1");
    for scheme in ["light", "dark"] {
        owner.prefers(scheme);
        for width in [1280, 390, 320] {
            owner.has_a_window_of((width, 800));
            has_no_barrier(&mut owner, &format!("the snapshot, {scheme}, {width}"));
            let fits = "document.documentElement.scrollWidth <= innerWidth";
            owner.shows(&format!("no sideways scrolling at {width}"), fits);
        }
        owner.asks("document.querySelector('#clients button').click(); 0");
        has_no_barrier(&mut owner, &format!("the question, {scheme}"));
        owner.presses_escape();
    }
}
