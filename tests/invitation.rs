//! How others come: the code on the terminal and the one on the projector lead to the page, at the
//! address that others can reach.

mod support;

use std::net::IpAddr;
use std::process::Command;

use serde_json::{Value, json};
use support::{Browser, Program, Server, request};

/// What a phone reads in a picture: `dark` tells each place, row by row.
fn read(width: usize, dark: &[bool]) -> String {
    // Larger, and with a margin: a reader looks for light around the code.
    let (scale, margin) = (4, 16);
    let height = dark.len() / width;
    let is_dark = |x: usize, y: usize| {
        let (x, y) = (x.checked_sub(margin)? / scale, y.checked_sub(margin)? / scale);
        (x < width && y < height).then(|| dark[y * width + x])
    };
    let size = |places: usize| places * scale + 2 * margin;
    let shade = |x, y| if is_dark(x, y) == Some(true) { 0 } else { 255 };
    let mut picture = rqrr::PreparedImage::prepare_from_greyscale(size(width), size(height), shade);
    let codes = picture.detect_grids();
    assert_eq!(codes.len(), 1, "not one code");
    codes[0].decode().expect("it can be read").1
}

/// The program on a terminal: what it prints there.
fn printed(options: &str) -> String {
    let mut command = Command::new("script");
    let line = format!("{} --listen 0.0.0.0:0 -q {options}", env!("CARGO_BIN_EXE_wsroom"));
    command.args(["--quiet", "--flush", "--command", &line, "/dev/null"]);
    Program::spawn_plainly(command).greeting.clone()
}

/// An address of this host that others know.
fn outside() -> Option<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap().into_iter();
    interfaces.map(|it| it.ip()).find(|ip| ip.is_ipv4() && !ip.is_loopback())
}

#[test]
fn on_a_terminal_the_page_is_a_code() {
    let greeting = printed("");
    let others = greeting.lines().filter_map(|line| line.trim().strip_prefix("http://"));
    let page = others.map(|rest| format!("http://{rest}")).find(|page| !page.contains("127.0.0.1"));
    let rows = greeting.lines().filter(|line| line.contains(['█', '▀', '▄']));
    let rows: Vec<&str> = rows.map(|line| line.trim_end_matches('\r')).collect();
    let Some(page) = page else {
        assert_eq!((rows.len(), outside()), (0, None), "a code for nobody");
        return;
    };
    let width = rows.iter().map(|row| row.chars().count()).max().expect("there is a code");
    // What is printed is light, on a dark terminal; a character is two places high.
    let half = |row: &str, light: [char; 2]| -> Vec<bool> {
        let mut places: Vec<_> = row.chars().map(|c| !light.contains(&c)).collect();
        places.resize(width, true);
        places
    };
    let both = |row: &&str| [half(row, ['█', '▀']), half(row, ['█', '▄'])].concat();
    let dark: Vec<bool> = rows.iter().flat_map(both).collect();
    assert_eq!(read(width, &dark), page);
}

#[test]
fn the_code_can_be_left_out_and_is_for_terminals_alone() {
    let has_code = |greeting: &str| greeting.contains(['█', '▀', '▄']);
    assert!(!has_code(&printed("--no-qr")));
    assert!(!has_code(&Program::start_at("0.0.0.0:0").greeting));
}

fn invited(server: &Server, query: &str) -> Value {
    server.get(&format!("/invitation?{query}")).tells(200)
}

#[test]
fn the_page_that_asks_is_where_others_go() {
    let server = Server::start();
    let found = invited(&server, "page=https://talk.example/wsroom/&room=physics");
    assert_eq!(found["url"], "https://talk.example/wsroom/#physics");
    assert_eq!(found["also"], json!([]), "this one listens on 127.0.0.1 alone");
    assert!(found["svg"].as_str().unwrap().contains("<svg"));
    // There is no better one.
    assert_eq!(invited(&server, "page=http://localhost:1/&room=a")["url"], "http://localhost:1/#a");
}

#[test]
fn nobody_is_sent_to_an_address_that_only_this_host_knows() {
    let program = Program::start_at("0.0.0.0:0");
    let port = program.address().port();
    for local in ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"] {
        let path = format!("/invitation?page=http://{local}:{port}/&room=a");
        let found = program.is_visited().asks(request("GET", &path, &[], "")).tells(200);
        let url = found["url"].as_str().unwrap();
        assert_eq!(url.contains(local), outside().is_none(), "{url}");
        assert!(url.ends_with(&format!(":{port}/#a")), "{url}");
    }
}

#[test]
fn an_invitation_to_nowhere_is_refused() {
    let server = Server::start();
    for bad in [
        "",
        "room=a",
        "page=http://x/",
        "page=http://x/&room=a%20b",
        "page=javascript:1&room=a",
        "page=/&room=a",
        &format!("page=http://{}/&room=a", "x".repeat(300)),
    ] {
        assert_eq!(server.get(&format!("/invitation?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn a_phone_can_read_the_projector() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut ada = browser.enters(&program, "#physics", "Ada");
    ada.clicks("#projector-button");
    ada.shows("the code", "document.querySelector('#projector[open] #code')?.naturalWidth > 100");
    let seen = ada.asks(
        "(() => {
            const code = document.querySelector('#code');
            const canvas = document.createElement('canvas');
            canvas.width = code.naturalWidth;
            canvas.height = code.naturalHeight;
            const pen = canvas.getContext('2d');
            pen.drawImage(code, 0, 0);
            const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
            return [canvas.width, [...data].filter((_, i) => i % 4 === 0).map((red) => red < 128)];
        })()",
    );
    let (width, dark): (usize, Vec<bool>) = serde_json::from_value(seen).unwrap();
    assert_eq!(read(width, &dark), format!("{}/#physics", program.url("http")));
}

#[test]
fn the_token_of_a_link_is_in_the_invitation_too() {
    let server = Server::start();
    let found = invited(&server, "page=https://talk.example/wsroom/?token=abc&room=physics");
    assert_eq!(found["url"], "https://talk.example/wsroom/?token=abc#physics");
    let program = Program::start_at("0.0.0.0:0");
    let path = "/invitation?page=http://localhost/?token=abc&room=a";
    let found = program.is_visited().asks(request("GET", path, &[], "")).tells(200);
    assert!(found["url"].as_str().unwrap().ends_with("/?token=abc#a"), "{found}");
    for also in found["also"].as_array().unwrap() {
        assert!(also.as_str().unwrap().ends_with("/?token=abc"), "{also}");
    }
}
