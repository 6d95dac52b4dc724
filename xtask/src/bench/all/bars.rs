//! A picture of one workload: a panel a figure, a bar a broker.

use super::scale::{Scale, short};
use super::svg::{Anchor, Svg};

/// A figure of each broker.
pub struct Panel {
    /// With its unit and which way is better.
    pub title: &'static str,
    /// A broker's class and title, and its figure if it has one.
    pub bars: Vec<(&'static str, String, Option<f64>)>,
}

/// Draws panels two in a row.
pub fn draw(title: &str, panels: &[Panel]) -> Option<String> {
    let panels: Vec<(&Panel, Scale)> = panels
        .iter()
        .filter_map(|panel| {
            let values = panel.bars.iter().filter_map(|bar| bar.2);
            Some((panel, Scale::of(values)?))
        })
        .collect();
    let bars = panels.iter().map(|(panel, _)| panel.bars.len()).max()? as f64;
    let panel_height = 52.0 + bars * BAR_STEP;
    let rows = panels.len().div_ceil(2) as f64;
    let mut svg = Svg::new(WIDTH, 40.0 + rows * panel_height + 8.0, title);
    svg.text((16.0, 26.0), Anchor::Start, "title", title);
    for (number, (panel, scale)) in panels.iter().enumerate() {
        let x = 16.0 + (number % 2) as f64 * (WIDTH / 2.0);
        let y = 40.0 + (number / 2) as f64 * panel_height;
        draw_panel(&mut svg, (x, y), panel, scale);
    }
    Some(svg.finish())
}

fn draw_panel(svg: &mut Svg, (x, y): (f64, f64), panel: &Panel, scale: &Scale) {
    let kind = if scale.is_logarithmic() {
        ", logarithmic"
    } else {
        ""
    };
    let title = format!("{}{kind}", panel.title);
    svg.text((x, y + 16.0), Anchor::Start, "name", &title);
    let left = x + NAME_WIDTH;
    let (top, bottom) = (y + 24.0, y + 24.0 + panel.bars.len() as f64 * BAR_STEP);
    for tick in scale.ticks() {
        let at = left + scale.place(tick) * BAR_WIDTH;
        svg.grid((at, top), (at, bottom));
        svg.text((at, bottom + 14.0), Anchor::Middle, "axis", &short(tick));
    }
    for (number, (class, name, value)) in panel.bars.iter().enumerate() {
        let middle = top + (number as f64 + 0.5) * BAR_STEP;
        svg.text((left - 6.0, middle + 4.0), Anchor::End, "value", name);
        let Some(value) = value else {
            svg.text((left + 4.0, middle + 4.0), Anchor::Start, "axis", "none");
            continue;
        };
        let width = (scale.place(*value) * BAR_WIDTH).max(1.0);
        svg.bar((left, middle - 7.0), (width, 14.0), class);
        let beside = (left + width + 5.0, middle + 4.0);
        svg.text(beside, Anchor::Start, "value", &short(*value));
    }
}

const WIDTH: f64 = 860.0;
const NAME_WIDTH: f64 = 112.0;
const BAR_WIDTH: f64 = 235.0;
const BAR_STEP: f64 = 21.0;
