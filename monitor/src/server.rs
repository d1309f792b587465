// SPDX-License-Identifier: GPL-2.0

//! The little of HTTP that Prometheus needs (RFC 9112): one request, one answer, and the connection closes.
//!
//! Whoever is on the other side may be slow, silent or hostile: nobody is waited for longer than [`PATIENCE`], and a
//! body is not read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// For how long a request is read, and then for how long its answer is written.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many are talked to at one time; others are not let in.
const MOST: usize = 16;
/// How long a request may be, in bytes.
const LONGEST: usize = 8192;

/// Whoever wants the page: it is to be sent there.
pub type Wish = SyncSender<String>;

/// A listener; its threads end with the process.
#[derive(Debug)]
pub struct Server {
    wishes: Receiver<Wish>,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    ///
    /// The address is taken or not ours.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let failed = |error| format!("{address}: {error}");
        let listener = TcpListener::bind(address).map_err(failed)?;
        let (wish, wishes) = sync_channel(MOST);
        let accept = move || {
            let places = Arc::new(());
            loop {
                let Ok((stream, _)) = listener.accept() else {
                    // No descriptor is left, maybe; some will be.
                    thread::sleep(Duration::from_millis(100));
                    continue;
                };
                if Arc::strong_count(&places) <= MOST {
                    let (wish, place) = (wish.clone(), Arc::clone(&places));
                    let talk = move || {
                        let _place = place;
                        // Whoever has asked may be gone.
                        let _ = serve(&stream, &wish);
                    };
                    // If there is no thread to be had, the connection closes.
                    let _ = thread::Builder::new().spawn(talk);
                }
            }
        };
        thread::Builder::new().spawn(accept).map_err(failed)?;
        Ok(Self { wishes })
    }

    /// Waits for a wish for so long.
    pub fn wish(&self, limit: Duration) -> Option<Wish> {
        // Whoever listens does so for ever, so there is but one error: time is up.
        self.wishes.recv_timeout(limit).ok()
    }
}

/// What is left until then; nothing is an error.
fn left(end: Instant) -> std::io::Result<Option<Duration>> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(std::io::ErrorKind::TimedOut.into());
    }
    Ok(Some(left))
}

fn serve(mut stream: &TcpStream, wish: &SyncSender<Wish>) -> std::io::Result<()> {
    let end = Instant::now() + PATIENCE;
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") && head.len() < LONGEST {
        stream.set_read_timeout(left(end)?)?;
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            n => head.extend_from_slice(&piece[..n]),
        }
    }

    let (status, text) = match Request::parse(&head) {
        Request::Metrics => {
            let (page, pages) = sync_channel(1);
            // The process ends if nobody takes the wish, or grants it.
            if wish.send(page).is_err() {
                return Ok(());
            }
            match pages.recv() {
                Ok(page) => ("200 OK", page),
                Err(_) => return Ok(()),
            }
        }
        Request::Elsewhere => ("404 Not Found", "see /metrics\n".to_string()),
        Request::Method => ("405 Method Not Allowed", "only GET\n".to_string()),
        Request::Bad => ("400 Bad Request", "this is not HTTP\n".to_string()),
    };
    let body = if head.starts_with(b"HEAD ") {
        ""
    } else {
        &text
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Allow: GET, HEAD\r\nConnection: close\r\n\r\n{body}",
        text.len()
    );
    let end = Instant::now() + PATIENCE;
    for part in answer.as_bytes().chunks(16384) {
        stream.set_write_timeout(left(end)?)?;
        stream.write_all(part)?;
    }
    Ok(())
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Metrics,
    Elsewhere,
    Method,
    Bad,
}

impl Request {
    /// Reads the request line.
    fn parse(head: &[u8]) -> Self {
        let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let words: Vec<_> = line.split(|&byte| byte == b' ').collect();
        let [method, target, version] = words[..] else {
            return Self::Bad;
        };
        let path = target.split(|&byte| byte == b'?').next();
        match (method, path) {
            _ if !version.starts_with(b"HTTP/1.") => Self::Bad,
            (b"GET" | b"HEAD", Some(b"/metrics")) => Self::Metrics,
            (b"GET" | b"HEAD", _) => Self::Elsewhere,
            _ => Self::Method,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_line_says_what_is_wanted() {
        for (head, what) in [
            (
                &b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"[..],
                Request::Metrics,
            ),
            (b"HEAD /metrics?name=x HTTP/1.0\r\n\r\n", Request::Metrics),
            (b"GET / HTTP/1.1\r\n\r\n", Request::Elsewhere),
            (b"GET /metrics/ HTTP/1.1\r\n\r\n", Request::Elsewhere),
            (b"POST /metrics HTTP/1.1\r\n\r\n", Request::Method),
            (b"GET /metrics\r\n\r\n", Request::Bad),
            (b"GET /metrics HTTP/2\r\n\r\n", Request::Bad),
            (b"", Request::Bad),
            (&[b'x'; LONGEST], Request::Bad),
        ] {
            assert_eq!(Request::parse(head), what, "{head:?}");
        }
    }
}
