//! Tables for people: columns as wide as they need to be, two spaces apart.

use crate::screen::clean;

/// Prints rows under a heading; nothing but the heading when there are none.
pub(super) fn print<const N: usize>(
    heading: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) {
    let mut all = vec![heading.map(str::to_owned)];
    all.extend(rows.into_iter().map(|row| row.map(|cell| clean(&cell))));
    let widths: [usize; N] = std::array::from_fn(|column| {
        all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    for row in all {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// A time in milliseconds of the Unix epoch, as RFC 3339 in UTC.
pub(super) fn time(unix_ms: Option<u64>) -> String {
    unix_ms.map_or_else(|| "-".into(), crate::time::show)
}
