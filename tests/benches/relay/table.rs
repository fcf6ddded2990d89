//! The figures of one shape, as a table for people.

use std::collections::HashMap;
use std::time::Duration;

use relay_tests::load::Measured;

/// One turn of one of them.
pub(crate) struct Row {
    pub(crate) measured: Measured,
    /// CPU time of its programs, from the first to the last one on the way.
    pub(crate) cpu: Vec<Duration>,
    /// How many cores were busy with anything else.
    pub(crate) others: f64,
}

/// All turns by name, in the order of the rounds.
#[derive(Default)]
pub(crate) struct Table {
    rows: HashMap<&'static str, Vec<Row>>,
}

/// The median, the least and the most.
struct Spread {
    middle: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        Some(Self { middle: values[values.len() / 2], least, most })
    }
}

fn ratio(spread: Option<Spread>) -> String {
    spread.map_or_else(
        || "-".to_owned(),
        |Spread { middle, least, most }| format!("{middle:.2} ({least:.2}-{most:.2})"),
    )
}

fn plain(spread: Option<&Spread>, digits: usize) -> String {
    spread.map_or_else(|| "-".to_owned(), |spread| format!("{:.digits$}", spread.middle))
}

impl Table {
    pub(crate) fn add(&mut self, name: &'static str, row: Row) {
        self.rows.entry(name).or_default().push(row);
    }

    /// One value of each of its turns.
    fn spread(&self, name: &str, value: impl Fn(&Row) -> f64) -> Option<Spread> {
        Spread::of(self.rows.get(name)?.iter().map(value))
    }

    /// One value beside that of another in the same round.
    fn beside(&self, name: &str, other: &str, value: impl Fn(&Row) -> f64) -> Option<Spread> {
        let rows = self.rows.get(name)?.iter().zip(self.rows.get(other)?);
        // Nothing on the way costs nothing, and that is no ratio.
        let ratios = rows.map(|(own, others)| value(own) / value(others));
        Spread::of(ratios.filter(|ratio| *ratio > 0.0))
    }

    pub(crate) fn print(&self, names: impl Iterator<Item = &'static str>) {
        println!(
            "{:<14}{:>8}  {:<18}{:<18}{:>7}{:>8}  {:<18}{:>14}  {:<18}{:>6}  senders busy",
            "",
            "req/s",
            "x nginx",
            "x rathole",
            "p50 ms",
            "p99 ms",
            "p50 x nginx",
            "CPU µs/req",
            "CPU x rathole",
            "failed"
        );
        for name in names.filter(|name| self.rows.contains_key(name)) {
            self.print_line(name);
        }
        let p50 = |row: &Row| row.measured.quantile(0.5);
        println!(
            "p50 with recording x without: {}",
            ratio(self.beside("relay, record", "relay", p50))
        );
        let others = Spread::of(self.rows.values().flatten().map(|row| row.others));
        if let Some(Spread { middle, most, .. }) = others {
            println!("busy with something else: {middle:.2} cores, at most {most:.2}");
        }
    }

    fn print_line(&self, name: &str) {
        let rate = |row: &Row| row.measured.rate();
        let p50 = |row: &Row| row.measured.quantile(0.5);
        let a_request = |row: &Row, at: usize| {
            row.cpu[at].as_secs_f64() * 1e6 / (row.measured.answered as f64 * 1.1)
        };
        let whole = |row: &Row| (0..row.cpu.len()).map(|at| a_request(row, at)).sum();
        let programs = self.rows[name].first().map_or(0, |row| row.cpu.len());
        let cpu: Vec<String> = (0..programs)
            .map(|at| plain(self.spread(name, |row| a_request(row, at)).as_ref(), 1))
            .collect();
        let failed: usize = self.rows[name].iter().map(|row| row.measured.failed).sum();
        let busy = self.spread(name, |row| {
            100.0 * row.measured.busy.as_secs_f64() / row.measured.took.as_secs_f64()
        });
        println!(
            "{name:<14}{:>8}  {:<18}{:<18}{:>7}{:>8}  {:<18}{:>14}  {:<18}{failed:>6}  {:>3} %",
            plain(self.spread(name, rate).as_ref(), 0),
            ratio(self.beside(name, "nginx", rate)),
            ratio(self.beside(name, "rathole", rate)),
            plain(self.spread(name, p50).as_ref(), 2),
            plain(self.spread(name, |row| row.measured.quantile(0.99)).as_ref(), 1),
            ratio(self.beside(name, "nginx", p50)),
            cpu.join(" + "),
            ratio(self.beside(name, "rathole", whole)),
            plain(busy.as_ref(), 0),
        );
    }
}
