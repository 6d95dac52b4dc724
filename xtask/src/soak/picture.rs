//! The picture: what clients got a second, what the broker took, and when which fault was on.
//! An SVG by hand, so that nothing is needed to make it or to look at it.

use super::report::Summary;
use super::watch::Sample;
use std::fmt::Write;

/// One line over time.
struct Line {
    name: &'static str,
    colour: &'static str,
    points: Vec<(f64, f64)>,
}

/// One pane below the other, with a scale of its own.
struct Pane {
    title: &'static str,
    unit: &'static str,
    lines: Vec<Line>,
}

pub(super) fn draw(summary: &Summary) -> String {
    let until_s = summary
        .samples
        .last()
        .map_or(1.0, |sample| sample.at_s.max(1.0));
    let samples = thinned(&summary.samples);
    let panes = panes(&samples);
    let height = TOP + panes.len() as f64 * (PANE_HEIGHT + PANE_GAP) + BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let x = |at_s: f64| LEFT + at_s / until_s * (WIDTH - LEFT - RIGHT);
    let bottom = height - BOTTOM - PANE_GAP + 6.0;
    for (at, band) in summary.bands.iter().enumerate() {
        let (from, until) = (x(band.from_s), x(band.until_s.min(until_s)));
        let fill = ["#f2f0e6", "#e9eef2"][at % 2];
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\"/>",
            (until - from).max(1.0),
            bottom - TOP
        );
        // Hours have more bands than there is room for names.
        if summary.bands.len() <= NAMES_MAX {
            let (middle, above) = ((from + until) / 2.0, TOP - 6.0);
            let _ = writeln!(
                svg,
                "<text transform=\"translate({middle:.1},{above}) rotate(-40)\" fill=\"#555555\">{}</text>",
                band.name
            );
        }
    }
    for (at, pane) in panes.iter().enumerate() {
        let y = TOP + 18.0 + at as f64 * (PANE_HEIGHT + PANE_GAP);
        draw_pane(&mut svg, pane, y, x);
    }
    let step = nice(until_s / 10.0).max(1.0);
    let mut at_s = 0.0;
    while at_s <= until_s {
        let (label, at) = (words(at_s), x(at_s));
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555555\">{label}</text>",
            bottom + 16.0
        );
        at_s += step;
    }
    svg += "</svg>\n";
    svg
}

fn panes(samples: &[Sample]) -> Vec<Pane> {
    let line = |name, colour, points| Line {
        name,
        colour,
        points,
    };
    let rate = |of: &dyn Fn(&Sample) -> u64| {
        let pairs = samples.windows(2);
        let rates = pairs.map(|pair| {
            let count = of(&pair[1]).saturating_sub(of(&pair[0])) as f64;
            (
                pair[1].at_s,
                count / (pair[1].at_s - pair[0].at_s).max(0.001),
            )
        });
        rates.collect::<Vec<_>>()
    };
    let level = |of: &dyn Fn(&Sample) -> f64| {
        samples
            .iter()
            .map(|sample| (sample.at_s, of(sample)))
            .collect::<Vec<_>>()
    };
    vec![
        Pane {
            title: "AMQP ledger, bursts cut",
            unit: "/s",
            lines: vec![
                line("confirmed", "#1f6f54", rate(&|one| one.moved[0].confirmed)),
                line("delivered", "#c2571a", rate(&|one| one.moved[0].delivered)),
            ],
        },
        Pane {
            title: "Kafka ledger, bursts cut",
            unit: "/s",
            lines: vec![
                line("confirmed", "#1f6f54", rate(&|one| one.moved[1].confirmed)),
                line("read", "#c2571a", rate(&|one| one.moved[1].delivered)),
            ],
        },
        Pane {
            title: "broker's memory",
            unit: " MiB",
            lines: vec![line(
                "resident",
                "#3d5a98",
                level(&|one| one.memory_bytes as f64 / f64::from(1 << 20)),
            )],
        },
        Pane {
            title: "broker's open files",
            unit: "",
            lines: vec![line(
                "sockets and files",
                "#7a4a8c",
                level(&|one| one.file_count as f64),
            )],
        },
        Pane {
            title: "broker's processor",
            unit: " cores",
            lines: vec![line("user and kernel", "#8a6d1f", level(&|one| one.cpu))],
        },
    ]
}

