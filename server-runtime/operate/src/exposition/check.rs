//! Reads a page of metrics, and refuses what a scraper would misread or what the naming rules forbid.

use std::collections::{BTreeMap, BTreeSet};

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
    /// Quantiles.
    Summary,
}

impl Kind {
    /// Its name in a `# TYPE` line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Counter, Self::Gauge, Self::Histogram, Self::Summary]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// One line's value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The line's name: the family's, or with `_bucket`, `_sum`, `_count`.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// A metric with all its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// What it is.
    pub kind: Kind,
    /// In words.
    pub help: String,
    /// Its lines.
    pub samples: Vec<Sample>,
}

/// What is wrong with a page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Flaw {
    /// Where, from 1.
    pub line: usize,
    /// What.
    pub what: String,
}

/// Reads a page: every family has HELP and TYPE before its samples and stands in one piece, no sample comes twice, counters
/// end in `_total` and are not negative, histograms are whole and ascend.
///
/// # Errors
/// The first line that breaks one of these.
pub fn parse(text: &str) -> Result<BTreeMap<String, Family>, Flaw> {
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(text.lines()) {
        reader.line(line).map_err(|what| Flaw { line: number, what })?;
    }
    let end = text.lines().count();
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(Flaw { line: end, what: "the last line does not end".into() });
    }
    for (name, family) in &reader.families {
        family.check(name).map_err(|what| Flaw { line: end, what: format!("{name}: {what}") })?;
    }
    Ok(reader.families)
}

#[derive(Default)]
struct Reader {
    families: BTreeMap<String, Family>,
    help: Option<(String, String)>,
    current: Option<String>,
    seen: BTreeSet<String>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or("a HELP without words")?;
            if self.families.contains_key(name) {
                return Err(format!("{name} stands in two pieces"));
            }
            self.help = Some((name.to_owned(), help.to_owned()));
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or("a TYPE without a kind")?;
            let kind = Kind::parse(kind).ok_or_else(|| format!("{kind} is no kind"))?;
            let help = self.help.take().filter(|(of, _)| of == name);
            let (_, help) = help.ok_or_else(|| format!("{name} has no HELP before its TYPE"))?;
            check_name(name)?;
            if kind == Kind::Counter && !name.ends_with("_total") {
                return Err(format!("{name} is a counter and does not end in _total"));
            }
            if self.families.insert(name.to_owned(), Family { kind, help, samples: Vec::new() }).is_some() {
                return Err(format!("{name} has two TYPEs"));
            }
            self.current = Some(name.to_owned());
            return Ok(());
        }
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let sample = sample(line)?;
        let current = self.current.clone().ok_or_else(|| format!("{} has no TYPE", sample.name))?;
        let family = self.families.get_mut(&current).expect("it was begun");
        let suffix = sample.name.strip_prefix(&current);
        let belongs = match family.kind {
            Kind::Counter | Kind::Gauge => suffix == Some(""),
            Kind::Histogram => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
            Kind::Summary => matches!(suffix, Some("" | "_sum" | "_count")),
        };
        if !belongs {
            return Err(format!("{} stands below {current}", sample.name));
        }
        if !self.seen.insert(format!("{}{:?}", sample.name, sample.labels)) {
            return Err(format!("{} comes twice with {:?}", sample.name, sample.labels));
        }
        family.samples.push(sample);
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b':';
    let mut bytes = name.bytes();
    let good = bytes.next().is_some_and(letter) && bytes.all(|byte| letter(byte) || byte.is_ascii_digit());
    if good { Ok(()) } else { Err(format!("{name:?} is no name")) }
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("a line without a value")?;
    let (name, mut rest) = line.split_at(end);
    check_name(name)?;
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = read_labels(inner, &mut labels)?;
    }
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number => number.parse().map_err(|_| format!("{number:?} is no number"))?,
    };
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// Reads `name="value",…}` and gives what follows.
fn read_labels<'a>(mut rest: &'a str, labels: &mut BTreeMap<String, String>) -> Result<&'a str, String> {
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        check_name(name)?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().ok_or("a label that does not end")? {
                (_, '\\') => match chars.next().ok_or("a label that does not end")?.1 {
                    'n' => value.push('\n'),
                    char @ ('\\' | '"') => value.push(char),
                    other => return Err(format!("\\{other} is no escape")),
                },
                (at, '"') => break at + 1,
                (_, char) => value.push(char),
            }
        };
        if labels.insert(name.to_owned(), value).is_some() {
            return Err(format!("label {name} comes twice"));
        }
        rest = &after[end..];
        if let Some(after) = rest.strip_prefix('}') {
            return Ok(after);
        }
        rest = rest.strip_prefix(',').ok_or("labels without a comma between them")?;
    }
}

