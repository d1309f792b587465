// SPDX-License-Identifier: GPL-2.0

//! The part of HTTP that Prometheus needs (RFC 9112): one request and one response a connection.
//!
//! Clients may be slow, silent or hostile: [`IO_TIMEOUT`] bounds each request and each response,
//! and request bodies are not read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// The time limit for reading a request, and again for writing its response.
const IO_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum number of connections at a time. Others are closed at once.
const MAX_CONNECTIONS: usize = 16;
/// A longer request head is cut off there.
const MAX_REQUEST_BYTES: usize = 8192;

/// A request for the metrics; the page is to be sent here.
pub type ScrapeRequest = SyncSender<String>;

/// An HTTP server. Its threads run until the process exits.
#[derive(Debug)]
pub struct Server {
    requests: Receiver<ScrapeRequest>,
}

impl Server {
    /// Listens on `address`.
    ///
    /// # Errors
    ///
    /// The address is in use, or the host does not have it.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let io_error = |error| format!("cannot listen on {address}: {error}");
        let listener = TcpListener::bind(address).map_err(io_error)?;
        let (sender, requests) = sync_channel(MAX_CONNECTIONS);
        let accept = move || {
            // Each connection has a reference.
            let connections = Arc::new(());
            loop {
                let Ok((stream, _)) = listener.accept() else {
                    // For example, the process has no file descriptor left: wait for one.
                    thread::sleep(Duration::from_millis(100));
                    continue;
                };
                if Arc::strong_count(&connections) <= MAX_CONNECTIONS {
                    let (sender, connection) = (sender.clone(), Arc::clone(&connections));
                    let handle = move || {
                        let _connection = connection;
                        // An error means that the client is gone or too slow.
                        let _ = serve(&stream, &sender);
                    };
                    // Without a new thread, the connection is closed.
                    let _ = thread::Builder::new().spawn(handle);
                }
            }
        };
        thread::Builder::new().spawn(accept).map_err(io_error)?;
        Ok(Self { requests })
    }

    /// Waits for a request, at most for `timeout`.
    pub fn next_request(&self, timeout: Duration) -> Option<ScrapeRequest> {
        // The accept thread keeps a sender, so the only error is the timeout.
        self.requests.recv_timeout(timeout).ok()
    }
}

/// Returns the time left until `deadline`, in the form that socket timeouts need.
///
/// # Errors
///
/// `TimedOut`: the deadline has passed.
fn time_left(deadline: Instant) -> std::io::Result<Option<Duration>> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(std::io::ErrorKind::TimedOut.into());
    }
    Ok(Some(left))
}

fn serve(mut stream: &TcpStream, sender: &SyncSender<ScrapeRequest>) -> std::io::Result<()> {
    let deadline = Instant::now() + IO_TIMEOUT;
    let (mut head, mut chunk) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") && head.len() < MAX_REQUEST_BYTES {
        stream.set_read_timeout(time_left(deadline)?)?;
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            n => head.extend_from_slice(&chunk[..n]),
        }
    }

    let (status, text) = match Response::for_request(&head) {
        Response::Metrics => {
            let (page, pages) = sync_channel(1);
            // Both errors mean that the main thread has ended.
            if sender.send(page).is_err() {
                return Ok(());
            }
            match pages.recv() {
                Ok(page) => ("200 OK", page),
                Err(_) => return Ok(()),
            }
        }
        Response::NotFound => (
            "404 Not Found",
            "not found, the metrics are at /metrics\n".to_string(),
        ),
        Response::MethodNotAllowed => (
            "405 Method Not Allowed",
            "method not allowed, use GET or HEAD\n".to_string(),
        ),
        Response::BadRequest => (
            "400 Bad Request",
            "bad request, use HTTP/1.0 or HTTP/1.1\n".to_string(),
        ),
    };
    let body = if head.starts_with(b"HEAD ") {
        ""
    } else {
        &text
    };
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Allow: GET, HEAD\r\nConnection: close\r\n\r\n{body}",
        text.len()
    );
    let deadline = Instant::now() + IO_TIMEOUT;
    for part in response.as_bytes().chunks(16384) {
        stream.set_write_timeout(time_left(deadline)?)?;
        stream.write_all(part)?;
    }
    Ok(())
}

/// The response to a request.
#[derive(Debug, PartialEq, Eq)]
enum Response {
    Metrics,
    NotFound,
    MethodNotAllowed,
    BadRequest,
}

impl Response {
    /// Chooses the response by the request line of `head`.
    fn for_request(head: &[u8]) -> Self {
        let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let words: Vec<_> = line.split(|&byte| byte == b' ').collect();
        let [method, target, version] = words[..] else {
            return Self::BadRequest;
        };
        let path = target.split(|&byte| byte == b'?').next();
        match (method, path) {
            _ if !version.starts_with(b"HTTP/1.") => Self::BadRequest,
            (b"GET" | b"HEAD", Some(b"/metrics")) => Self::Metrics,
            (b"GET" | b"HEAD", _) => Self::NotFound,
            _ => Self::MethodNotAllowed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_line_decides_the_response() {
        for (head, expected) in [
            (
                &b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"[..],
                Response::Metrics,
            ),
            (b"HEAD /metrics?name=x HTTP/1.0\r\n\r\n", Response::Metrics),
            (b"GET / HTTP/1.1\r\n\r\n", Response::NotFound),
            (b"GET /metrics/ HTTP/1.1\r\n\r\n", Response::NotFound),
            (
                b"POST /metrics HTTP/1.1\r\n\r\n",
                Response::MethodNotAllowed,
            ),
            (b"GET /metrics\r\n\r\n", Response::BadRequest),
            (b"GET /metrics HTTP/2\r\n\r\n", Response::BadRequest),
            (b"", Response::BadRequest),
            (&[b'x'; MAX_REQUEST_BYTES], Response::BadRequest),
        ] {
            assert_eq!(Response::for_request(head), expected, "{head:?}");
        }
    }
}
