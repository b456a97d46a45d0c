//! How a match feels from the player's chair, over round trips, losses and jitter: curves. Owns the command, the grid of
//! networks, the table and the files; how a match is played and judged is next door.

mod play;
mod plot;
mod screen;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use play::{Manner, Outcome, Weather, play};

/// `benches feel`.
#[derive(Args)]
pub struct FeelFlags {
    /// Round trips, milliseconds.
    #[arg(long, value_delimiter = ',', default_value = "0,25,50,75,100,150,200,250")]
    rtt: Vec<f64>,
    /// Losses each way, percent.
    #[arg(long, value_delimiter = ',', default_value = "0,1,2,5,10")]
    loss: Vec<f64>,
    /// Jitters of the round trip, ± milliseconds.
    #[arg(long, value_delimiter = ',', default_value = "0,10,30")]
    jitter: Vec<f64>,
    /// Datagrams lost in a row, on average.
    #[arg(long, default_value_t = 2.0)]
    burst: f64,
    /// Players of a match, 2 to 64.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=64))]
    players: u16,
    /// Seconds measured of each match, after twelve that are not; 1 to 3600.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Matches at each point, with seeds that follow each other.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    matches: u64,
    /// Frames a second of each client, 10 to 1000.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(10..=1000))]
    fps: u32,
    /// Seed of the first match.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Matches at once; as many as there are cores unless said.
    #[arg(long)]
    threads: Option<usize>,
}

/// One point of the grid: the fields of `target/bench/feel.json` and the columns of `feel.csv`.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    rtt_ms: f64,
    loss_percent: f64,
    jitter_ms: f64,
    player_minutes: f64,
    /// Ticks simulated without that tick's input, in percent.
    starved_percent: f64,
    late_inputs_per_minute: f64,
    mispredictions_per_minute: f64,
    correction_p50_m: f64,
    correction_p99_m: f64,
    stalls_per_minute: f64,
    holds_per_minute: f64,
    shots: u64,
    screen_hits: u64,
    /// Confirmed by the server: this shot met this ship, and harmed it.
    confirmed_hits: u64,
    /// This shot met this ship, which somebody else had shot down in between.
    too_late_hits: u64,
    /// Its shooter had been shot down before pulling the trigger, and did not know it yet.
    from_the_dead_hits: u64,
    other_hits: u64,
    denied_hits: u64,
    unseen_hits: u64,
    /// The server says the same of the same shot and ship (hits that came too late are hits), of those on the screen.
    confirmed_percent: f64,
    /// The same and harm was done, of those on the screen.
    harmed_percent: f64,
    /// The same and harm was done, of those on the screen whose shooter and target were both still alive.
    living_percent: f64,
    /// Hits that the screen did not show, of the server's, in percent.
    unseen_percent: f64,
    /// Milliseconds that own shots are on the screen before the server's entity has come.
    spawn_ahead_ms: f64,
    /// Looks at the screen at which an own shot was there twice.
    spawn_doubles: u64,
    lead_ticks: f64,
    interpolation_delay_ms: f64,
}

/// Plays the grid, prints the named points, writes `target/bench/feel.{json,csv,svg}`.
///
/// # Errors
/// A match could not be played, or a file not written.
pub fn feel(flags: &FeelFlags, workspace: &Path) -> anyhow::Result<()> {
    let points = flags.points();
    let began = std::time::Instant::now();
    let rows = play_all(&points, flags)?;
    let minutes: f64 = rows.iter().map(|row| row.player_minutes).sum();
    println!(
        "{} networks, {minutes:.0} player-minutes in {:.0} s; losses {} in a row on average, {} fps, seed {}",
        points.len(),
        began.elapsed().as_secs_f64(),
        flags.burst,
        flags.fps,
        flags.seed
    );
    print!("{}", table(&rows));
    let folder = workspace.join("target/bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let files =
        [("json", serde_json::to_string_pretty(&rows)?), ("csv", csv(&rows)?), ("svg", plot::svg(&rows))];
    for (kind, text) in files {
        let path = folder.join(format!("feel.{kind}"));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

impl FeelFlags {
    fn points(&self) -> Vec<Weather> {
        let mut points = Vec::new();
        for jitter_ms in &self.jitter {
            for loss in &self.loss {
                for rtt_ms in &self.rtt {
                    let (loss, burst) = (loss / 100.0, self.burst);
                    points.push(Weather { rtt_ms: *rtt_ms, loss, jitter_ms: *jitter_ms, burst });
                }
            }
        }
        points
    }

    fn manner(&self, nth: u64) -> Manner {
        let Self { players, seconds, fps, seed, .. } = *self;
        Manner { players, seconds, fps, seed: seed + nth }
    }
}

/// Plays every point, several at once.
fn play_all(points: &[Weather], flags: &FeelFlags) -> anyhow::Result<Vec<Row>> {
    let threads =
        flags.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || -> anyhow::Result<()> {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(weather) = points.get(place) else { return Ok(()) };
            let mut sum = Outcome::default();
            for nth in 0..flags.matches {
                sum.add(play(*weather, flags.manner(nth))?, flags.matches);
            }
            let mut done = done.lock().expect("no holder of this lock panics");
            done.push((place, row(*weather, &sum)));
            eprint!("\r{} of {}", done.len(), points.len());
        }
    };
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a match panicked"))??;
        }
        Ok(())
    })?;
    eprintln!();
    let mut done = done.into_inner().expect("no holder of this lock panics");
    done.sort_unstable_by_key(|(place, _)| *place);
    Ok(done.into_iter().map(|(_, row)| row).collect())
}

