//! A picture in the making: text and shapes, in colours that follow the reader's light or dark.

use std::fmt::Write;

/// An SVG.
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Where a text stands to its point.
#[derive(Clone, Copy)]
pub enum Anchor {
    /// Begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// Ends there.
    End,
}

impl Svg {
    /// An empty one, with what it shows in words.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let mut svg = Self {
            width,
            height,
            body: String::new(),
        };
        let _ = writeln!(svg.body, "<title>{}</title>", escaped(title));
        let _ = writeln!(
            svg.body,
            r#"<rect class="page" width="{width}" height="{height}" rx="8"/>"#
        );
        svg
    }

    /// A text; `class` is `title`, `name`, `value` or `axis`.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = writeln!(
            self.body,
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
            escaped(text)
        );
    }

    /// A bar in a broker's colour.
    pub fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        let _ = writeln!(
            self.body,
            r#"<rect class="fill {class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2"/>"#
        );
    }

    /// A thin line of the grid.
    pub fn grid(&mut self, (x, y): (f64, f64), (to_x, to_y): (f64, f64)) {
        let _ = writeln!(
            self.body,
            r#"<line class="grid" x1="{x:.1}" y1="{y:.1}" x2="{to_x:.1}" y2="{to_y:.1}"/>"#
        );
    }

    /// A line through points in a broker's colour, with a dot at each.
    pub fn line(&mut self, points: &[(f64, f64)], class: &str) {
        let path: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            self.body,
            r#"<polyline class="stroke {class}" points="{}"/>"#,
            path.join(" ")
        );
        for (x, y) in points {
            let _ = writeln!(
                self.body,
                r#"<circle class="fill {class}" cx="{x:.1}" cy="{y:.1}" r="3"/>"#
            );
        }
    }

    /// The file.
    pub fn finish(self) -> String {
        let (width, height, body) = (self.width, self.height, self.body);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">\n<style>{STYLE}</style>\n{body}</svg>\n"
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The page has a colour of its own, so that the text on it can be read wherever it is shown.
const STYLE: &str = "
text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:12px;fill:#1f2328}
.title{font-size:14px;font-weight:600}.axis{fill:#59636e;font-size:11px}.name{font-size:12px}.value{font-size:11px}
.page{fill:#ffffff;stroke:#d1d9e0}.grid{stroke:#d1d9e0;stroke-width:1}.stroke{fill:none;stroke-width:2}
.fill.bongsu-amqp{fill:#0969da}.stroke.bongsu-amqp{stroke:#0969da}
.fill.bongsu-kafka{fill:#8250df}.stroke.bongsu-kafka{stroke:#8250df}
.fill.rabbitmq{fill:#e36209}.stroke.rabbitmq{stroke:#e36209}
.fill.kafka{fill:#6e7781}.stroke.kafka{stroke:#6e7781}
.fill.nats{fill:#1a7f37}.stroke.nats{stroke:#1a7f37}
.fill.redis{fill:#cf222e}.stroke.redis{stroke:#cf222e}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.axis{fill:#9198a1}.page{fill:#0d1117;stroke:#3d444d}
.grid{stroke:#2a313c}.fill.bongsu-amqp{fill:#4493f8}.stroke.bongsu-amqp{stroke:#4493f8}
.fill.bongsu-kafka{fill:#ab7df8}.stroke.bongsu-kafka{stroke:#ab7df8}.fill.kafka{fill:#9198a1}
.stroke.kafka{stroke:#9198a1}.fill.nats{fill:#3fb950}.stroke.nats{stroke:#3fb950}
.fill.redis{fill:#f85149}.stroke.redis{stroke:#f85149}}
";

#[cfg(test)]
mod tests;
