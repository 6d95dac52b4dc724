//! Lists as RabbitMQ's management gives them: filtered by name, sorted, in pages, with some
//! columns only.
//!
//! An item is rendered only if it is on the page, unless it is sorted by something beside
//! its name: then each is rendered once for its key, and again if it is on the page, so that
//! memory follows the page.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::route::{Answer, Context, Parameter};

/// What any list understands.
pub const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "page",
        summary: "Number of the page, from 1; without it, all.",
    },
    Parameter {
        name: "page_size",
        summary: "Items on a page: 1 to 500, usually 100.",
    },
    Parameter {
        name: "name",
        summary: "Only items whose names contain this; of pages.",
    },
    Parameter {
        name: "use_regex",
        summary: "`true`: name is a regular expression.",
    },
    Parameter {
        name: "sort",
        summary: "Column to sort by; dots lead into objects.",
    },
    Parameter {
        name: "sort_reverse",
        summary: "`true`: the largest first.",
    },
    Parameter {
        name: "columns",
        summary: "Columns wanted, separated by commas; dots lead into objects.",
    },
];

/// Answers with a list. `order` is the usual one; `name` is what filters look at.
///
/// # Errors
/// 400: a page that there is not, a pattern that is none.
pub fn answer<T>(
    context: &Context,
    mut items: Vec<T>,
    name: impl Fn(&T) -> &str,
    order: impl Fn(&T, &T) -> Ordering,
    render: impl Fn(&T) -> Value,
) -> Result<Answer, Failure> {
    let page = Page::of(context)?;
    let total = items.len();
    if let Some(page) = &page {
        items.retain(|item| page.takes(name(item)));
    }
    let sort = context.query("sort").filter(|sort| !sort.is_empty());
    let reverse = context.query("sort_reverse") == Some("true");
    match sort {
        Some("name") | None => {
            items.sort_by(|one, other| match sort {
                Some(_) => name(one).cmp(name(other)).then_with(|| order(one, other)),
                None => order(one, other),
            });
        }
        Some(sort) => {
            let path: Vec<&str> = sort.split('.').collect();
            let keyed = items.into_iter().map(|item| {
                let key = at(&render(&item), &path).cloned().unwrap_or(Value::Null);
                (key, item)
            });
            let mut keyed: Vec<(Value, T)> = keyed.collect();
            keyed.sort_by(|(one, a), (other, b)| compare(one, other).then_with(|| order(a, b)));
            items = keyed.into_iter().map(|(_, item)| item).collect();
        }
    }
    if reverse {
        items.reverse();
    }
    let columns = Columns::of(context);
    let Some(page) = page else {
        return Ok(written(&items, |item| columns.pick(render(item))));
    };
    let filtered = items.len();
    let pages = filtered.div_ceil(page.size);
    // The first page of nothing is there, and is none of its pages.
    if page.number > pages.max(1) {
        return Err(Failure::new(
            "page_out_of_range",
            format!(
                "Page out of range, page: {} page size: {}, len: {filtered}",
                page.number, page.size
            ),
        ));
    }
    let from = (page.number - 1) * page.size;
    let on_page: Vec<Value> = items
        .iter()
        .skip(from)
        .take(page.size)
        .map(|item| columns.pick(render(item)))
        .collect();
    Ok(Answer::json(&json!({
        "total_count": total,
        "filtered_count": filtered,
        "item_count": on_page.len(),
        "page": page.number,
        "page_size": page.size,
        "page_count": pages,
        "items": on_page,
    })))
}

/// One thing, with the columns that are wanted.
pub fn one(context: &Context, value: Value) -> Answer {
    Answer::json(&Columns::of(context).pick(value))
}

/// Each item is written as it is rendered, so that a long list is in memory once, as text.
fn written<T>(items: &[T], render: impl Fn(&T) -> Value) -> Answer {
    let mut out = Vec::from(b"[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut out, &render(item)).expect("plain data with text keys");
    }
    out.push(b']');
    Answer::of("application/json", out)
}

