//! Connections: how many at once, how long they may take, how they end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::guard::Peer;
use super::listen::Listeners;
use super::patience::Patient;
use super::token::Token;

/// Connections over TCP at once, and over the socket.
const CONNECTIONS: (usize, usize) = (64, 256);
/// How long the head of a request may take, and a connection may be idle.
const HEAD_PATIENCE: Duration = Duration::from_secs(20);
/// How long a client may read nothing of what is sent to it.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a request's head, at most.
const HEAD: usize = 64 << 10;
/// Headers of a request, at most.
const HEADERS: usize = 64;
/// Pause after a connection could not be accepted: there may be no file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then says so in `stop`, and waits for what is being answered.
pub(super) async fn serve(
    listeners: Listeners,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
    stop: &watch::Sender<bool>,
    grace: Duration,
) {
    let mut shutdown = pin!(shutdown);
    let places = (Arc::new(Semaphore::new(CONNECTIONS.0)), Arc::new(Semaphore::new(CONNECTIONS.1)));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, peer, place) = accept_tcp(listeners.tcp.as_ref(), &places.0) => {
                connections.spawn(converse(stream, peer, place, router.clone(), stop.subscribe()));
            }
            (stream, peer, place) = accept_unix(listeners.unix.as_ref().map(|socket| &socket.listener), &places.1) => {
                connections.spawn(converse(stream, peer, place, router.clone(), stop.subscribe()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    // Nobody new; then those who are there.
    drop(listeners);
    stop.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    // Who is not done by then is cut off when the set is dropped.
    let _ = tokio::time::timeout(grace, all).await;
}

async fn accept_tcp(
    listener: Option<&(TcpListener, Token)>,
    places: &Arc<Semaphore>,
) -> (tokio::net::TcpStream, Peer, OwnedSemaphorePermit) {
    let Some((listener, token)) = listener else { return std::future::pending().await };
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return std::future::pending().await };
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small, and written at once. Without it they only come later.
                let _ = stream.set_nodelay(true);
                return (stream, Peer::Loopback(token.clone()), place);
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn accept_unix(
    listener: Option<&UnixListener>,
    places: &Arc<Semaphore>,
) -> (tokio::net::UnixStream, Peer, OwnedSemaphorePermit) {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return std::future::pending().await };
        match listener.accept().await {
            // Who has gone already is not known any more.
            Ok((stream, _)) => {
                if let Ok(peer) = stream.peer_cred() {
                    return (stream, Peer::Socket(peer.uid()), place);
                }
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Answers the requests of one connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    place: OwnedSemaphorePermit,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let service = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        hyper::service::Service::call(&service, request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(Patient::new(stream, WRITE_PATIENCE)), service);
    let mut connection = pin!(connection);
    let stopped = async {
        // A sender that is gone has stopped as well.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    // How it ended is the client's to know.
    let ended = tokio::select! {
        _ = connection.as_mut() => true,
        () = stopped => false,
    };
    if !ended {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
    drop(place);
}
