//! Medians and a table in plain text that is also Markdown. Must never know what the columns are.

/// The middle one; the mean of the two middle ones.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len(), values.len() % 2) {
        (0, _) => None,
        (_, 1) => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The value below which `share` of the ascending `values` lie; `None` of nothing.
pub(super) fn quantile(values: &[f32], share: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    Some(f64::from(values[(last as f64 * share).round() as usize]))
}

/// `value` with `digits` behind the point; a dash for nothing.
pub(crate) fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.digits$}"))
}

/// Prints rows under their heads, aligned.
pub(crate) fn print(heads: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
    };
    line(heads.to_vec());
    let rule = |(column, width): (usize, &usize)| {
        if column == 0 { "-".repeat(*width) } else { "-".repeat(width - 1) + ":" }
    };
    println!("| {} |", widths.iter().enumerate().map(rule).collect::<Vec<_>>().join(" | "));
    for row in rows {
        line(row.iter().map(String::as_str).collect());
    }
}

/// What the machine was doing while it measured: its load averages.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        let values: Vec<f32> = (0..101_u8).map(f32::from).collect();
        assert_eq!(quantile(&values, 0.99), Some(99.0));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!((cell(None, 1), cell(Some(1.25), 1)), ("–".into(), "1.2".into()));
    }
}
