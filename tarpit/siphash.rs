// SPDX-License-Identifier: GPL-2.0

//! SipHash-2-4, a keyed hash (Aumasson and Bernstein, 2012).

/// The secret of a network namespace: 128 random bits.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Key(pub [u64; 2]);

/// Returns the hash of `words`, little-endian, followed by the `len % 8` bytes of `tail`. `len` is
/// the length of all of it in bytes.
#[inline(always)]
pub(super) fn siphash<const N: usize>(key: &Key, words: &[u64; N], tail: u64, len: u8) -> u64 {
    let Key([k0, k1]) = *key;
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    for &word in words {
        absorb(&mut v, word);
    }
    absorb(&mut v, (u64::from(len) << 56) | tail);
    v[2] ^= 0xff;
    sip_rounds(&mut v, 4);
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline(always)]
fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    sip_rounds(v, 2);
    v[0] ^= word;
}

#[inline(always)]
fn sip_rounds(v: &mut [u64; 4], rounds: u32) {
    let [mut a, mut b, mut c, mut d] = *v;
    for _ in 0..rounds {
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
    }
    *v = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siphash_gives_the_value_of_its_paper() {
        // Appendix A of the SipHash paper: the 15 bytes 00 .. 0e under the key 00 .. 0f.
        let key = Key([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]);
        let hash = siphash(&key, &[0x0706_0504_0302_0100], 0x000e_0d0c_0b0a_0908, 15);
        assert_eq!(hash, 0xa129_ca61_49be_45e5);
    }
}
