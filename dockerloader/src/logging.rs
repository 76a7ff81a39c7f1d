//! Log lines on stderr, for people or for machines.
//!
//! A subscriber of its own rather than a stack of layers: it keeps nothing, so process 1 pays no memory for it, and each line is
//! one `write(2)`, so lines of the supervisor and of the application never mix (POSIX, "write", atomic up to `PIPE_BUF`).

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _};
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::clock;
use crate::config::{LogFormat, LogLevel, Settings};

/// Starts logging as the settings say. Only the first call of a process has an effect.
pub fn start(settings: &Settings) {
    let terminal = io::stderr().is_terminal();
    let lines = Lines {
        level: filter(settings.log),
        format: settings.log_format,
        colours: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        now: clock::unix_time,
        out: Mutex::new(io::stderr()),
    };
    // Fails when there is a subscriber already, as in a test: that one stays.
    let _ = tracing::subscriber::set_global_default(lines);
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// The subscriber.
struct Lines<W> {
    level: LevelFilter,
    format: LogFormat,
    colours: bool,
    now: fn() -> Duration,
    out: Mutex<W>,
}

impl<W: io::Write + 'static> Subscriber for Lines<W>
where
    Self: Send + Sync,
{
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Of the libraries only what went wrong: their lower levels quote requests, with what is secret in them.
        let ours = metadata.target().starts_with("dockerloader");
        metadata.is_event() && *metadata.level() <= self.level && (ours || *metadata.level() <= Level::WARN)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = timestamp((self.now)());
        let level = *event.metadata().level();
        let line = match self.format {
            LogFormat::Text => text(&time, level, &fields, self.colours),
            LogFormat::Json => json(&time, level, event.metadata().target(), fields),
        };
        let mut out = self.out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // There is nobody to tell that the log can't be written.
        let _ = out.write_all(line.as_bytes());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// `2026-01-31T23:59:59.123Z`.
fn timestamp(since_1970: Duration) -> String {
    let milliseconds = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).map_or_else(|_| "-".to_owned(), |time| format!("{time:.3}"))
}

/// What an event says.
#[derive(Debug, Default)]
struct Fields {
    event: Option<String>,
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        match field.name() {
            "event" => self.event = Some(text(value)),
            "message" => self.message = text(value),
            name => drop(self.others.insert(name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string().into());
    }
}

/// `TIME LEVEL event: message name=value ...`
fn text(time: &str, level: Level, fields: &Fields, colours: bool) -> String {
    let (before, after) = match (colours, level) {
        (false, _) => ("", ""),
        (true, Level::ERROR) => ("\x1b[31m", "\x1b[0m"),
        (true, Level::WARN) => ("\x1b[33m", "\x1b[0m"),
        (true, Level::INFO) => ("\x1b[32m", "\x1b[0m"),
        (true, _) => ("\x1b[2m", "\x1b[0m"),
    };
    let mut line = format!("{time} {before}{level:<5}{after} ");
    // Writing to a String cannot fail.
    if let Some(event) = &fields.event {
        let _ = write!(line, "{event}: ");
    }
    line.push_str(&printable(&fields.message));
    for (name, value) in &fields.others {
        // What the sentence says already is not said twice.
        match value {
            Value::String(value) if fields.message.contains(value.as_str()) => {}
            Value::String(value) if value.is_empty() || value.contains([' ', '"', '=']) => {
                let _ = write!(line, " {name}={value:?}");
            }
            Value::String(value) => {
                let _ = write!(line, " {name}={}", printable(value));
            }
            other => {
                let _ = write!(line, " {name}={other}");
            }
        }
    }
    line.push('\n');
    line
}

/// One JSON object: `time`, `level`, `event`, `message`, and the fields.
fn json(time: &str, level: Level, target: &str, fields: Fields) -> String {
    let mut object = Map::new();
    object.insert("time".into(), time.into());
    object.insert("level".into(), level.as_str().to_ascii_lowercase().into());
    // Lines of libraries have no event name: then the module says whose they are.
    object.insert("event".into(), fields.event.unwrap_or_else(|| target.to_owned()).into());
    object.insert("message".into(), fields.message.into());
    for (name, value) in fields.others {
        object.entry(name).or_insert(value);
    }
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    line
}

/// Text of others without what would move a terminal's cursor or break the line.
pub fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains(|c: char| c.is_control()) {
        text.chars()
            .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
            .collect::<String>()
            .into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A log that the test can read.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: LogLevel, format: LogFormat, colours: bool, log: impl FnOnce()) -> String {
        let out = Log::default();
        let lines = Lines {
            level: filter(level),
            format,
            colours,
            now: || Duration::from_millis(1_700_000_000_250),
            out: Mutex::new(out.clone()),
        };
        tracing::subscriber::with_default(lines, log);
        String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
    }

    fn commit() {
        tracing::info!(event = "commit", digest = "sha256:ab", attempts = 2u64, "committed sha256:ab");
    }

    #[test]
    fn a_line_for_people_and_one_for_machines() {
        assert_eq!(
            logged(LogLevel::Info, LogFormat::Text, false, commit),
            "2023-11-14T22:13:20.250Z INFO  commit: committed sha256:ab attempts=2\n"
        );
        let line = logged(LogLevel::Info, LogFormat::Json, true, commit);
        assert_eq!(
            serde_json::from_str::<Value>(&line).unwrap(),
            serde_json::json!({
                "time": "2023-11-14T22:13:20.250Z", "level": "info", "event": "commit",
                "message": "committed sha256:ab", "digest": "sha256:ab", "attempts": 2,
            })
        );
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn the_level_and_the_source_decide() {
        let all = || {
            tracing::error!("e");
            tracing::debug!("d");
            tracing::debug!(target: "hyper", "authorization: secret");
            tracing::warn!(target: "hyper", "w");
            let _entered = tracing::error_span!("spans are not lines").entered();
        };
        let words = |level| {
            let text = logged(level, LogFormat::Text, false, all);
            text.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(words(LogLevel::Trace), ["e", "d", "w"]);
        assert_eq!(words(LogLevel::Info), ["e", "w"]);
        assert_eq!(words(LogLevel::Error), ["e"]);
        assert!(words(LogLevel::Off).is_empty());
    }

    #[test]
    fn a_log_line_cannot_be_forged() {
        let text = logged(LogLevel::Info, LogFormat::Text, true, || {
            tracing::warn!(event = "output", line = "x\u{1b}[2Jy", spaced = "a b\nc", "first\nsecond");
        });
        assert_eq!(
            text,
            "2023-11-14T22:13:20.250Z \u{1b}[33mWARN \u{1b}[0m output: first\\nsecond line=x\\u{1b}[2Jy \
             spaced=\"a b\\nc\"\n"
        );
    }
}
