//! What the load generator said: one flat JSON object a case; gathered over rounds.

use super::Result;
use super::broker::Kind;

/// A case's figures by key.
pub type Figures = Vec<(String, f64)>;

/// Reads one object of numbers, as `bench run --json` writes it; strings are passed over. Only its
/// own format, so a JSON library would be more than the task.
pub fn parse(line: &str) -> Result<Figures> {
    let object = line
        .trim()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .filter(|object| !object.contains(['{', '}']));
    let object =
        object.ok_or_else(|| format!("the load generator said {line:?}, not one object"))?;
    let mut figures = Vec::new();
    for pair in object.split(',') {
        let (key, value) = pair
            .split_once(':')
            .ok_or_else(|| format!("{pair:?} is no pair"))?;
        if !value.starts_with('"') {
            let value = value
                .parse()
                .map_err(|_| format!("{value:?} of {key} is no number"))?;
            figures.push((key.trim_matches('"').to_owned(), value));
        }
    }
    Ok(figures)
}

/// Figures of all rounds.
#[derive(Default)]
pub struct Results {
    rounds: Vec<(String, Kind, Figures)>,
    failed: Vec<(String, Kind)>,
}

/// The middle of several rounds, and half their range as a share of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Median {
    /// The middle value, or the mean of the two.
    pub value: f64,
    /// 0.1 means that rounds lay within about ±10 %.
    pub spread: f64,
    /// How many rounds.
    pub rounds: usize,
}

impl Results {
    /// Adds one round of a case.
    pub fn add(&mut self, case: &str, kind: Kind, figures: Figures) {
        self.rounds.push((case.to_owned(), kind, figures));
    }

    /// Notes that a broker does not get through a case; further rounds would waste time.
    pub fn fail(&mut self, case: &str, kind: Kind) {
        self.failed.push((case.to_owned(), kind));
    }

    /// Whether a broker did not get through a case.
    pub fn failed(&self, case: &str, kind: Kind) -> bool {
        self.failed.iter().any(|(c, k)| c == case && *k == kind)
    }

    /// How many cases were given up.
    pub fn failures(&self) -> usize {
        self.failed.len()
    }

    /// The median of one figure; nothing for a case that failed in any round.
    pub fn median(&self, case: &str, kind: Kind, key: &str) -> Option<Median> {
        if self.failed(case, kind) {
            return None;
        }
        let rounds = self
            .rounds
            .iter()
            .filter(|(c, k, _)| c == case && *k == kind);
        let values = rounds.flat_map(|(_, _, figures)| figures);
        median(
            values
                .filter(|(found, _)| found == key)
                .map(|(_, value)| *value)
                .collect(),
        )
    }
}

/// The middle of some values; nothing without any.
pub fn median(mut values: Vec<f64>) -> Option<Median> {
    values.sort_by(f64::total_cmp);
    let (least, most) = (*values.first()?, *values.last()?);
    let rounds = values.len();
    let value = (values[(rounds - 1) / 2] + values[rounds / 2]) / 2.0;
    let spread = if value == 0.0 {
        0.0
    } else {
        (most - least) / 2.0 / value
    };
    Some(Median {
        value,
        spread,
        rounds,
    })
}

#[cfg(test)]
mod tests;