impl Family {
    fn check(&self, name: &str) -> Result<(), String> {
        match self.kind {
            Kind::Counter if self.samples.iter().any(|sample| sample.value < 0.0) => {
                Err("it is negative".into())
            }
            Kind::Histogram => self.check_histogram(name),
            _ => Ok(()),
        }
    }

    fn check_histogram(&self, name: &str) -> Result<(), String> {
        let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        let mut ends: BTreeMap<(String, String), f64> = BTreeMap::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le");
            let of = format!("{labels:?}");
            match (bound, sample.name.strip_prefix(name)) {
                (Some(bound), Some("_bucket")) => {
                    let bound = if bound == "+Inf" { Ok(f64::INFINITY) } else { bound.parse() };
                    let bound = bound.map_err(|_| "a bound that is no number")?;
                    series.entry(of).or_default().push((bound, sample.value));
                }
                (None, Some(part @ ("_sum" | "_count"))) => {
                    ends.insert((of, part.to_owned()), sample.value);
                }
                _ => return Err(format!("a stray {}", sample.name)),
            }
        }
        for (of, buckets) in series {
            let ascends = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
            let last = buckets.last().copied().unwrap_or_default();
            let whole = last.0 == f64::INFINITY
                && ends.get(&(of.clone(), "_count".into())) == Some(&last.1)
                && ends.contains_key(&(of.clone(), "_sum".into()));
            if !ascends || !whole {
                return Err(format!("the histogram of {of} is not whole, or does not ascend"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{Buckets, Page};

    #[test]
    fn what_a_page_writes_is_read_back() {
        let mut buckets = Buckets::new(&[0.001, 0.01, 0.1]);
        for value in [0.0005, 0.001, 0.05, 3.0] {
            buckets.observe(value);
        }
        let mut page = Page::new();
        page.one("a_total", Kind::Counter, "How many\\many\nlines.", 3);
        page.family("b", Kind::Gauge, "By name.");
        page.sample("b", &[("name", "a \"b\" \\ c\nd")], 2.5);
        page.family("c_seconds", Kind::Histogram, "Sizes.");
        page.histogram("c_seconds", &[("stage", "x")], &buckets);
        let families = parse(&page.finish()).expect("sound");
        assert_eq!(families["b"].samples[0].labels["name"], "a \"b\" \\ c\nd");
        let counts: Vec<f64> = families["c_seconds"].samples.iter().map(|sample| sample.value).collect();
        assert_eq!(counts, [2.0, 2.0, 3.0, 4.0, 3.0515, 4.0]);
    }

    #[test]
    fn flaws_are_found() {
        let head = "# HELP a_total x\n# TYPE a_total counter\n";
        let check = |text: &str, part: &str| {
            let flaw = parse(text).expect_err(text).to_string();
            assert!(flaw.contains(part), "{text}: {flaw}");
        };
        check("a_total 1\n", "no TYPE");
        check("# TYPE a_total counter\na_total 1\n", "no HELP");
        check("# HELP a x\n# TYPE a counter\na 1\n", "_total");
        check(&format!("{head}a_total 1\na_total 2\n"), "comes twice");
        check(&format!("{head}b_total 1\n"), "stands below");
        check(&format!("{head}a_total -1\n"), "negative");
        check(&format!("{head}a_total x\n"), "no number");
        check(&format!("{head}a_total{{a=\"1\" 1\n"), "comma");
        check(&format!("{head}a_total{{a=\"\\q\"}} 1\n"), "escape");
        check(&format!("{head}a_total 1"), "does not end");
        check(&format!("{head}{head}"), "two pieces");
        let head = "# HELP h x\n# TYPE h histogram\n";
        check(&format!("{head}h_bucket{{le=\"1\"}} 1\nh_sum 1\nh_count 1\n"), "not whole");
        let falls = "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n";
        check(&format!("{head}{falls}"), "not ascend");
    }
}
