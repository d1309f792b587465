// SPDX-License-Identifier: GPL-2.0

//! Links by file descriptors that somebody else has opened.

use crate::render::Parcel;
use crate::world::Way;
use rustix::event::{poll, PollFd, PollFlags};
use rustix::time::Timespec;
use std::fs::File;
use std::io::{ErrorKind, IoSlice, Read, Result, Write};
use std::os::fd::{FromRawFd, RawFd};
use std::time::Duration;

/// The file behind a descriptor that was inherited.
pub fn inherited(number: RawFd) -> File {
    // SAFETY: zoo.py opened it for this program and names each of them once, but for the two ends of a TUN device, where
    // closing does not matter: they are open until the program ends.
    unsafe { File::from_raw_fd(number) }
}

pub struct Link {
    pub way: Way,
    send: File,
    receive: File,
}

impl Link {
    /// `name=send,receive`
    pub fn parse(text: &str) -> Option<Self> {
        let (name, numbers) = text.split_once('=')?;
        let (send, receive) = numbers.split_once(',')?;
        Some(Self {
            way: Way::ALL.into_iter().find(|way| way.name() == name)?,
            send: inherited(send.parse().ok()?),
            receive: inherited(receive.parse().ok()?),
        })
    }

    /// Sends what can be sent of a parcel; the last error if that is not all.
    pub fn send(&mut self, parcel: &Parcel) -> Result<()> {
        let vnet = parcel.vnet.bytes();
        let mut outcome = Ok(());
        for piece in &parcel.pieces {
            let mut parts = vec![IoSlice::new(&vnet)];
            let frame;
            if self.way == Way::Frags {
                // The head and the fragments of an skb are what was in one piece here.
                frame = [&parcel.link[..], piece].concat();
                let mut rest = &frame[..];
                for &len in &parcel.memory {
                    let (part, more) = rest.split_at(
                        rest.len()
                            .min(usize::from(len) + 14 * usize::from(parts.len() == 1)),
                    );
                    parts.push(IoSlice::new(part));
                    rest = more;
                }
                parts.extend(rest.chunks(4096).map(IoSlice::new));
                parts.retain(|part| !part.is_empty());
            } else {
                parts.extend([IoSlice::new(&parcel.link), IoSlice::new(piece)]);
            }
            if let Err(error) = self.send.write_vectored(&parts) {
                outcome = Err(error);
            }
        }
        outcome
    }

    /// The next packet that has come, behind its Ethernet header; `None` when there is none in time.
    pub fn receive<'a>(
        &mut self,
        buffer: &'a mut [u8],
        limit: Duration,
    ) -> Result<Option<&'a [u8]>> {
        let len = loop {
            match self.receive.read(buffer) {
                Ok(len) => break len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let limit = Timespec::try_from(limit).expect("a short time");
            if poll(
                &mut [PollFd::new(&self.receive, PollFlags::IN)],
                Some(&limit),
            )? == 0
            {
                return Ok(None);
            }
        };
        // A packet socket gives the frame, a TAP device its vnet header before it.
        let vnet = if self.way == Way::Veth { 0 } else { 10 };
        let mut start = vnet + if self.way.is_ethernet() { 14 } else { 0 };
        if self.way.is_ethernet() && buffer.get(vnet + 12..vnet + 14) == Some(&[0x81, 0]) {
            start += 4;
        }
        Ok(Some(&buffer[start.min(len)..len]))
    }
}