fn draw_pane(svg: &mut String, pane: &Pane, y: f64, x: impl Fn(f64) -> f64) {
    let top = top_of(pane);
    let bottom = y + PANE_HEIGHT - 18.0;
    let height = bottom - y;
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"600\" fill=\"#222222\">{}</text>",
        y - 5.0,
        pane.title
    );
    let mut legend_x = LEFT + 180.0;
    for line in &pane.lines {
        let (end, low) = (legend_x + 14.0, y - 9.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{legend_x} {low}H{end}\" stroke=\"{}\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"#555555\">{}</text>",
            line.colour,
            end + 4.0,
            y - 5.0,
            line.name
        );
        legend_x += 110.0;
    }
    for part in [0.0, 0.5, 1.0] {
        let at = bottom - part * height;
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{}\" stroke=\"#d5d5d5\" stroke-width=\"0.7\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555555\">{}{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            number(top * part),
            pane.unit
        );
    }
    for line in &pane.lines {
        let mut path = String::new();
        for (at, (at_s, value)) in line.points.iter().enumerate() {
            let (px, py) = (x(*at_s), bottom - value.min(top) / top * height);
            let _ = write!(path, "{}{px:.1} {py:.1}", if at == 0 { 'M' } else { 'L' });
        }
        let _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.2\"/>",
            line.colour
        );
    }
}

/// Where the scale ends. A rate may be many times itself for a moment, when what had to wait comes
/// all at once: that is cut, so that the rest is seen.
fn top_of(pane: &Pane) -> f64 {
    let values = pane.lines.iter().flat_map(|line| &line.points);
    let mut values: Vec<f64> = values.map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    let most = values.last().copied().unwrap_or(0.0);
    let usual = values.get(values.len() * 9 / 10).copied().unwrap_or(0.0);
    let top = match pane.unit {
        "/s" if usual > 0.0 => most.min(usual * 2.0),
        _ => most,
    };
    nice(top.max(0.01) * 1.05)
}

/// As many as a picture has room for. Memory, files and processor keep the largest of what falls
/// together, so that no peak is lost.
fn thinned(samples: &[Sample]) -> Vec<Sample> {
    let at_once = samples.len().div_ceil(POINTS_MAX).max(SAMPLES_A_POINT_MIN);
    let joined = samples.chunks(at_once).map(|chunk| {
        let mut one = chunk[chunk.len() - 1];
        for other in chunk {
            one.memory_bytes = one.memory_bytes.max(other.memory_bytes);
            one.file_count = one.file_count.max(other.file_count);
        }
        one.cpu = chunk.iter().map(|other| other.cpu).sum::<f64>() / chunk.len() as f64;
        one
    });
    joined.collect()
}

/// The next of 1, 2, 5, 10, 20, … that is no less.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= value * 0.999_999)
        .unwrap_or(value)
}

fn number(value: f64) -> String {
    match value {
        value if value >= 10.0 || value == 0.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}

/// A time.
fn words(at_s: f64) -> String {
    match at_s {
        at_s if at_s < 120.0 => format!("{at_s:.0} s"),
        at_s if at_s < 7200.0 => format!("{:.1} min", at_s / 60.0).replace(".0", ""),
        at_s => format!("{:.1} h", at_s / 3600.0),
    }
}

const WIDTH: f64 = 1100.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = 24.0;
const PANE_HEIGHT: f64 = 112.0;
const PANE_GAP: f64 = 12.0;
const NAMES_MAX: usize = 40;
const POINTS_MAX: usize = 900;
/// A second: ledgers tell ten times as often, but not evenly.
const SAMPLES_A_POINT_MIN: usize = 5;
