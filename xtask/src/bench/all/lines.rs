//! A picture of one axis: panels side by side, both ways logarithmic, a line a broker.

use super::scale::{Scale, short};
use super::svg::{Anchor, Svg};

/// A figure of each broker along the axis.
pub struct Panel {
    /// With its unit.
    pub title: &'static str,
    /// One a broker.
    pub lines: Vec<Line>,
}

/// A broker's class and title, and its points from left to right.
pub type Line = (&'static str, String, Vec<(f64, f64)>);

/// Draws them; `unit` is the horizontal axis'.
pub fn draw(title: &str, unit: &str, panels: &[Panel]) -> Option<String> {
    let all = || panels.iter().flat_map(|panel| &panel.lines);
    let points = || all().flat_map(|line| &line.2);
    let least = points().map(|point| point.0).filter(|x| *x > 0.0);
    let least = least.fold(f64::INFINITY, f64::min);
    let most = points().map(|point| point.0).fold(0.0, f64::max);
    if !least.is_finite() {
        return None;
    }
    // What is at none stands at the left edge, one decade before the first.
    let none = points().any(|point| point.0 == 0.0);
    let across = Scale::logarithmic(if none { least / 10.0 } else { least }, most);
    let mut svg = Svg::new(WIDTH, HEIGHT, title);
    svg.text((16.0, 26.0), Anchor::Start, "title", title);
    let mut x = 16.0;
    let mut named: Vec<&str> = Vec::new();
    for (class, name, _) in all() {
        if !named.contains(class) {
            named.push(class);
            svg.bar((x, HEIGHT - 22.0), (12.0, 12.0), class);
            svg.text((x + 18.0, HEIGHT - 12.0), Anchor::Start, "value", name);
            x += 40.0 + 7.0 * name.chars().count() as f64;
        }
    }
    let width = (WIDTH - 16.0) / panels.len() as f64;
    for (number, panel) in panels.iter().enumerate() {
        let values = panel.lines.iter().flat_map(|line| &line.2);
        if let Some(up) = Scale::of(values.map(|point| point.1)) {
            let left = 16.0 + number as f64 * width;
            draw_panel(&mut svg, left, width, panel, (&across, &up), (unit, none));
        }
    }
    Some(svg.finish())
}

fn draw_panel(
    svg: &mut Svg,
    x: f64,
    width: f64,
    panel: &Panel,
    (across, up): (&Scale, &Scale),
    (unit, none): (&str, bool),
) {
    svg.text((x, 52.0), Anchor::Start, "name", panel.title);
    let (left, right) = (x + 42.0, x + width - 18.0);
    let at = |value: f64| left + across.place(value) * (right - left);
    let height = |value: f64| BOTTOM - up.place(value) * (BOTTOM - TOP);
    for tick in up.ticks() {
        svg.grid((left, height(tick)), (right, height(tick)));
        let beside = (left - 5.0, height(tick) + 4.0);
        svg.text(beside, Anchor::End, "axis", &short(tick));
    }
    let ticks = across.ticks();
    for (number, tick) in ticks.iter().enumerate() {
        svg.grid((at(*tick), TOP), (at(*tick), BOTTOM));
        // Every other where they would touch.
        if ticks.len() < 6 || number % 2 == 0 {
            let text = match none && number == 0 {
                true => "0".to_owned(),
                false => short(*tick),
            };
            svg.text((at(*tick), BOTTOM + 15.0), Anchor::Middle, "axis", &text);
        }
    }
    let middle = f64::midpoint(left, right);
    svg.text((middle, BOTTOM + 31.0), Anchor::Middle, "axis", unit);
    for (class, _, points) in &panel.lines {
        let places: Vec<(f64, f64)> = points
            .iter()
            .map(|(along, value)| (at(*along), height(*value)))
            .collect();
        if !places.is_empty() {
            svg.line(&places, class);
        }
    }
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 320.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 248.0;