struct Page {
    number: usize,
    size: usize,
    name: Option<Wanted>,
}

enum Wanted {
    /// In lower case.
    Text(String),
    Pattern(Box<Regex>),
}

impl Page {
    /// What was asked for; `None`: no page.
    fn of(context: &Context) -> Result<Option<Page>, Failure> {
        let invalid = || Failure::bad_request("Pagination parameters are invalid");
        let Some(number) = context.query("page") else {
            return Ok(None);
        };
        let number: i64 = number.parse().map_err(|_| invalid())?;
        let size = match context.query("page_size") {
            Some(size) => Some(size.parse::<i64>().map_err(|_| invalid())?),
            None => None,
        };
        let page = usize::try_from(number).ok().filter(|number| *number > 0);
        let items = usize::try_from(size.unwrap_or(PAGE_SIZE_USUAL)).ok();
        let items = items.filter(|size| (1..=PAGE_SIZE_MAX).contains(size));
        let (Some(page), Some(items)) = (page, items) else {
            let size = size.map_or("undefined".to_owned(), |size| size.to_string());
            return Err(Failure::new(
                "invalid_pagination_parameters",
                format!("Invalid pagination parameters: page number {number}, page size {size}"),
            ));
        };
        let name = context.query("name").filter(|name| !name.is_empty());
        let name = match (name, context.query("use_regex")) {
            (None, _) => None,
            (Some(pattern), Some("true")) => {
                let built = RegexBuilder::new(pattern)
                    .case_insensitive(true)
                    .size_limit(PATTERN_COMPILED_BYTES_MAX)
                    .build();
                Some(Wanted::Pattern(Box::new(built.map_err(|_| invalid())?)))
            }
            (Some(text), _) => Some(Wanted::Text(text.to_lowercase())),
        };
        Ok(Some(Page {
            number: page,
            size: items,
            name,
        }))
    }

    fn takes(&self, name: &str) -> bool {
        match &self.name {
            None => true,
            Some(Wanted::Text(text)) => name.to_lowercase().contains(text),
            Some(Wanted::Pattern(pattern)) => pattern.is_match(name),
        }
    }
}

/// Which columns are wanted, as paths; none: all.
struct Columns(Vec<Vec<String>>);

impl Columns {
    fn of(context: &Context) -> Columns {
        let columns = context.query("columns").unwrap_or_default();
        let columns = columns.split(',').filter(|column| !column.is_empty());
        let path = |column: &str| column.split('.').map(str::to_owned).collect();
        Columns(columns.take(COLUMNS_MAX).map(path).collect())
    }

    fn pick(&self, value: Value) -> Value {
        if self.0.is_empty() {
            return value;
        }
        let mut picked = Map::new();
        for path in &self.0 {
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            if let Some(found) = at(&value, &parts) {
                put(&mut picked, &parts, found.clone());
            }
        }
        Value::Object(picked)
    }
}

fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, part| value.get(*part))
}

fn put(into: &mut Map<String, Value>, path: &[&str], value: Value) {
    let [first, rest @ ..] = path else {
        return;
    };
    if rest.is_empty() {
        into.insert((*first).to_owned(), value);
        return;
    }
    let inner = into
        .entry(*first)
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = inner {
        put(inner, rest, value);
    }
}

/// Numbers before texts before all else; what is not there comes first.
fn compare(one: &Value, other: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) | Value::Object(_) => 4,
    };
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Number(one), Value::Number(other)) => {
            let number = |number: &serde_json::Number| number.as_f64().unwrap_or(0.0);
            number(one).total_cmp(&number(other))
        }
        _ => rank(one).cmp(&rank(other)),
    }
}

const PAGE_SIZE_USUAL: i64 = 100;
const PAGE_SIZE_MAX: usize = 500;
const COLUMNS_MAX: usize = 100;
const PATTERN_COMPILED_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests;
