//! `events`: what happened on the device.

use super::arguments::Events;
use super::client::Client;
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::output;
use super::stream::Stream;
use super::text::{Tone, View, moment};
use crate::report::{HappeningReport, HappeningsReport};

pub(super) async fn events(client: &Client, arguments: &Events) -> Result<Exit> {
    const PATH: &str = "/v1/events";
    if !arguments.follow {
        let answer = client.get(PATH).await?;
        if arguments.json {
            output::json(&answer.body)?;
            return Ok(Exit::Done);
        }
        let view = output::view();
        let known: HappeningsReport = answer.json()?;
        output::print(&known.events.iter().map(|happening| line(happening, &view)).collect::<String>())?;
        return Ok(Exit::Done);
    }
    let mut stream = Stream::new(client, PATH.to_owned(), PATH.to_owned());
    loop {
        let event = stream.next().await?;
        match event.name.as_str() {
            "gap" => eprintln!("deviced: events are missing here: there were more than are kept"),
            "event" if arguments.json => output::print(&format!("{}\n", event.data))?,
            "event" => show(event.data.as_bytes())?,
            _ => {}
        }
    }
}

fn show(event: &[u8]) -> Result<()> {
    let happening: HappeningReport = serde_json::from_slice(event)
        .map_err(|error| Failure::new(Exit::No, format!("an event is not understood: {error}")))?;
    output::print(&line(&happening, &output::view()))
}

/// `2026-11-26 07:30:00  rollback  web: it ended with 1`.
fn line(happening: &HappeningReport, view: &View) -> String {
    let tone = match happening.kind.as_str() {
        "commit" => Tone::Good,
        "rollback" | "verdict" => Tone::Bad,
        "engine" | "drift" | "registry" => Tone::Warn,
        _ => Tone::Plain,
    };
    let container =
        happening.container.as_ref().map_or_else(String::new, |container| format!("{container}: "));
    let kind = format!("{:9}", happening.kind);
    let text = dockerloader::logging::printable(&happening.text);
    format!(
        "{}  {} {container}{text}\n",
        view.paint(Tone::Quiet, &moment(happening.at, view)),
        view.paint(tone, &kind)
    )
}

#[cfg(test)]
mod tests {
    use super::super::text::sample;
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let mut happening = HappeningReport {
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
