//! Server-sent events: bytes as they come -> events. Pure (HTML Living Standard, 9.2.6 "Interpreting an event stream").

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Its name; `message` if it has none.
    pub(super) name: String,
    /// Its data, the lines joined.
    pub(super) data: String,
}

/// Bytes of one event, at most: a server that never ends one can't fill the memory.
const MAX_EVENT: usize = 1 << 20;

/// What has come of a stream.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The line that is not over yet.
    line: Vec<u8>,
    name: String,
    data: String,
    has_data: bool,
    /// The last id: what to go on after.
    pub(super) last_id: Option<String>,
    /// The id of the event that is not over yet.
    id: Option<String>,
}

impl Events {
    /// A stream that goes on after this id.
    pub(super) fn after(last_id: Option<String>) -> Self {
        Self { last_id, ..Self::default() }
    }

    /// Takes some bytes in, and gives the events that are complete with them.
    ///
    /// # Errors
    /// When an event is larger than any that deviced sends.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Event>, String> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() + self.data.len() > MAX_EVENT {
                    return Err(format!("an event of more than {MAX_EVENT} bytes"));
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
            events.extend(self.line_is_over(&line));
        }
        Ok(events)
    }

    fn line_is_over(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            return self.event_is_over();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // Comments keep the connection open; `retry` is ours to choose.
            _ => {}
        }
        None
    }

    fn event_is_over(&mut self) -> Option<Event> {
        if let Some(id) = self.id.take() {
            self.last_id = Some(id);
        }
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        let name = if name.is_empty() { "message".to_owned() } else { name };
        std::mem::take(&mut self.has_data).then_some(Event { name, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": welcome\nretry: 1000\n\n\
        event: line\nid: 7\ndata: {\"text\":\"a: b\"}\n\n\
        : keep-alive\n\n\
        data: one\r\ndata:two\r\ndata\r\n\r\n\
        event: gap\nid: 9\ndata:\n\n\
        event: line\nid: 10\ndata: unfinished";

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.into(), data: data.into() }
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let expected =
            [event("line", "{\"text\":\"a: b\"}"), event("message", "one\ntwo\n"), event("gap", "")];
        for size in [1, 2, 3, 7, 64, STREAM.len()] {
            let mut events = Events::default();
            let found: Vec<_> =
                STREAM.as_bytes().chunks(size).flat_map(|part| events.take(part).unwrap()).collect();
            assert_eq!(found, expected, "{size}");
            assert_eq!(events.last_id.as_deref(), Some("9"), "an event that was cut is asked for again");
        }
    }

    #[test]
    fn a_stream_that_goes_on_knows_where_it_was() {
        let mut events = Events::after(Some("5".into()));
        assert_eq!(events.last_id.as_deref(), Some("5"));
        events.take(b"id: 6\ndata: x\n\n").unwrap();
        assert_eq!(events.last_id.as_deref(), Some("6"));
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut events = Events::default();
        let part = [b'x'; 4096];
        let error = (0..).find_map(|_| events.take(&part).err()).unwrap();
        assert!(error.contains("1048576 bytes"), "{error}");
        let mut events = Events::default();
        let part = format!("data: {}\n", "x".repeat(1000));
        assert!((0..2000).any(|_| events.take(part.as_bytes()).is_err()), "nor one of many lines");
    }
}