fn row(weather: Weather, outcome: &Outcome) -> Row {
    let a_minute = |count: u64| count as f64 / outcome.player_minutes;
    let percent = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 * 100.0 };
    let quantile = |share: f64| {
        let last = outcome.corrections.len().checked_sub(1);
        last.map_or(0.0, |last| f64::from(outcome.corrections[(last as f64 * share).ceil() as usize]))
    };
    let hits = outcome.hits;
    Row {
        rtt_ms: weather.rtt_ms,
        loss_percent: weather.loss * 100.0,
        jitter_ms: weather.jitter_ms,
        player_minutes: outcome.player_minutes,
        starved_percent: percent(outcome.starved, outcome.ticks),
        late_inputs_per_minute: a_minute(outcome.late),
        mispredictions_per_minute: a_minute(outcome.mispredictions),
        correction_p50_m: quantile(0.5),
        correction_p99_m: quantile(0.99),
        stalls_per_minute: a_minute(outcome.stalls),
        holds_per_minute: a_minute(outcome.holds),
        shots: outcome.shots,
        screen_hits: hits.on_screen,
        confirmed_hits: hits.confirmed,
        too_late_hits: hits.too_late,
        from_the_dead_hits: hits.from_the_dead,
        other_hits: hits.another,
        denied_hits: hits.denied,
        unseen_hits: hits.unseen,
        confirmed_percent: percent(hits.confirmed + hits.too_late, hits.on_screen),
        harmed_percent: percent(hits.confirmed, hits.on_screen),
        living_percent: percent(hits.confirmed, hits.on_screen - hits.too_late - hits.from_the_dead),
        unseen_percent: percent(hits.unseen, hits.unseen + hits.confirmed + hits.too_late),
        spawn_ahead_ms: outcome.display.ahead_ticks as f64 * 1000.0
            / f64::from(arena::rules::TICK_HZ)
            / outcome.display.matched.max(1) as f64,
        spawn_doubles: outcome.display.doubles,
        lead_ticks: outcome.lead_ticks,
        interpolation_delay_ms: outcome.delay_ms,
    }
}

/// The points that people ask for by name, as a Markdown table; all of them where the grid has none of these.
fn table(rows: &[Row]) -> String {
    const NAMED: [(f64, f64, f64); 6] = [
        (25.0, 0.0, 0.0),
        (50.0, 1.0, 10.0),
        (100.0, 0.0, 10.0),
        (100.0, 2.0, 10.0),
        (150.0, 5.0, 30.0),
        (250.0, 10.0, 30.0),
    ];
    let at = |row: &Row| NAMED.contains(&(row.rtt_ms, row.loss_percent, row.jitter_ms));
    let named: Vec<&Row> = rows.iter().filter(|row| at(row)).collect();
    let shown = if named.is_empty() { rows.iter().collect() } else { named };
    let mut out = String::from(
        "| RTT ms | loss % | jitter ms | starved % | mispredictions /min | correction p50/p99 m | stalls /min | lead ticks | \
         delay ms | screen hits | confirmed % | harmed % | of the living % | unseen % |\n\
         |---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in shown {
        let _ = writeln!(
            out,
            "| {:.0} | {:.0} | {:.0} | {:.3} | {:.2} | {:.3} / {:.3} | {:.1} | {:.1} | {:.0} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
            row.rtt_ms,
            row.loss_percent,
            row.jitter_ms,
            row.starved_percent,
            row.mispredictions_per_minute,
            row.correction_p50_m,
            row.correction_p99_m,
            row.stalls_per_minute,
            row.lead_ticks,
            row.interpolation_delay_ms,
            row.screen_hits,
            row.confirmed_percent,
            row.harmed_percent,
            row.living_percent,
            row.unseen_percent,
        );
    }
    out
}

/// All figures, a line a point, the columns named as in the JSON.
fn csv(rows: &[Row]) -> anyhow::Result<String> {
    let mut out = String::new();
    for row in rows {
        let serde_json::Value::Object(fields) = serde_json::to_value(row)? else { continue };
        if out.is_empty() {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            out = names.join(",") + "\n";
        }
        let values: Vec<String> = fields.values().map(ToString::to_string).collect();
        out += &(values.join(",") + "\n");
    }
    Ok(out)
}

impl Outcome {
    /// Takes another match on the same network in, one of `matches`.
    fn add(&mut self, other: Self, matches: u64) {
        self.player_minutes += other.player_minutes;
        self.ticks += other.ticks;
        self.starved += other.starved;
        self.late += other.late;
        self.mispredictions += other.mispredictions;
        self.corrections.extend(other.corrections);
        self.corrections.sort_unstable_by(f32::total_cmp);
        self.stalls += other.stalls;
        self.holds += other.holds;
        self.shots += other.shots;
        self.hits.on_screen += other.hits.on_screen;
        self.hits.confirmed += other.hits.confirmed;
        self.hits.too_late += other.hits.too_late;
        self.hits.another += other.hits.another;
        self.hits.from_the_dead += other.hits.from_the_dead;
        self.hits.denied += other.hits.denied;
        self.hits.unseen += other.hits.unseen;
        self.display.ahead_ticks += other.display.ahead_ticks;
        self.display.matched += other.display.matched;
        self.display.doubles += other.display.doubles;
        self.lead_ticks += other.lead_ticks / matches as f64;
        self.delay_ms += other.delay_ms / matches as f64;
    }
}
