//! A page of metrics, family by family. Must never know which metrics there are.

use std::fmt::{Display, Write};

use super::Kind;

/// A page that is written.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// How many observations there were below each bound: what a Prometheus histogram is made of. Counted in integers of a
/// unit that the bounds share, so that no observation is rounded.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    bounds: &'static [f64],
    counts: Vec<u64>,
    sum: f64,
}

impl Buckets {
    /// Nothing observed. `bounds` are upper bounds, ascending, without the infinite one.
    ///
    /// # Panics
    /// If they do not ascend.
    pub fn new(bounds: &'static [f64]) -> Self {
        assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "bounds ascend");
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// One more.
    pub fn observe(&mut self, value: f64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place] += 1;
        self.sum += value;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Takes over what `other`, of the same bounds, has seen.
    ///
    /// # Panics
    /// If the bounds are others.
    pub fn add(&mut self, other: &Self) {
        assert!(std::ptr::eq(self.bounds, other.bounds), "the same bounds");
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.sum += other.sum;
    }
}

impl Page {
    /// Nothing on it yet.
    pub fn new() -> Self {
        Self { text: String::with_capacity(16 << 10) }
    }

    /// Begins a family: all its samples follow before the next family.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.name());
    }

    /// A sample of the family under way.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        self.labels(labels, None);
        let _ = writeln!(self.text, " {value}");
    }

    /// A family of one sample without labels.
    pub fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The samples of a histogram whose family is under way.
    pub fn histogram(&mut self, name: &str, labels: &[(&str, &str)], buckets: &Buckets) {
        let mut below = 0;
        let bounds = buckets.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(&buckets.counts) {
            below += count;
            self.text.push_str(name);
            self.text.push_str("_bucket");
            self.labels(labels, Some(&bound));
            let _ = writeln!(self.text, " {below}");
        }
        self.sample(&format!("{name}_sum"), labels, buckets.sum);
        self.sample(&format!("{name}_count"), labels, below);
    }

    /// The whole page.
    pub fn finish(self) -> String {
        self.text
    }

    fn labels(&mut self, labels: &[(&str, &str)], bound: Option<&str>) {
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut open = '{';
        for (name, value) in all {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{open}{name}=\"{value}\"");
            open = ',';
        }
        if open == ',' {
            self.text.push('}');
        }
    }
}
