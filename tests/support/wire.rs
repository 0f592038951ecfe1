//! The panel that shows the wire, and what people in front of it do.

use super::Tab;

/// These parts are in lines that stand in this order, perhaps with others between them.
pub fn follow_each_other(lines: &[String], parts: &[&str]) {
    let mut left = lines.iter();
    for part in parts {
        assert!(left.any(|line| line.contains(part)), "{part} is not next in {lines:#?}");
    }
}

impl Tab {
    /// Opens the panel; it is fetched first.
    pub fn opens_the_wire(&mut self) {
        self.clicks("#wire-button");
        self.shows("the wire", "document.querySelector('#wire')?.hidden === false && document.querySelector('#totals').textContent.startsWith('↓')");
    }

    /// Opens the panel, and there the experiments.
    pub fn opens_the_experiments(&mut self) {
        self.opens_the_wire();
        self.unfolds("#echo-form");
        self.shows("the plays", "document.querySelectorAll('#plays button').length > 0");
    }

    /// Opens what an element is folded away in.
    pub fn unfolds(&mut self, selector: &str) {
        self.asks(&format!(
            "document.querySelector({selector:?}).closest('details').open = true; 0"
        ));
    }

    /// Chooses from a list.
    pub fn picks(&mut self, select: &str, value: &str) {
        let picked = self.asks(&format!(
            "(() => {{
                const it = document.querySelector({select:?});
                it.value = {value:?};
                it.dispatchEvent(new Event('input'));
                it.dispatchEvent(new Event('change'));
                return it.value;
            }})()"
        ));
        assert_eq!(picked, value, "{select} does not offer it");
    }

    /// Waits until an experiment has ended, and reads how.
    pub fn reads_the_end(&mut self) -> String {
        self.reads("#outcome-words", "This page was told: closed with ");
        self.asks("document.querySelector('#outcome-words').textContent")
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The lines about an experiment, each frame by its summary.
    pub fn steps(&mut self) -> Vec<String> {
        let shown = self.asks(
            "[...document.querySelectorAll('#steps > li')].map((it) => (it.querySelector('summary') ?? it).textContent)",
        );
        serde_json::from_value(shown).expect("strings")
    }
}
