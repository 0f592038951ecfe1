//! One row of the table: the rounds of one scenario, their medians and ratios.
//!
//! In each round everyone has a turn, and another one begins, so that what changes slowly on the
//! machine hurts all alike. A ratio is the median of the rounds' own ratios, not the ratio of
//! two medians: what is put side by side was measured side by side.

use super::figures::{self, Figure};
use super::trial::Trial;
use crate::relay::contenders::contender::Contender;
use crate::relay::messages::ledger::Faults;
use crate::relay::plan::effort::Effort;
use crate::relay::plan::scenario::Scenario;

pub struct Row {
    pub scenario: Scenario,
    /// Of each contender, in the scenario's order, the trials of all rounds.
    pub trials: Vec<Vec<Trial>>,
    /// Why it could not be run to its end.
    pub failure: Option<String>,
}

impl Row {
    /// Runs all rounds, or until something fails; tells on standard error how it goes.
    pub fn measure(scenario: Scenario, effort: Effort) -> Self {
        let trials = scenario.contenders.iter().map(|_| Vec::new()).collect();
        let mut row = Self { scenario, trials, failure: None };
        for round in 0..effort.rounds_of(&row.scenario) {
            for turn in 0..row.trials.len() {
                let place = (round + turn) % row.trials.len();
                if row.failure.is_none() {
                    row.add(place, round, &effort);
                }
            }
        }
        row
    }

    fn add(&mut self, place: usize, round: usize, effort: &Effort) {
        let contender = self.scenario.contenders[place];
        let title = format!("{}, round {}, {}", self.scenario.name, round + 1, contender.name());
        match Trial::run(&self.scenario, contender, effort) {
            Ok(trial) => {
                let cost = figures::cpu_per_delivery(&trial);
                let cost = cost.map_or(String::new(), |cost| format!(", {cost:.2} µs each"));
                eprintln!("{title}: {} heard{cost}", trial.deliveries);
                self.trials[place].push(trial);
            }
            Err(error) => {
                eprintln!("{title}: {error}");
                self.failure = Some(format!("{}: {error}", contender.name()));
            }
        }
    }

    /// The median of the server's rounds.
    pub fn server(&self, figure: Figure) -> Option<f64> {
        self.median(Contender::Server, figure)
    }

    /// The median of a contender's rounds.
    pub fn median(&self, contender: Contender, figure: Figure) -> Option<f64> {
        median(self.of(contender)?.iter().filter_map(figure).collect())
    }

    /// How often a contender's figure goes into the server's.
    pub fn ratio(&self, contender: Contender, figure: Figure) -> Option<f64> {
        let pairs = self.of(Contender::Server)?.iter().zip(self.of(contender)?);
        let ratios = pairs.filter_map(|(server, other)| Some(figure(server)? / figure(other)?));
        median(ratios.filter(|ratio| ratio.is_finite()).collect())
    }

    /// How often what the same messages cost without TLS, and what encryption alone costs, both
    /// together go into what they cost with it.
    pub fn tls_ratio(&self) -> Option<f64> {
        let cost = figures::cpu_per_delivery;
        let pairs = self.of(Contender::Server)?.iter().zip(self.of(Contender::Plain)?);
        let ratios = pairs.filter_map(|(tls, plain)| {
            Some(cost(tls)? / (cost(plain)? + figures::encryption(tls)?))
        });
        median(ratios.collect())
    }

    /// What a message more costs where it is kept, in µs, its receivers all together.
    pub fn keeping(&self) -> Option<f64> {
        let cost = figures::cpu_per_delivery;
        let pairs = self.of(Contender::Server)?.iter().zip(self.of(Contender::Forgetful)?);
        let receivers = self.scenario.clients as f64 / self.scenario.rooms as f64;
        let more = pairs.filter_map(|(kept, not)| Some((cost(kept)? - cost(not)?) * receivers));
        median(more.collect())
    }

    /// What a message costs Redis, in µs.
    pub fn redis(&self) -> Option<f64> {
        let receivers = self.scenario.clients as f64 / self.scenario.rooms as f64;
        Some(self.server(figures::redis_cpu_per_delivery)? * receivers)
    }

    /// How much more a contender's figure is in the server's.
    pub fn more_than(&self, contender: Contender, figure: Figure) -> Option<f64> {
        let pairs = self.of(Contender::Server)?.iter().zip(self.of(contender)?);
        median(pairs.filter_map(|(server, other)| Some(figure(server)? - figure(other)?)).collect())
    }

    /// What went wrong for anyone: beside a floor that loses messages nothing can be put either.
    pub fn faults(&self) -> Faults {
        let mut sum = Faults::default();
        for trial in self.trials.iter().flatten() {
            sum += trial.faults;
        }
        sum
    }

    pub fn of(&self, contender: Contender) -> Option<&[Trial]> {
        let place = self.scenario.contenders.iter().position(|&other| other == contender)?;
        Some(&self.trials[place])
    }
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let (low, high) = (figures.get(figures.len().checked_sub(1)? / 2)?, figures.len() / 2);
    Some((low + figures[high]) / 2.0)
}
