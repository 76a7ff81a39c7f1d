//! Output and events of the engine, as they come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream, TryStreamExt as _};
use futures_util::{StreamExt as _, TryFutureExt as _};
use hyper::Method;
use hyper::body::Incoming;

use super::lines::Lines;
use super::link::{Link, encoded, request};
use super::logs::Demux;
use super::{ContainerId, Error, Event, LogLine, LogRequest, events, failure};

/// Output of a container.
pub(super) fn logs(
    link: Arc<Link>,
    deadline: Duration,
    id: &ContainerId,
    what: &LogRequest,
) -> impl Stream<Item = Result<LogLine, Error>> + Send + 'static {
    let tail = what.tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string());
    let since = what.since.map_or_else(String::new, |since| format!("&since={since}"));
    let follow = if what.follow { "&follow=true" } else { "" };
    let path = format!(
        "/containers/{}/logs?stdout=true&stderr=true&timestamps=true&tail={tail}{since}{follow}",
        encoded(&id.0)
    );
    // Who follows waits for as long as nothing is written.
    let silence = (!what.follow).then_some(deadline);
    let source = Source::open(link, format!("output of {}", id.short()), path, deadline, silence);
    let lines = source.map_ok(|source| {
        source.read(Demux::logs(), |demux, piece| match piece {
            Some(piece) => demux.push(piece),
            None => Ok(demux.end()),
        })
    });
    stream::once(lines).try_flatten()
}

/// What happens once the engine has answered. The end of it is an error: what comes after it has to be found out
/// otherwise.
pub(super) async fn events(
    link: Arc<Link>,
    deadline: Duration,
) -> Result<impl Stream<Item = Result<Event, Error>> + Send + 'static, Error> {
    let (call, path) = ("events".to_owned(), "/events".to_owned());
    let source = Source::open(Arc::clone(&link), call, path, deadline, None).await?;
    let events = source.read(Lines::default(), |lines, piece| {
        let values = match piece {
            Some(piece) => lines.push(piece)?,
            None => lines.end()?.into_iter().collect(),
        };
        Ok(values.iter().filter_map(events::event).collect())
    });
    let end = async move { Err(link.away(&std::io::Error::other("its stream of events has ended"))) };
    Ok(events.chain(stream::once(end)))
}

/// Reads what is whole out of a piece, or what is left at the end.
type Read<R, T> = fn(&mut R, Option<&[u8]>) -> Result<Vec<T>, String>;

/// Where pieces come from.
struct Source {
    link: Arc<Link>,
    call: String,
    body: Incoming,
    /// How long it may be silent.
    silence: Option<Duration>,
    is_over: bool,
}

impl Source {
    async fn open(
        link: Arc<Link>,
        call: String,
        path: String,
        deadline: Duration,
        silence: Option<Duration>,
    ) -> Result<Self, Error> {
        let open = || async { link.stream(&call, request(&call, Method::GET, &path, None)?).await };
        let body = link.within(&call, deadline, open).await?;
        Ok(Self { link, call, body, silence, is_over: false })
    }

    /// What is read from its pieces, one after the other. An error is the last.
    fn read<R, T>(self, reader: R, read: Read<R, T>) -> impl Stream<Item = Result<T, Error>> + Send + 'static
    where
        R: Send + 'static,
        T: Send + 'static,
    {
        let begin = (self, reader, VecDeque::new());
        stream::try_unfold(begin, move |(mut source, mut reader, mut ready)| async move {
            while ready.is_empty() && !source.is_over {
                let piece = source.link.piece(&source.call, &mut source.body, source.silence).await?;
                source.is_over = piece.is_none();
                let found = read(&mut reader, piece.as_deref());
                ready.extend(found.map_err(|problem| failure::answer(&source.call, problem))?);
            }
            Ok(ready.pop_front().map(|item| (item, (source, reader, ready))))
        })
    }
}
