//! The curves as a picture (SVG): a row a figure, a column a jitter, a line a loss, over the round trip. Pure text.

use std::fmt::Write as _;

use super::Row;

/// A figure of the picture.
struct Figure {
    title: &'static str,
    value: fn(&Row) -> f64,
    /// The axis begins and ends here at least.
    least: (f64, f64),
}

const FIGURES: [Figure; 5] = [
    Figure { title: "ticks without their input, %", value: |row| row.starved_percent, least: (0.0, 0.5) },
    Figure {
        title: "own movement mispredicted, a minute",
        value: |row| row.mispredictions_per_minute,
        least: (0.0, 2.0),
    },
    Figure { title: "correction p99, m", value: |row| row.correction_p99_m, least: (0.0, 0.1) },
    Figure {
        title: "interpolation stalls, a minute",
        value: |row| row.stalls_per_minute,
        least: (0.0, 10.0),
    },
    Figure {
        title: "hits on the screen that the server confirms, %",
        value: |row| row.confirmed_percent,
        least: (90.0, 100.0),
    },
];
const PANEL: (f64, f64) = (270.0, 130.0);
/// Between panels, right and down.
const GAP: (f64, f64) = (52.0, 46.0);
/// Before the first panel.
const MARGIN: (f64, f64) = (56.0, 74.0);
/// From little loss to much: they differ in lightness too.
const COLOURS: [&str; 6] = ["#9bc4e2", "#4f9bd0", "#1f6fb0", "#b3590a", "#6e1423", "#111111"];

/// All figures.
pub(super) fn svg(rows: &[Row]) -> String {
    let jitters = distinct(rows, |row| row.jitter_ms);
    let losses = distinct(rows, |row| row.loss_percent);
    let width = MARGIN.0 + jitters.len() as f64 * (PANEL.0 + GAP.0);
    let height = MARGIN.1 + FIGURES.len() as f64 * (PANEL.1 + GAP.1) + 10.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{0}\" y=\"22\" font-size=\"15\" font-weight=\"600\">The arena from the player's chair, over the round \
         trip (ms)</text>\n",
        MARGIN.0
    );
    for (place, loss) in losses.iter().enumerate() {
        let x = MARGIN.0 + place as f64 * 96.0;
        let _ = writeln!(
            out,
            "<path d=\"M{x:.0} 40h18\" stroke=\"{}\" stroke-width=\"3\"/><text x=\"{:.0}\" y=\"44\">{loss} % loss</text>",
            colour(place),
            x + 24.0
        );
    }
    for (line, figure) in FIGURES.iter().enumerate() {
        let values = rows.iter().map(figure.value).filter(|value| value.is_finite());
        let (low, high) = values.fold(figure.least, |(low, high), value| (low.min(value), high.max(value)));
        let scale = (round_down(low), round_up(high));
        for (column, jitter) in jitters.iter().enumerate() {
            let left = MARGIN.0 + column as f64 * (PANEL.0 + GAP.0);
            let top = MARGIN.1 + line as f64 * (PANEL.1 + GAP.1);
            let panel = Panel { left, top, scale, rtt_max: distinct(rows, |row| row.rtt_ms).last().copied() };
            panel.frame(&mut out, &format!("{}; jitter ± {jitter} ms", figure.title));
            for (place, loss) in losses.iter().enumerate() {
                let here = rows.iter().filter(|row| row.jitter_ms == *jitter && row.loss_percent == *loss);
                panel.curve(&mut out, here.map(|row| (row.rtt_ms, (figure.value)(row))), colour(place));
            }
        }
    }
    out.push_str("</svg>\n");
    out
}

struct Panel {
    left: f64,
    top: f64,
    scale: (f64, f64),
    rtt_max: Option<f64>,
}

impl Panel {
    fn x(&self, rtt_ms: f64) -> f64 {
        self.left + rtt_ms / self.rtt_max.unwrap_or(1.0).max(1.0) * PANEL.0
    }

    fn y(&self, value: f64) -> f64 {
        let (low, high) = self.scale;
        self.top + PANEL.1 * (1.0 - (value - low) / (high - low).max(f64::MIN_POSITIVE))
    }

    fn frame(&self, out: &mut String, title: &str) {
        let (low, high) = self.scale;
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.0}\" font-size=\"10\">{title}</text>\n\
             <rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"#fafafa\" stroke=\"#ccc\"/>",
            self.left,
            self.top - 6.0,
            self.left,
            self.top,
            PANEL.0,
            PANEL.1
        );
        for part in 0..=4 {
            let value = low + (high - low) * f64::from(part) / 4.0;
            let _ = writeln!(
                out,
                "<path d=\"M{} {1:.1}h{2}\" stroke=\"#e6e6e6\"/><text x=\"{3}\" y=\"{4:.1}\" text-anchor=\"end\">{5}</text>",
                self.left,
                self.y(value),
                PANEL.0,
                self.left - 5.0,
                self.y(value) + 4.0,
                short(value)
            );
        }
        let rtt_max = self.rtt_max.unwrap_or(0.0);
        for part in 0..=5 {
            let rtt = rtt_max * f64::from(part) / 5.0;
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{rtt:.0}</text>",
                self.x(rtt),
                self.top + PANEL.1 + 14.0
            );
        }
    }

    fn curve(&self, out: &mut String, points: impl Iterator<Item = (f64, f64)>, colour: &str) {
        let mut line = String::new();
        for (rtt, value) in points {
            let _ = write!(line, "{:.1},{:.1} ", self.x(rtt), self.y(value));
        }
        let _ = writeln!(
            out,
            "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"/>"
        );
    }
}

fn distinct(rows: &[Row], of: fn(&Row) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = rows.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.dedup();
    values
}

fn colour(place: usize) -> &'static str {
    COLOURS[place % COLOURS.len()]
}

/// The next of 1, 2, 4, 5, 10 times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let unit = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 10.0];
    steps.into_iter().map(|step| step * unit).find(|step| *step >= value * 0.999).unwrap_or(value)
}

/// Percents that begin high keep their tens.
fn round_down(value: f64) -> f64 {
    (value / 10.0).floor().max(0.0) * 10.0
}

fn short(value: f64) -> String {
    match value {
        value if value >= 10.0 => format!("{value:.0}"),
        value if value >= 1.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let check = |value: f64, expected: f64| assert!((round_up(value) - expected).abs() < 1e-9, "{value}");
        check(0.0, 0.0);
        check(0.13, 0.2);
        check(3.1, 4.0);
        check(100.0, 100.0);
        check(57.0, 100.0);
        assert_eq!((round_down(97.0), round_down(3.0)), (90.0, 0.0));
    }
}
