//! The reliability plot, as SVG: stated probability against how often it came true, one panel a model, with
//! how many predictions each point stands for.

use std::fmt::Write as _;

use rating::Bin;

use super::protocol::Outcome;

const BINS: usize = 10;
/// Side of a panel's square, and the space around it.
const SIDE: f64 = 190.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 80.0;
const GAP: f64 = 34.0;
const BARS: f64 = 36.0;
/// 95 % of a normal.
const Z: f64 = 1.96;

/// All models side by side.
pub(super) fn reliability(outcomes: &[&Outcome], data: &str) -> String {
    let width = LEFT + outcomes.len() as f64 * (SIDE + GAP) + 8.0;
    let height = TOP + SIDE + BARS + 66.0;
    let mut svg = String::new();
    // Writing to a String cannot fail.
    _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"#333\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"14\" font-weight=\"600\">Does a stated chance come true?</text>\n\
         <text x=\"{LEFT}\" y=\"42\">{data}: {} decided games, each predicted before it was counted, parameters \
         learned from earlier games alone</text>",
        outcomes.first().map_or(0, |outcome| outcome.predictions.len()),
    );
    for (index, outcome) in outcomes.iter().enumerate() {
        panel(&mut svg, outcome, LEFT + index as f64 * (SIDE + GAP), index == 0);
    }
    let middle = LEFT + outcomes.len() as f64 * (SIDE + GAP) / 2.0;
    _ = writeln!(
        svg,
        "<text x=\"{middle:.0}\" y=\"{:.0}\" text-anchor=\"middle\">stated chance of the first player; bars: how \
         often it was stated; whiskers: 95 % intervals of the frequency</text>\n</svg>",
        height - 12.0
    );
    svg
}

fn panel(svg: &mut String, outcome: &Outcome, left: f64, labelled: bool) {
    let calibration = outcome.calibration(BINS);
    let (x, y) = (|p: f64| left + p * SIDE, |p: f64| TOP + (1.0 - p) * SIDE);
    let colour = if outcome.name == "trueskill2" { "#0b6e4f" } else { "#8a5a00" };
    let losses = outcome.losses();
    let loss = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
    _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"{:.0}\"><tspan font-weight=\"600\">{}</tspan> log-loss {loss:.4}, ECE {:.3}</text>\n\
         <rect x=\"{left}\" y=\"{TOP}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"#fafafa\" stroke=\"#bbb\"/>\n\
         <line x1=\"{left}\" y1=\"{:.0}\" x2=\"{:.0}\" y2=\"{TOP}\" stroke=\"#bbb\" stroke-dasharray=\"4 3\"/>",
        TOP - 10.0,
        outcome.name,
        calibration.expected_error(),
        TOP + SIDE,
        left + SIDE,
    );
    let most = calibration.bins.iter().map(|bin| bin.count).max().unwrap_or(1).max(1) as f64;
    let base = TOP + SIDE + 22.0 + BARS;
    let mut line = String::new();
    for (index, bin) in calibration.bins.iter().enumerate().filter(|(_, bin)| bin.count > 0) {
        let height = bin.count as f64 / most * BARS;
        let slot = SIDE / BINS as f64;
        _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"#d5d5d5\"/>",
            left + index as f64 * slot + 1.0,
            base - height,
            slot - 2.0,
        );
        let (stated, (low, high)) = (x(bin.stated_mean()), interval(*bin));
        _ = writeln!(
            svg,
            "<line x1=\"{stated:.1}\" y1=\"{:.1}\" x2=\"{stated:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>\n\
             <circle cx=\"{stated:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
            y(low),
            y(high),
            y(bin.frequency()),
        );
        _ = write!(line, "{stated:.1},{:.1} ", y(bin.frequency()));
    }
    _ = writeln!(svg, "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>");
    for tick in [0.0, 0.5, 1.0] {
        _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{:.0} %</text>",
            x(tick),
            TOP + SIDE + 14.0,
            tick * 100.0
        );
        if labelled {
            _ = writeln!(
                svg,
                "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{:.0} %</text>",
                left - 6.0,
                y(tick) + 4.0,
                tick * 100.0
            );
        }
    }
}

/// Wilson's interval of a frequency (Wilson 1927).
fn interval(bin: Bin) -> (f64, f64) {
    let (n, p) = (bin.count as f64, bin.frequency());
    let scale = 1.0 + Z * Z / n;
    let middle = (p + Z * Z / (2.0 * n)) / scale;
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
    (middle - half, middle + half)
}
