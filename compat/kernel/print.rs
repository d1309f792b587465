// SPDX-License-Identifier: GPL-2.0

//! Lines for the kernel's log.
//!
//! Without `core::fmt`, of which nothing is linked: a format has `{}` for each argument and no
//! other braces, which is looked at when it is compiled, and an argument is a number or text.

use crate::ffi::c_int;

extern "C" {
    /// Prints a line of `len` bytes.
    fn xt_tarpit_print(level: c_int, text: *const u8, len: usize);
}

/// What a `{}` stands for.
pub enum Argument<'a> {
    /// A number from 0.
    Unsigned(u64),
    /// Any number.
    Signed(i64),
    /// Text.
    Text(&'a str),
}

macro_rules! argument {
    ($($type:ty => $variant:ident,)*) => {
        $(
            impl<'a> From<$type> for Argument<'a> {
                #[inline(always)]
                fn from(value: $type) -> Self {
                    Self::$variant(value.into())
                }
            }
        )*
    };
}

argument! {
    u8 => Unsigned,
    u16 => Unsigned,
    u32 => Unsigned,
    u64 => Unsigned,
    i32 => Signed,
    i64 => Signed,
    &'a str => Text,
}

/// The number of `{}` in a format; `None` if there are other braces.
pub const fn holes(format: &str) -> Option<usize> {
    let bytes = format.as_bytes();
    let (mut at, mut found) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'{' if at + 1 < bytes.len() && bytes[at + 1] == b'}' => {
                found += 1;
                at += 1;
            }
            b'{' | b'}' => return None,
            _ => {}
        }
        at += 1;
    }
    Some(found)
}

/// A line that is being written. What does not fit is cut off.
struct Line {
    text: [u8; 256],
    len: usize,
}

impl Line {
    #[inline]
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.len) {
            *place = byte;
            self.len = self.len.wrapping_add(1);
        }
    }

    #[inline]
    fn push_number(&mut self, mut number: u64) {
        // The digits from the last one on; there are at most 20.
        let mut digits = [b'0'; 20];
        let mut first = digits.len();
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            // CAST: less than 10.
            *digit = b'0'.wrapping_add((number % 10) as u8);
            number /= 10;
            first = at;
            if number == 0 {
                break;
            }
        }
        for digit in digits.iter().skip(first) {
            self.push(*digit);
        }
    }

    #[inline]
    fn push_argument(&mut self, argument: &Argument<'_>) {
        match *argument {
            Argument::Unsigned(number) => self.push_number(number),
            Argument::Signed(number) => {
                if number < 0 {
                    self.push(b'-');
                }
                self.push_number(number.unsigned_abs());
            }
            Argument::Text(text) => text.bytes().for_each(|byte| self.push(byte)),
        }
    }
}

/// Prints a line. There are as many arguments as `{}`.
#[cold]
#[inline]
pub fn print(level: c_int, format: &str, arguments: &[Argument<'_>]) {
    let mut line = Line {
        text: [0; 256],
        len: 0,
    };
    let mut arguments = arguments.iter();
    for byte in format.bytes() {
        match byte {
            b'{' => arguments
                .by_ref()
                .take(1)
                .for_each(|it| line.push_argument(it)),
            b'}' => {}
            _ => line.push(byte),
        }
    }
    // SAFETY: `text` is valid for reads of `len` bytes, since `push` counts no more than fit.
    unsafe { xt_tarpit_print(level, line.text.as_ptr(), line.len) };
}

/// Prints a line of this level, a number of `include/linux/kern_levels.h`.
#[doc(hidden)]
#[macro_export]
macro_rules! __print {
    ($level:literal, $format:literal $(, $argument:expr)* $(,)?) => {{
        const _: () = ::core::assert!(
            ::core::matches!(
                $crate::print::holes($format),
                Some(holes) if holes == <[&str]>::len(&[$(::core::stringify!($argument)),*])
            ),
            "a format has {{}} for each argument and no other braces"
        );
        $crate::print::print($level, $format, &[$($crate::print::Argument::from($argument)),*]);
    }};
}

/// Prints an error.
#[macro_export]
macro_rules! pr_err {
    ($($arguments:tt)*) => { $crate::__print!(3, $($arguments)*) };
}

/// Prints a warning.
#[macro_export]
macro_rules! pr_warn {
    ($($arguments:tt)*) => { $crate::__print!(4, $($arguments)*) };
}

/// Prints information.
#[macro_export]
macro_rules! pr_info {
    ($($arguments:tt)*) => { $crate::__print!(6, $($arguments)*) };
}
