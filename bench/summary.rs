//! What all rounds together came to: the median of each figure, and how far the rounds lie apart.

use crate::run::Run;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    /// In the order of the rounds.
    rounds: Vec<f64>,
}

impl Spread {
    /// `None` without a round.
    fn of(rounds: Vec<f64>) -> Option<Self> {
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, sorted[middle])
        };
        Some(Self {
            median,
            least: *sorted.first()?,
            most: *sorted.last()?,
            rounds,
        })
    }

    pub(crate) fn json(&self) -> Value {
        json!({"median": self.median, "least": self.least, "most": self.most, "rounds": self.rounds})
    }
}

pub(crate) struct Summary {
    rounds: Vec<Vec<Run>>,
}

impl Summary {
    pub(crate) fn new(rounds: Vec<Vec<Run>>) -> Self {
        Self { rounds }
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// One figure of a row; `None` where it has none of that name.
    pub(crate) fn figure(&self, row: &str, figure: &str) -> Option<Spread> {
        Spread::of(self.values(row, figure))
    }

    /// The same figure of two rows, one divided by the other within each round.
    pub(crate) fn ratio(&self, row: &str, to: &str, figure: &str) -> Option<Spread> {
        let (of, to) = (self.values(row, figure), self.values(to, figure));
        Spread::of(std::iter::zip(of, to).map(|(of, to)| of / to).collect())
    }

    /// All figures of a row, by name.
    pub(crate) fn figures(&self, row: &str) -> BTreeMap<String, Spread> {
        let mut figures = BTreeMap::new();
        for name in self.runs(row).flat_map(|run| run.figures().keys()) {
            if let Some(spread) = self.figure(row, name) {
                figures.insert(name.clone(), spread);
            }
        }
        figures
    }

    fn values(&self, row: &str, figure: &str) -> Vec<f64> {
        self.runs(row)
            .filter_map(|run| run.figures().get(figure).copied())
            .collect()
    }

    fn runs(&self, row: &str) -> impl Iterator<Item = &Run> {
        self.rounds.iter().flatten().filter(move |run| run.row == row)
    }
}
