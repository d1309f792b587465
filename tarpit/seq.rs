// SPDX-License-Identifier: GPL-2.0

//! Sequence numbers: 32 bits that wrap, compared by their distance (RFC 9293, 3.4).

/// A sequence or acknowledgment number in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seq(pub u32);

impl Seq {
    /// Returns the number `bytes` further on.
    #[inline]
    pub const fn after(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// Returns the number just before this one.
    #[inline]
    pub const fn before(self) -> Self {
        Self(self.0.wrapping_sub(1))
    }

    /// Returns how far this number lies after `earlier`, in bytes. It is negative if it lies
    /// before.
    #[inline]
    pub const fn since(self, earlier: Self) -> i32 {
        // CAST: the distance of two numbers is a signed 32-bit value by definition (RFC 9293, 3.4).
        self.0.wrapping_sub(earlier.0) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::Seq;

    #[test]
    fn distance_survives_the_wrap() {
        assert_eq!(Seq(5).since(Seq(u32::MAX)), 6);
        assert_eq!(Seq(u32::MAX).since(Seq(5)), -6);
        assert_eq!(Seq(u32::MAX).after(2), Seq(1));
        assert_eq!(Seq(0).before(), Seq(u32::MAX));
    }
}
