// SPDX-License-Identifier: GPL-2.0

//! The Internet checksum (RFC 1071), added up while a header is written.

use core::mem::take;

/// Writes 32-bit words one after the other and adds them up.
///
/// The sum is of words in native byte order: RFC 1071, 2(B) says why that gives the same checksum.
pub(super) struct Writer<'a> {
    rest: &'a mut [u8],
    sum: u64,
}

impl<'a> Writer<'a> {
    /// Returns a writer into `buffer` that adds to `sum`.
    #[inline]
    pub(super) fn new(buffer: &'a mut [u8], Sum(sum): Sum) -> Self {
        Self { rest: buffer, sum }
    }

    /// Writes `words`, which are in host byte order. Returns `None` if they do not fit.
    #[inline]
    pub(super) fn put_all<const N: usize>(&mut self, words: [u32; N]) -> Option<()> {
        let (next, rest) = take(&mut self.rest).split_at_mut_checked(4 * N)?;
        for (place, word) in next.chunks_exact_mut(4).zip(words) {
            let word = word.to_be();
            place.copy_from_slice(&word.to_ne_bytes());
            self.sum = self.sum.wrapping_add(u64::from(word));
        }
        self.rest = rest;
        Some(())
    }

    /// Writes eight bytes, which `long` holds in network byte order. Returns `None` if they do not
    /// fit.
    #[inline(always)]
    pub(super) fn put_long(&mut self, long: u64) -> Option<()> {
        let (next, rest) = take(&mut self.rest).split_first_chunk_mut::<8>()?;
        *next = long.to_ne_bytes();
        self.rest = rest;
        // CAST: the two halves, exactly.
        let halves = (long >> 32).wrapping_add(u64::from(long as u32));
        self.sum = self.sum.wrapping_add(halves);
        Some(())
    }

    /// Writes the odd byte at the end, if there is one, and returns the sum. Returns `None` unless
    /// the buffer is full then.
    #[inline]
    pub(super) fn finish(self, odd: Option<u8>) -> Option<Sum> {
        match (self.rest, odd) {
            ([last], Some(byte)) => {
                *last = byte;
                Some(Sum(self.sum).add(u32::from_ne_bytes([byte, 0, 0, 0])))
            }
            ([], None) => Some(Sum(self.sum)),
            _ => None,
        }
    }
}

/// A sum of words in native byte order, before its carries are folded.
#[derive(Clone, Copy, Debug)]
pub struct Sum(u64);

impl Sum {
    /// The sum of no words.
    pub(super) const ZERO: Self = Self(0);

    /// Returns the sum with `word` added, which is in network byte order.
    pub(super) const fn add(self, word: u32) -> Self {
        Self(self.0.wrapping_add(word as u64))
    }

    /// Returns the two bytes of the checksum field.
    pub(super) const fn fold(self) -> [u8; 2] {
        // The carries: 64 bits fold to 32, 17 and 16.
        let total = (self.0 & 0xffff_ffff).wrapping_add(self.0 >> 32);
        let total = (total & 0xffff)
            .wrapping_add((total >> 16) & 0xffff)
            .wrapping_add(total >> 32);
        let total = (total & 0xffff).wrapping_add(total >> 16);
        // CAST: what is left has 16 bits.
        (!(total as u16)).to_ne_bytes()
    }
}
