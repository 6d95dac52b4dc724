//! All figures of a run, and how results.json tells them; `docs/performance.md` describes it.

use super::super::result::{Figures, Median, median};
use super::columns::Column;
use super::json::Json;
use super::steps::{AXES, Axis, Step, WORKLOADS, What};
use super::{Options, machine};

/// What was measured.
pub struct Gathered {
    head: Vec<(&'static str, Json)>,
    brokers: Vec<Json>,
    /// How many rounds, and of how many seconds.
    pub settings: (u32, f64),
    /// The machine's own figures, of each round.
    limits: Vec<Figures>,
    rounds: Vec<(&'static str, &'static str, Figures)>,
    points: Vec<(&'static str, &'static str, Figures)>,
    failed: Vec<(String, &'static str, String)>,
    skipped: Vec<String>,
}

impl Gathered {
    /// Nothing yet.
    pub fn new(options: &Options, arguments: &[String], columns: &[Column]) -> Self {
        let command = format!("cargo xtask bench all {}", arguments.join(" "));
        let brokers = columns.iter().map(|column| {
            Json::Object(vec![
                ("name", Json::text(column.id)),
                ("title", Json::text(&column.title)),
                ("protocol", Json::text(column.installed.suite.name())),
                ("durability", Json::text(column.durability)),
            ])
        });
        Self {
            head: vec![
                ("schema", Json::Number(1.0)),
                ("made", Json::text(machine::now())),
                ("command", Json::text(command.trim_end())),
                ("commit", Json::text(machine::commit())),
                ("machine", machine::described()),
                ("rounds", Json::Number(options.rounds.into())),
                ("seconds", Json::Number(options.seconds)),
            ],
            brokers: brokers.collect(),
            settings: (options.rounds, options.seconds),
            limits: Vec::new(),
            rounds: Vec::new(),
            points: Vec::new(),
            failed: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Adds what a step measured.
    pub fn add(&mut self, step: &Step, column: &Column, lines: Vec<Figures>) {
        for figures in lines {
            match step.what {
                What::Limits(_) => self.limits.push(figures),
                What::Workload(workload, _) => {
                    self.rounds.push((workload.name, column.id, figures));
                }
                What::Growth(axis, _) => self.points.push((axis.name, column.id, figures)),
            }
        }
    }

    /// Notes that a step failed, and why.
    pub fn fail(&mut self, step: &Step, column: &Column, reason: String) {
        self.failed.push((what(step), column.id, reason));
    }

    /// Whether this workload or point failed before on that broker.
    pub fn failed(&self, step: &Step, column: &Column) -> bool {
        let what = what(step);
        self.failed
            .iter()
            .any(|(failed, id, _)| *failed == what && *id == column.id)
    }

    /// How many failed.
    pub fn failures(&self) -> usize {
        self.failed.len()
    }

    /// What failed: what, on which broker, why.
    pub fn failed_steps(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let failed = self.failed.iter();
        failed.map(|(what, id, reason)| (what.as_str(), *id, reason.as_str()))
    }

    /// Notes that there was no time for a step.
    pub fn skip(&mut self, name: &str, column: &Column) {
        self.skipped.push(format!("{name} {}", column.id));
    }

    /// How many there was no time for.
    pub fn skipped(&self) -> usize {
        self.skipped.len()
    }

    /// The median over the rounds of one figure.
    pub fn median(&self, workload: &str, id: &str, key: &str) -> Option<Median> {
        let rounds = self.rounds_of(workload, id);
        median(rounds.filter_map(|figures| value(figures, key)).collect())
    }

    /// The points of one figure on one broker: how far along the axis, and the figure.
    pub fn line(&self, axis: &Axis, id: &str, key: &str) -> Vec<(f64, f64)> {
        let points = self.points.iter();
        let mine = points.filter(|(name, of, _)| *name == axis.name && *of == id);
        mine.filter_map(|(_, _, figures)| Some((value(figures, "point")?, value(figures, key)?)))
            .collect()
    }

    /// The median over the rounds of a figure of the machine.
    pub fn limit(&self, key: &str) -> Option<Median> {
        let rounds = self.limits.iter();
        median(rounds.filter_map(|figures| value(figures, key)).collect())
    }

    fn rounds_of(&self, workload: &str, id: &str) -> impl Iterator<Item = &Figures> {
        let rounds = self.rounds.iter();
        rounds
            .filter(move |(name, of, _)| *name == workload && *of == id)
            .map(|(_, _, figures)| figures)
    }

    /// The whole run as text.
    pub fn json(self) -> String {
        let ids: Vec<&'static str> = unique(self.rounds.iter().map(|round| round.1));
        let mut workloads = Vec::new();
        for (workload, id) in WORKLOADS
            .iter()
            .flat_map(|workload| ids.iter().map(move |id| (workload, id)))
        {
            let rounds: Vec<&Figures> = self.rounds_of(workload.name, id).collect();
            let Some(first) = rounds.first() else {
                continue;
            };
            let medians = first.iter().filter_map(|(key, _)| {
                let median = self.median(workload.name, id, key)?;
                Some((key.clone(), median.value))
            });
            workloads.push(Json::Object(vec![
                ("workload", Json::text(workload.name)),
                ("broker", Json::text(*id)),
                ("median", Json::Figures(medians.collect())),
                (
                    "rounds",
                    Json::List(rounds.into_iter().cloned().map(Json::Figures).collect()),
                ),
            ]));
        }
        let mut growth = Vec::new();
        for axis in AXES {
            for id in unique(self.points.iter().map(|point| point.1)) {
                let points = self.points.iter();
                let mine = points.filter(|(name, of, _)| *name == axis.name && *of == id);
                let mine: Vec<Json> = mine
                    .map(|(_, _, figures)| Json::Figures(figures.clone()))
                    .collect();
                if !mine.is_empty() {
                    growth.push(Json::Object(vec![
                        ("axis", Json::text(axis.name)),
                        ("broker", Json::text(id)),
                        ("points", Json::List(mine)),
                    ]));
                }
            }
        }
        let failed = self.failed.into_iter().map(|(what, id, reason)| {
            Json::Object(vec![
                ("what", Json::text(what)),
                ("broker", Json::text(id)),
                ("reason", Json::text(reason)),
            ])
        });
        let mut whole = self.head;
        whole.extend([
            ("brokers", Json::List(self.brokers)),
            (
                "limits",
                Json::List(self.limits.into_iter().map(Json::Figures).collect()),
            ),
            ("workloads", Json::List(workloads)),
            ("growth", Json::List(growth)),
            ("failed", Json::List(failed.collect())),
            (
                "skipped",
                Json::List(self.skipped.into_iter().map(Json::Text).collect()),
            ),
        ]);
        Json::Object(whole).to_string() + "\n"
    }
}

/// Of every round the same, so that what failed once is not tried again.
fn what(step: &Step) -> String {
    match step.what {
        What::Limits(_) => "limits".to_owned(),
        What::Workload(workload, _) => workload.name.to_owned(),
        What::Growth(axis, point) => format!("{} {point}", axis.name),
    }
}

fn value(figures: &Figures, key: &str) -> Option<f64> {
    let found = figures.iter().find(|(name, _)| name == key);
    found.map(|(_, value)| *value)
}

fn unique(ids: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut seen = Vec::new();
    for id in ids {
        if !seen.contains(&id) {
            seen.push(id);
        }
    }
    seen
}
