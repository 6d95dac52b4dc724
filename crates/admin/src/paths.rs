//! Which route a path is of.
//!
//! A path is matched part by part, each decoded on its own, so that a name may have slashes
//! in it (`%2F`). Where both a word and a parameter match, the word does. A slash at the end
//! makes no difference.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use http::Method;

use crate::console;
use crate::percent;
use crate::route::{self, Route};

/// What was found at a path.
pub enum Found {
    /// A route, with the parts of the path by their names.
    Route(&'static Route, BTreeMap<String, String>),
    /// The path is known, with these methods.
    Methods(Vec<&'static Method>),
    /// Nothing.
    Nothing,
    /// The path is not one: its percent-encoding says nothing, or not in UTF-8.
    Malformed,
}

/// Looks a path up, of a method.
pub fn find(method: &Method, path: &str) -> Found {
    let Some(parts) = split(path) else {
        return Found::Malformed;
    };
    let Some(places) = table().get(&parts.len()) else {
        return Found::Nothing;
    };
    let wanted = match *method {
        Method::HEAD => &Method::GET,
        _ => method,
    };
    let mut methods = Vec::new();
    for place in places.iter().filter(|place| place.is_at(&parts)) {
        let routes = place.routes.iter();
        if let Some(route) = routes.clone().find(|route| route.method == *wanted) {
            return Found::Route(route, place.named(parts));
        }
        methods.extend(routes.map(|route| &route.method));
    }
    match methods.is_empty() {
        true => Found::Nothing,
        false => Found::Methods(methods),
    }
}

fn split(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').map(percent::decode).collect()
}

/// A path of the table, with its routes.
struct Place {
    parts: Vec<Part>,
    routes: Vec<&'static Route>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Word(&'static str),
    Parameter(&'static str),
}

impl Place {
    fn is_at(&self, parts: &[String]) -> bool {
        let pairs = self.parts.iter().zip(parts);
        pairs
            .into_iter()
            .all(|(one, other)| !matches!(one, Part::Word(word) if word != other))
    }

    fn named(&self, parts: Vec<String>) -> BTreeMap<String, String> {
        let pairs = self.parts.iter().zip(parts);
        let named = pairs.filter_map(|(part, value)| match part {
            Part::Parameter(name) => Some(((*name).to_owned(), value)),
            Part::Word(_) => None,
        });
        named.collect()
    }
}

/// Places by how many parts they have, words before parameters.
fn table() -> &'static BTreeMap<usize, Vec<Place>> {
    static TABLE: OnceLock<BTreeMap<usize, Vec<Place>>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut by_path: BTreeMap<&'static str, Vec<&'static Route>> = BTreeMap::new();
        // The console's files are no part of the API: its document does not tell of them.
        for route in route::all().chain(console::ROUTES) {
            by_path.entry(route.path).or_default().push(route);
        }
        let mut table: BTreeMap<usize, Vec<Place>> = BTreeMap::new();
        for (path, routes) in by_path {
            let parts: Vec<Part> = path.trim_start_matches('/').split('/').map(part).collect();
            let places = table.entry(parts.len()).or_default();
            places.push(Place { parts, routes });
        }
        for places in table.values_mut() {
            places.sort_by(|one, other| one.parts.cmp(&other.parts));
        }
        table
    })
}

fn part(part: &'static str) -> Part {
    let name = part
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    name.map_or(Part::Word(part), Part::Parameter)
}

#[cfg(test)]
mod tests;
