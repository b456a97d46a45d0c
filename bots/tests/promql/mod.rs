//! PromQL, as far as dashboards and alert rules need it: read by its grammar
//! (<https://prometheus.io/docs/prometheus/latest/querying/basics/>), with the metrics that an expression asks for. What it
//! does not know (offsets, subqueries, vector matching) it refuses.

use std::collections::BTreeSet;

/// Metrics that `text` asks for.
///
/// # Errors
/// What is wrong with it, and what is left from there on.
pub(crate) fn metrics(text: &str) -> Result<BTreeSet<String>, String> {
    let mut reader = Reader { rest: text, names: BTreeSet::new() };
    let kind = reader.expression(0)?;
    if !reader.rest.trim().is_empty() {
        return Err(reader.fault("nothing more"));
    }
    if kind == Kind::Range {
        return Err(format!("{text} is a range, which nothing can be drawn of"));
    }
    Ok(reader.names)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scalar,
    Vector,
    Range,
}

struct Reader<'a> {
    rest: &'a str,
    names: BTreeSet<String>,
}

/// Weakest first; comparisons may have `bool` after them.
const OPERATORS: [&[&str]; 5] =
    [&["or"], &["and", "unless"], &["==", "!=", "<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];
const AGGREGATIONS: [&str; 9] = ["sum", "min", "max", "avg", "count", "stddev", "group", "topk", "quantile"];
/// Functions, with how many arguments they take and whether the last one is a range.
const FUNCTIONS: [(&str, usize, bool); 12] = [
    ("rate", 1, true),
    ("increase", 1, true),
    ("irate", 1, true),
    ("delta", 1, true),
    ("avg_over_time", 1, true),
    ("max_over_time", 1, true),
    ("histogram_quantile", 2, false),
    ("clamp_min", 2, false),
    ("clamp_max", 2, false),
    ("abs", 1, false),
    ("absent", 1, false),
    ("round", 1, false),
];

impl<'a> Reader<'a> {
    fn expression(&mut self, level: usize) -> Result<Kind, String> {
        let Some(operators) = OPERATORS.get(level) else { return self.operand() };
        let mut kind = self.expression(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.is_next(operator)) {
            if kind == Kind::Range {
                return Err(self.fault("no operator after a range"));
            }
            self.take(operator)?;
            if level == 2 && self.is_next("bool") {
                self.take("bool")?;
            }
            let other = self.expression(level + 1)?;
            if other == Kind::Range || (level < 2 && [kind, other].contains(&Kind::Scalar)) {
                return Err(self.fault("an operand of another kind"));
            }
            kind = if [kind, other].contains(&Kind::Vector) { Kind::Vector } else { Kind::Scalar };
        }
        Ok(kind)
    }

    fn operand(&mut self) -> Result<Kind, String> {
        if self.is_next("(") {
            self.take("(")?;
            let kind = self.expression(0)?;
            self.take(")")?;
            return Ok(kind);
        }
        if self.next().is_some_and(|next| next.is_ascii_digit()) {
            let number = self.while_(|next| next.is_ascii_digit() || next == '.');
            return number.parse::<f64>().map(|_| Kind::Scalar).map_err(|_| format!("{number} is no number"));
        }
        let word = self.word()?;
        if AGGREGATIONS.contains(&word) {
            return self.aggregation(word);
        }
        if let Some((_, arguments, range)) = FUNCTIONS.iter().find(|(name, ..)| *name == word) {
            let kinds = self.arguments()?;
            let wanted = if *range { Kind::Range } else { Kind::Vector };
            let good = kinds.len() == *arguments
                && kinds.contains(&wanted)
                && (*range || !kinds.contains(&Kind::Range));
            return if good {
                Ok(Kind::Vector)
            } else {
                Err(format!("{word} does not take these arguments"))
            };
        }
        if self.is_next("(") {
            return Err(format!("{word} is no function"));
        }
        self.selector(word)
    }

    fn aggregation(&mut self, word: &str) -> Result<Kind, String> {
        let mut grouped = self.grouping()?;
        let kinds = self.arguments()?;
        grouped = self.grouping()? || grouped;
        let wanted = if ["topk", "quantile"].contains(&word) { 2 } else { 1 };
        let good = kinds.len() == wanted && kinds.last() == Some(&Kind::Vector);
        if good { Ok(Kind::Vector) } else { Err(format!("{word} does not take these arguments ({grouped})")) }
    }

    /// `by (a, b)` or `without (a)`, if it is there.
    fn grouping(&mut self) -> Result<bool, String> {
        let Some(word) = ["by", "without"].into_iter().find(|word| self.is_next(word)) else {
            return Ok(false);
        };
        self.take(word)?;
        self.take("(")?;
        while !self.is_next(")") {
            self.word()?;
            if !self.is_next(")") {
                self.take(",")?;
            }
        }
        self.take(")").map(|()| true)
    }

    fn arguments(&mut self) -> Result<Vec<Kind>, String> {
        self.take("(")?;
        let mut kinds = vec![self.expression(0)?];
        while self.is_next(",") {
            self.take(",")?;
            kinds.push(self.expression(0)?);
        }
        self.take(")").map(|()| kinds)
    }

    fn selector(&mut self, name: &str) -> Result<Kind, String> {
        self.names.insert(name.to_owned());
        if self.is_next("{") {
            self.take("{")?;
            while !self.is_next("}") {
                self.word()?;
                let matcher = ["=~", "!~", "!=", "="].into_iter().find(|matcher| self.is_next(matcher));
                self.take(matcher.ok_or_else(|| self.fault("a matcher"))?)?;
                self.take("\"")?;
                let end = self.rest.find('"').ok_or_else(|| self.fault("the end of a string"))?;
                self.rest = &self.rest[end + 1..];
                if !self.is_next("}") {
                    self.take(",")?;
                }
            }
            self.take("}")?;
        }
        if !self.is_next("[") {
            return Ok(Kind::Vector);
        }
        self.take("[")?;
        let number = self.while_(|next| next.is_ascii_digit()).to_owned();
        let unit = self.while_(|next| next.is_ascii_alphabetic());
        if number.is_empty() || !["ms", "s", "m", "h", "d", "w"].contains(&unit) {
            return Err(self.fault("a duration"));
        }
        self.take("]").map(|()| Kind::Range)
    }

    fn next(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    /// Whether `word` comes next: as a whole, if it is a word.
    fn is_next(&mut self, word: &str) -> bool {
        self.next();
        let after = self.rest.strip_prefix(word);
        after.is_some_and(|after| !word.ends_with(char::is_alphabetic) || !after.starts_with(is_of_a_word))
    }

    fn take(&mut self, word: &str) -> Result<(), String> {
        if !self.is_next(word) {
            return Err(self.fault(word));
        }
        self.rest = &self.rest[word.len()..];
        Ok(())
    }

    fn word(&mut self) -> Result<&'a str, String> {
        self.next();
        let word = self.while_(is_of_a_word);
        let good = word.starts_with(|first: char| !first.is_ascii_digit());
        if good { Ok(word) } else { Err(self.fault("a name")) }
    }

    fn while_(&mut self, mut of: impl FnMut(char) -> bool) -> &'a str {
        let end = self.rest.find(|next| !of(next)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn fault(&self, expected: &str) -> String {
        format!("expected {expected} at {:?}", self.rest)
    }
}

fn is_of_a_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_' || char == ':'
}
