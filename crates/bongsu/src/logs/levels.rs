//! How much is said, by module.

use std::collections::BTreeMap;

use tracing_subscriber::filter::{LevelFilter, Targets};

/// A level for everything, and others for some modules and what is below them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    default: LevelFilter,
    modules: BTreeMap<String, LevelFilter>,
}

impl Levels {
    /// Reads `info`, `bongsu_kafka=debug`, or several such separated by commas; `None` if it
    /// is not acceptable. Where no level stands alone, that is `info`.
    pub fn parse(text: &str) -> Option<Levels> {
        let mut default = None;
        let mut modules = BTreeMap::new();
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                Some((module, level)) => {
                    let (module, level) = (module.trim(), named(level.trim())?);
                    let is_new = modules.insert(module.to_owned(), level).is_none();
                    if !is_new || !is_known(module) {
                        return None;
                    }
                }
                None if default.is_none() => default = Some(named(part)?),
                None => return None,
            }
        }
        Some(Levels {
            default: default.unwrap_or(LevelFilter::INFO),
            modules,
        })
    }

    /// With these set (`default`: that of everything else), or given up where there is none.
    ///
    /// # Errors
    /// For people: an unknown module or level.
    pub fn changed(&self, change: &BTreeMap<String, Option<String>>) -> Result<Levels, String> {
        let mut levels = self.clone();
        for (module, level) in change {
            let is_default = module == DEFAULT;
            if !is_default && !is_known(module) {
                let known = MODULES.join(", ");
                return Err(format!(
                    "unknown module '{module}': known are {DEFAULT}, {known} and modules of them"
                ));
            }
            let Some(level) = level else {
                match is_default {
                    true => levels.default = LevelFilter::INFO,
                    false => drop(levels.modules.remove(module)),
                }
                continue;
            };
            let found = named(level).ok_or_else(|| {
                format!("unknown level '{level}' of {module}: known are {}", words())
            })?;
            match is_default {
                true => levels.default = found,
                false => drop(levels.modules.insert(module.clone(), found)),
            }
        }
        match levels.modules.len() > MODULES_MAX {
            true => Err(format!(
                "{} modules have a level of their own; the limit is {MODULES_MAX}",
                levels.modules.len()
            )),
            false => Ok(levels),
        }
    }

    /// By module, `default` among them.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let word = |level: &LevelFilter| {
            let found = LEVELS.iter().find(|(_, known)| known == level);
            found.map_or("", |(word, _)| word).to_owned()
        };
        let modules = self.modules.iter();
        let mut map: BTreeMap<String, String> = modules
            .map(|(module, level)| (module.clone(), word(level)))
            .collect();
        map.insert(DEFAULT.to_owned(), word(&self.default));
        map
    }

    /// As tracing's filter.
    pub fn targets(&self) -> Targets {
        let modules = self.modules.iter();
        Targets::new()
            .with_default(self.default)
            .with_targets(modules.map(|(module, level)| (module.clone(), *level)))
    }
}

/// What [`Levels::parse`] accepts, for people.
pub fn accepted() -> String {
    format!(
        "a level ({}), module=level, or several separated by commas; modules are {} and modules \
         of them, as bongsu_broker::dead",
        words(),
        MODULES.join(", ")
    )
}

fn words() -> String {
    let words: Vec<&str> = LEVELS.iter().map(|(word, _)| *word).collect();
    words.join(", ")
}

fn named(word: &str) -> Option<LevelFilter> {
    let found = LEVELS.iter().find(|(known, _)| *known == word);
    found.map(|(_, level)| *level)
}

/// Whether it is one of ours, or may be a module of one.
fn is_known(module: &str) -> bool {
    let mut parts = module.split("::");
    let ours = parts.next().is_some_and(|first| MODULES.contains(&first));
    let is_name = |part: &str| {
        let mut characters = part.chars();
        let first = characters.next();
        first.is_some_and(|c| c.is_ascii_lowercase())
            && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    ours && parts.all(is_name)
}

const DEFAULT: &str = "default";
const LEVELS: &[(&str, LevelFilter)] = &[
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];
/// The crates of the broker.
const MODULES: &[&str] = &[
    "bongsu",
    "bongsu_admin",
    "bongsu_amqp091",
    "bongsu_broker",
    "bongsu_engine",
    "bongsu_kafka",
    "bongsu_net",
    "bongsu_record",
    "bongsu_storage",
];
/// More modules than there are.
const MODULES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn change(pairs: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
        let pairs = pairs.iter();
        pairs
            .map(|(module, level)| ((*module).to_owned(), level.map(str::to_owned)))
            .collect()
    }

    #[test]
    fn levels_are_read_and_told_again() {
        let levels = Levels::parse("warn, bongsu_kafka=debug,bongsu_broker::dead=off");
        let told = levels.expect("acceptable").to_map();
        let told: Vec<_> = told.iter().map(|(m, l)| (m.as_str(), l.as_str())).collect();
        assert_eq!(
            told,
            [
                ("bongsu_broker::dead", "off"),
                ("bongsu_kafka", "debug"),
                ("default", "warn")
            ]
        );
        let only = Levels::parse("bongsu_net=trace").expect("acceptable");
        assert_eq!(only.to_map()["default"], "info");
        let wrong = [
            "",
            "loud",
            "info,debug",
            "info,",
            "bongsu_net",
            "bongsu_net=",
            "bongsu_net=loud",
            "bongsu_nett=debug",
            "bongsu_net::=debug",
            "bongsu_net::A=debug",
            "hyper=debug",
            "bongsu_net=debug,bongsu_net=info",
        ];
        for text in wrong {
            assert_eq!(Levels::parse(text), None, "{text}");
        }
    }

    #[test]
    fn changes_are_all_made_or_none() {
        let levels = Levels::parse("info,bongsu_net=debug").expect("acceptable");
        let changed = levels.changed(&change(&[
            ("default", Some("error")),
            ("bongsu_net", None),
            ("bongsu_storage", Some("trace")),
        ]));
        let changed = changed.expect("acceptable");
        assert_eq!(Some(changed), Levels::parse("error,bongsu_storage=trace"));
        let back = levels.changed(&change(&[("default", None)]));
        assert_eq!(back.as_ref(), Ok(&levels), "info unless said otherwise");
        let refused = levels.changed(&change(&[("bongsu_net", Some("loud"))]));
        assert_eq!(
            refused.expect_err("no level"),
            "unknown level 'loud' of bongsu_net: known are off, error, warn, info, debug, trace"
        );
        let refused = levels.changed(&change(&[("default", Some("off")), ("tokio", Some("off"))]));
        assert!(
            refused
                .expect_err("no module")
                .starts_with("unknown module 'tokio'")
        );
    }
}
