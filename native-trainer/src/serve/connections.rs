//! Connections: how many there may be, and how long a client may take.

use std::convert::Infallible;
use std::io::{Error, ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep};

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// More wait until one ends. A browser opens up to six.
    pub(super) n_connections: usize,
    /// From the start of a connection, or from the last response, to the end of the next request's
    /// headers.
    pub(super) request: Duration,
    /// Without a byte accepted by the client while a response is sent.
    pub(super) stalled: Duration,
    /// Of a request's first line and headers, in bytes.
    pub(super) head_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            n_connections: 512,
            request: Duration::from_secs(20),
            stalled: Duration::from_secs(60),
            head_bytes: 32 << 10,
        }
    }
}

/// Bytes that the system accepts of a response before the client does. With its usual megabytes, most files
/// would count as sent at once, and none would wait for its turn.
const SEND_BUFFER: u32 = 512 << 10;

/// Starts to listen; only within a runtime.
///
/// # Errors
/// When the address is in use or not allowed.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // On Windows this would allow two servers at one address.
    if cfg!(unix) {
        socket.set_reuseaddr(true)?;
    }
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// The address of a request's sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client(pub(super) IpAddr);

/// Accepts connections as long as the runtime exists.
pub(super) async fn accept(listener: TcpListener, router: Router, limits: Limits) -> Infallible {
    let permits = Arc::new(Semaphore::new(limits.n_connections));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await;
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                // The client is gone, or the process has no free file descriptor: both pass.
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Without it, the last packet of a small response waits for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let router = router.clone().layer(Extension(Client(address.ip())));
        tokio::spawn(async move {
            let stream = TokioIo::new(Impatient { stream, limit: limits.stalled, stalled: None });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(limits.request)
                .max_buf_size(limits.head_bytes);
            // A client that breaks off, or takes too long, gets no further response.
            let _ = http.serve_connection(stream, TowerToHyperService::new(router)).await;
            drop(permit);
        });
    }
}

/// A connection that ends when its client accepts nothing for a while.
struct Impatient {
    stream: TcpStream,
    limit: Duration,
    /// Set while the client accepts nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn check<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<Result<T, Error>>,
    ) -> Poll<Result<T, Error>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        stalled.as_mut().poll(context).map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.check(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.check(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
