//! Progress for people, on standard error: a bar on a terminal, a line every few seconds elsewhere.

use crate::show;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const LINE_EVERY: Duration = Duration::from_secs(5);
/// The weight of the newest measurement in the rate that is shown.
const RATE_WEIGHT: f64 = 0.3;
const BAR: &str = "{prefix} [{bar:30}] {msg}";
const BAR_CHARS: &str = "=> ";

/// How far something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// Done so far.
    pub(crate) done: u64,
    /// As far as is known by now; it may grow. `None`: nobody knows before the end.
    pub(crate) total: Option<u64>,
    /// What else there is to say.
    pub(crate) note: String,
}

/// Shows how far something is.
pub(crate) struct Meter {
    label: &'static str,
    screen: Screen,
    pace: Pace,
}

enum Screen {
    Bar(ProgressBar),
    Lines { last: Option<Instant> },
}

impl Meter {
    /// A meter at nothing.
    pub(crate) fn new(label: &'static str) -> Self {
        let screen = if std::io::stderr().is_terminal() && !show::terminal_is_dumb() {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_prefix(label);
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style.progress_chars(BAR_CHARS));
            }
            Screen::Bar(bar)
        } else {
            Screen::Lines { last: None }
        };
        Self {
            label,
            screen,
            pace: Pace::default(),
        }
    }

    /// Shows a new position.
    pub(crate) fn show(&mut self, position: &Position) {
        self.pace.measure(position.done, Instant::now());
        let text = self.text(position);
        match &mut self.screen {
            Screen::Bar(bar) => {
                bar.set_length(position.total.unwrap_or(position.done).max(1));
                bar.set_position(position.done);
                bar.set_message(text);
            }
            Screen::Lines { last } => {
                if last.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
                    say(&format!("{}: {text}", self.label));
                    *last = Some(Instant::now());
                }
            }
        }
    }

    /// Says something beside the bar.
    pub(crate) fn say(&self, text: &str) {
        match &self.screen {
            Screen::Bar(bar) => bar.suspend(|| say(text)),
            Screen::Lines { .. } => say(text),
        }
    }

    /// Takes the bar away: what came of it is told elsewhere.
    pub(crate) fn finish(self) {
        match self.screen {
            Screen::Bar(bar) => bar.finish_and_clear(),
            Screen::Lines { .. } => {}
        }
    }

    fn text(&self, position: &Position) -> String {
        let Position { done, total, note } = position;
        let mut parts = vec![match total {
            Some(total) => format!("{} of {}", show::grouped(*done), show::grouped(*total)),
            None => show::grouped(*done),
        }];
        if let Some(rate) = self.pace.per_second() {
            parts.push(format!("{}/s", show::grouped(rate.round() as u64)));
            let left = total.unwrap_or(0).saturating_sub(*done) as f64 / rate;
            if left >= 1.0 {
                parts.push(format!(
                    "{} left",
                    show::duration(Duration::from_secs_f64(left.min(1e9)))
                ));
            }
        }
        if !note.is_empty() {
            parts.push(note.clone());
        }
        parts.join(", ")
    }
}

/// How fast something moves, smoothed.
#[derive(Debug, Default)]
struct Pace {
    last: Option<(u64, Instant)>,
    smoothed: Option<f64>,
}

impl Pace {
    fn measure(&mut self, done: u64, now: Instant) {
        let Some((before, then)) = self.last.replace((done, now)) else {
            return;
        };
        let seconds = now.duration_since(then).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let newest = done.saturating_sub(before) as f64 / seconds;
        self.smoothed = Some(
            self.smoothed
                .map_or(newest, |old| old + RATE_WEIGHT * (newest - old)),
        );
    }

    /// `None` while nothing can be told.
    fn per_second(&self) -> Option<f64> {
        self.smoothed.filter(|rate| *rate >= 0.5)
    }
}

/// A line for people.
pub(crate) fn say(text: &str) {
    // Nobody is left to be told where standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_smoothed_and_says_nothing_at_a_standstill() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.measure(0, start);
        assert_eq!(pace.per_second(), None);
        pace.measure(1_000, start + Duration::from_secs(1));
        assert_eq!(pace.per_second(), Some(1_000.0));
        pace.measure(1_000, start + Duration::from_secs(2));
        assert_eq!(pace.per_second(), Some(700.0));
        for second in 3..60 {
            pace.measure(1_000, start + Duration::from_secs(second));
        }
        assert_eq!(pace.per_second(), None);
    }

    #[test]
    fn a_position_reads_as_a_sentence() {
        let mut meter = Meter {
            label: "x",
            screen: Screen::Lines { last: None },
            pace: Pace::default(),
        };
        let position = Position {
            done: 1_500,
            total: Some(20_000),
            note: "2 failed".to_owned(),
        };
        assert_eq!(meter.text(&position), "1,500 of 20,000, 2 failed");
        meter.pace.smoothed = Some(500.0);
        assert_eq!(
            meter.text(&position),
            "1,500 of 20,000, 500/s, 37 s left, 2 failed"
        );
    }
}
