//! The specification of `wsroom.v1`, `/protocol.html`, can be read by everyone, and says what the
//! schema and the tests say: its examples are events, its tables name their fields, and each of its
//! rules has a test.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{Browser, Program, SCHEMA, Server, Side, axe, has_no_barrier};

const TEXT: &str = include_str!("../static/protocol.html");

/// A rule for the client alone, and for what it makes of its own memory.
const WITHOUT_A_TEST: [usize; 1] = [14];

/// What stands between two words, wherever the first one does.
fn between<'a>(text: &'a str, begin: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(begin).skip(1).map(move |rest| rest.split(end).next().unwrap())
}

fn unescaped(html: &str) -> String {
    html.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// The number at the start of a text.
fn number(text: &str) -> usize {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number: {text:.20}"))
}

/// The events that stand in the specification as examples of this side.
fn examples(side: &str) -> Vec<Value> {
    let begin = format!("<pre class=\"{side}\">");
    let event = |text: &str| {
        // Behind the line of a binary message are its bytes.
        let line = unescaped(text).lines().next().unwrap().to_owned();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    between(TEXT, &begin, "</pre>").map(event).collect()
}

/// The fields of each event as the specification has them, with a `?` behind those that may be
/// missing.
fn fields_in_the_text() -> BTreeMap<String, BTreeSet<String>> {
    let sections = TEXT.split("<h3 id=\"").skip(1);
    let fields = |section: &str| {
        let table = between(section, "<table>", "</table>").next().unwrap_or_default();
        let heads = between(table, "<th scope=\"row\">", "</th>");
        let names = heads.flat_map(|head| head.split(", "));
        names.map(|name| name.replace("<code>", "").replace("</code>", "")).collect()
    };
    let section = |text: &str| (text.split('"').next().unwrap().to_owned(), fields(text));
    sections.map(section).collect()
}

/// The same as the schema has them.
fn fields_in_the_schema() -> BTreeMap<String, BTreeSet<String>> {
    let events = SCHEMA["$defs"].as_object().unwrap().iter();
    let events =
        events.filter(|(name, _)| name.starts_with("server-") || name.starts_with("client-"));
    let fields = |event: &Value| {
        let required = event["required"].as_array().unwrap();
        let names = event["properties"].as_object().unwrap().keys().filter(|name| *name != "type");
        let name = |name: &String| {
            let is_required = required.iter().any(|it| it == name);
            if is_required { name.clone() } else { format!("{name}?") }
        };
        names.map(name).collect()
    };
    events.map(|(name, event)| (name.clone(), fields(event))).collect()
}

/// The numbers of the rules, in the order of the text.
fn rules() -> Vec<usize> {
    between(TEXT, "<li id=\"rule-", "\"").map(number).collect()
}

/// The files of the tests, with their names.
fn tests() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let read = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        fs::read_to_string(path).ok().map(|text| (name, text))
    };
    files.filter_map(|path| read(&path)).collect()
}

#[test]
fn it_is_served_and_needs_nothing_from_elsewhere() {
    let server = Server::start();
    for (path, media_type) in [
        ("/protocol.html", "text/html; charset=utf-8"),
        ("/protocol.css", "text/css; charset=utf-8"),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.is_sound().status, 200, "{path}");
        assert_eq!(answer.field("Content-Type"), Some(media_type), "{path}");
    }
    assert_eq!(server.get("/protocol.html").body, TEXT);
    for elsewhere in ["=\"http", "=\"//", "<script", "<style", " style=", "@import", "url("] {
        assert!(!TEXT.contains(elsewhere), "the specification has {elsewhere}");
    }
    for file in between(TEXT, "href=\"", "\"").filter(|link| !link.starts_with('#')) {
        assert_eq!(server.get(&format!("/{file}")).status, 200, "{file}");
    }
}

#[test]
fn it_is_for_everyone() {
    let (program, browser) = (Program::start(&[]), Browser::start());
    let mut reader = browser.opens_at(&format!("{}/protocol.html", program.url("http")));
    reader.asks(&(axe() + "; 0"));
    for scheme in ["light", "dark"] {
        reader.prefers(scheme);
        has_no_barrier(&mut reader, scheme);
    }
    for width in [320, 390, 1000, 1900] {
        reader.has_a_window_of((width, 700));
        reader.shows("its new size", &format!("innerWidth === {width}"));
        let beyond = reader.asks(
            "[...document.querySelectorAll('body *')].filter((it) => it.getBoundingClientRect().right > innerWidth + 1 ||
                it.scrollWidth > Math.max(it.clientWidth, it.offsetWidth)).map((it) => it.outerHTML.slice(0, 80))",
        );
        assert_eq!(beyond, serde_json::json!([]), "{width} pixels");
    }
}

#[test]
fn every_place_that_it_points_to_is_there() {
    for place in between(TEXT, "href=\"#", "\"") {
        let places = between(TEXT, "id=\"", "\"").filter(|id| *id == place).count();
        assert_eq!(places, 1, "{place}");
    }
}

#[test]
fn its_examples_are_events_and_none_is_missing() {
    for (name, side) in [("server", Side::Server), ("client", Side::Client)] {
        let shown = examples(name);
        shown.iter().for_each(|event| side.may_send(event));
        let shown: BTreeSet<_> = shown
            .iter()
            .map(|event| format!("{name}-{}", event["type"].as_str().unwrap()))
            .collect();
        let known = fields_in_the_schema().into_keys().filter(|event| event.starts_with(name));
        assert_eq!(shown, known.collect(), "the types of events of the {name}");
    }
}

#[test]
fn its_tables_have_the_fields_of_the_schema() {
    let (text, schema) = (fields_in_the_text(), fields_in_the_schema());
    assert_eq!(text.keys().collect::<Vec<_>>(), schema.keys().collect::<Vec<_>>());
    for (event, fields) in &schema {
        assert_eq!(&text[event], fields, "the fields of {event}");
    }
}

/// The rules that the tests are named after: `rule_7_…`, or `rule_47_and_48_…`.
fn rules_with_a_test() -> BTreeSet<usize> {
    let tests = tests();
    let names = tests.iter().flat_map(|(_, text)| between(text, "\nfn rule_", "("));
    let is_number = |part: &&str| part.starts_with(|first: char| first.is_ascii_digit());
    names.flat_map(|name| name.split("_and_").filter(is_number).map(number)).collect()
}

#[test]
fn its_rules_are_counted_and_each_has_a_test() {
    let rules = rules();
    assert_eq!(rules, (1..=rules.len()).collect::<Vec<_>>());
    for list in between(TEXT, "<ol start=\"", "</ol>") {
        assert_eq!(number(list), number(list.split("id=\"rule-").nth(1).unwrap()), "{list:.80}");
    }
    let mut proved = rules_with_a_test();
    proved.extend(WITHOUT_A_TEST);
    assert_eq!(proved, rules.into_iter().collect());
}

#[test]
fn the_client_in_python_names_rules_that_are_there() {
    let (rules, tests) = (rules(), tests());
    let client = tests.iter().find(|(name, _)| name == "client.py").expect("it is there");
    let named: Vec<_> = client.1.split("rule ").skip(1).map(number).collect();
    assert!(named.len() > 15 && named.iter().all(|rule| rules.contains(rule)), "{named:?}");
}
