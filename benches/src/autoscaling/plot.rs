//! The reported day as a picture (SVG) and as numbers (CSV). Pure text.

use std::fmt::Write as _;

use super::fleet::Day;
use super::trace::DAY_S;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 420.0;
/// Room for the axes: left, top, right, bottom.
const MARGIN: (f64, f64, f64, f64) = (48.0, 44.0, 16.0, 36.0);
/// A colour for each policy; they differ in lightness too.
const COLOURS: [&str; 3] = ["#d08a00", "#8c8c8c", "#0b5fa5"];

/// One line each five minutes.
pub(super) fn csv(days: &[(String, Day)]) -> String {
    let mut out = String::from("policy,second,allocated,replicas,ready\n");
    for (name, day) in days {
        for point in &day.points {
            let _ = writeln!(
                out,
                "{name},{},{},{},{}",
                point.second, point.allocated, point.replicas, point.ready
            );
        }
    }
    out
}

/// Servers in use as an area, and what each policy keeps as a line.
pub(super) fn svg(days: &[(String, Day)]) -> String {
    let points = || days.iter().flat_map(|(_, day)| &day.points);
    let top = points().map(|point| point.replicas.max(point.allocated)).max().unwrap_or(1).max(1);
    let top = f64::from(top.div_ceil(50) * 50);
    let x = |second: u32| MARGIN.0 + f64::from(second) / f64::from(DAY_S) * (WIDTH - MARGIN.0 - MARGIN.2);
    let y = |servers: f64| HEIGHT - MARGIN.3 - servers / top * (HEIGHT - MARGIN.1 - MARGIN.3);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"12\" fill=\"#222\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    for line in 0..=5 {
        let servers = top * f64::from(line) / 5.0;
        let (at, right) = (y(servers), WIDTH - MARGIN.2);
        let _ = writeln!(
            out,
            "<path d=\"M{} {at:.1}H{right}\" stroke=\"#e4e4e4\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{servers:.0}</text>",
            MARGIN.0,
            MARGIN.0 - 6.0,
            at + 4.0
        );
    }
    for hour in (0..=24).step_by(3) {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{hour:02}:00</text>",
            x(hour * 3600),
            HEIGHT - 14.0
        );
    }
    if let Some((_, day)) = days.last() {
        let area: String = day
            .points
            .iter()
            .map(|p| format!("L{:.1} {:.1}", x(p.second), y(f64::from(p.allocated))))
            .collect();
        let last = day.points.last().map_or(0, |point| point.second);
        let _ = writeln!(
            out,
            "<path d=\"M{:.1} {:.1}{area}L{:.1} {:.1}Z\" fill=\"#bcd9f0\"/>",
            x(0),
            y(0.0),
            x(last),
            y(0.0)
        );
    }
    let mut legend = MARGIN.0;
    let _ = writeln!(
        out,
        "<rect x=\"{legend}\" y=\"14\" width=\"14\" height=\"12\" fill=\"#bcd9f0\"/><text x=\"{}\" y=\"24\">servers in use</text>",
        legend + 20.0
    );
    legend += 130.0;
    for ((name, day), colour) in days.iter().zip(COLOURS) {
        let line: Vec<String> = day
            .points
            .iter()
            .map(|p| format!("{:.1} {:.1}", x(p.second), y(f64::from(p.replicas))))
            .collect();
        let _ = writeln!(
            out,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"/>",
            line.join("L")
        );
        let _ = writeln!(
            out,
            "<path d=\"M{legend} 20h16\" stroke=\"{colour}\" stroke-width=\"3\"/><text x=\"{}\" y=\"24\">{name}</text>",
            legend + 22.0
        );
        legend += 140.0;
    }
    out.push_str("</svg>\n");
    out
}
