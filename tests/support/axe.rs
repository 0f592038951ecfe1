//! The rules of axe-core, which `tests/run` gets from npm: an outside opinion on what keeps people
//! from using a page.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::Tab;

/// The rules, as a script.
pub fn axe() -> String {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let file = target.join("page/node_modules/axe-core/axe.min.js");
    fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}: tests/run gets it", file.display()))
}

/// Nothing in a tab that has run [`axe`] breaks a rule.
pub fn has_no_barrier(tab: &mut Tab, what: &str) {
    let found = tab.awaits("axe.run().then(({ violations }) => violations.map((it) => [it.id, it.nodes.map((node) => node.html + ' ' + node.failureSummary)]))");
    assert_eq!(found, json!([]), "{what}");
}
