//! `events`: what happened on the device.

use super::arguments::Events;
use super::client::Client;
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::output;
use super::stream::Stream;
use super::text::{Tone, View, moment};
use crate::history::Happening;

pub(super) async fn events(client: &Client, arguments: &Events) -> Result<Exit> {
    const PATH: &str = "/v1/events";
    if !arguments.follow {
        let answer = client.get(PATH).await?;
        if arguments.json {
            output::print(&String::from_utf8_lossy(&answer.body))?;
            return Ok(Exit::Done);
        }
        for line in answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            show(line)?;
        }
        return Ok(Exit::Done);
    }
    let mut stream = Stream::new(client, PATH.to_owned(), PATH.to_owned());
    loop {
        let event = stream.next().await?;
        match event.name.as_str() {
            "gap" => eprintln!("deviced: events are missing here: there were more than are kept"),
            _ if arguments.json => output::print(&format!("{}\n", event.data))?,
            _ => show(event.data.as_bytes())?,
        }
    }
}

fn show(event: &[u8]) -> Result<()> {
    let happening: Happening = serde_json::from_slice(event)
        .map_err(|error| Failure::new(Exit::No, format!("an event is not understood: {error}")))?;
    output::print(&line(&happening, &output::view()))
}

/// `2026-11-26 07:30:00  rollback  web: it ended with 1`.
fn line(happening: &Happening, view: &View) -> String {
    let tone = match happening.kind.as_str() {
        "commit" => Tone::Good,
        "rollback" | "verdict" => Tone::Bad,
        "engine" | "drift" | "registry" => Tone::Warn,
        _ => Tone::Plain,
    };
    let container = happening.container.as_ref().map_or_else(String::new, |container| format!("{container}: "));
    let kind = format!("{:9}", happening.kind);
    let text = dockerloader::logging::printable(&happening.text);
    format!("{}  {} {container}{text}\n", view.paint(Tone::Quiet, &moment(happening.at, view)), view.paint(tone, &kind))
}

#[cfg(test)]
mod tests {
    use super::super::text::sample;
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let mut happening = Happening {
            id: 7,
            at: sample::NOW,
            kind: "rollback".into(),
            container: Some("web".into()),
            text: "2.1.1 ended with 1\n2.1.0 is back".into(),
        };
        assert_eq!(
            line(&happening, &sample::view()),
            "2026-11-26 07:30:00  rollback  web: 2.1.1 ended with 1\\n2.1.0 is back\n"
        );
        (happening.kind, happening.container) = ("document".into(), None);
        let coloured = View { colours: true, ..sample::view() };
        assert!(line(&happening, &coloured).contains("\u{1b}[0m  document  2.1.1"));
    }
}
