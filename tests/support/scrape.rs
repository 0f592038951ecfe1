//! What `GET /metrics` tells, read strictly: whatever is not in the text format of Prometheus (version
//! 0.0.4), or against its rules for names, is a failure.

use std::collections::{BTreeMap, BTreeSet};

use super::Answer;

/// One reading of all metrics.
pub struct Scrape {
    /// The type of each family.
    pub families: BTreeMap<String, String>,
    /// The value of each series, by its name and labels as they stand there.
    series: BTreeMap<String, f64>,
}

impl Scrape {
    pub fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let kind = answer.field("Content-Type");
        assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
        assert_eq!(answer.field("Cache-Control"), Some("no-store"));
        answer.is_sound();
        let mut scrape = Self { families: BTreeMap::new(), series: BTreeMap::new() };
        let (mut helped, mut family) = (String::new(), String::new());
        for line in answer.body.lines() {
            match line.split_once(' ').expect("two words") {
                ("#", rest) => {
                    let (kind, rest) = rest.split_once(' ').expect("a kind of comment");
                    let (name, about) = rest.split_once(' ').expect("something about a name");
                    match kind {
                        "HELP" => helped = name.to_owned(),
                        "TYPE" => {
                            assert_eq!(name, helped, "a type comes right behind its help");
                            let before = scrape.families.insert(name.to_owned(), about.to_owned());
                            assert_eq!(before, None, "{name} is there twice");
                            is_well_named(name, about);
                            family = name.to_owned();
                        }
                        _ => panic!("{line}"),
                    }
                }
                _ => scrape.reads_a_sample(line, &family),
            }
        }
        scrape.families.iter().filter(|(_, kind)| *kind == "histogram").for_each(|(name, _)| {
            scrape.has_a_whole_histogram(name);
        });
        scrape
    }

    fn reads_a_sample(&mut self, line: &str, family: &str) {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        let base = name.split('{').next().unwrap();
        let of_histogram = ["_bucket", "_sum", "_count"].map(|end| format!("{family}{end}"));
        let is_own = match self.families[family].as_str() {
            "histogram" => of_histogram.iter().any(|own| own == base),
            _ => base == family,
        };
        assert!(is_own, "{line} stands below {family}");
        assert!(self.series.insert(name.to_owned(), value).is_none(), "twice: {line}");
    }

    fn has_a_whole_histogram(&self, name: &str) {
        let buckets = self.series.iter().filter_map(|(series, count)| {
            let limit = series.strip_prefix(&format!("{name}_bucket{{le=\""))?;
            Some((limit.trim_end_matches("\"}").parse::<f64>().expect("a limit"), *count))
        });
        let mut buckets = buckets.collect::<Vec<_>>();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert!(buckets.is_sorted_by_key(|(_, count)| *count), "{name}: {buckets:?}");
        let (last, count) = *buckets.last().expect("a bucket");
        assert_eq!((last, count), (f64::INFINITY, self.tells(&format!("{name}_count"))));
    }

    /// The value of one series.
    pub fn tells(&self, series: &str) -> f64 {
        let known = || self.series.keys().cloned().collect::<Vec<_>>().join("\n");
        *self.series.get(series).unwrap_or_else(|| panic!("no {series} in:\n{}", known()))
    }

    /// Names and labels of all series.
    pub fn names(&self) -> BTreeSet<&str> {
        self.series.keys().map(String::as_str).collect()
    }
}

/// The rules of Prometheus for names; and this program's own, that each begins with its name.
fn is_well_named(name: &str, kind: &str) {
    assert!(name.starts_with("wsroom_") || name.starts_with("process_"), "{name}");
    assert!(name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_'));
    assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
    assert!(["counter", "gauge", "histogram"].contains(&kind), "{name} is a {kind}");
    for unit in ["_ms", "_millis", "_kib", "_mb", "_minutes"] {
        assert!(!name.contains(unit), "{name} has no base unit");
    }
}
