// SPDX-License-Identifier: GPL-2.0

//! The numbers of the module's C headers, read at compile time, in place of bindgen, which a user's
//! machine need not have.
//!
//! A number that C and Rust share is written in a header only. Rust asks for it by its name, so
//! both halves of the module have the same one, in each build. A name that the header lacks stops
//! the build. Nothing of this file is in the compiled module.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "all of it runs at compile time"
)]

/// The rule data that user space hands to the kernel.
const RULE: &[u8] = include_bytes!("../xt_TARPIT.h");

/// The contract between the C and the Rust half of the module.
const HELPERS: &[u8] = include_bytes!("../xt_TARPIT_helpers.h");

/// Returns the value of an enumerator or a macro of `xt_TARPIT.h`, as a member of a rule has it.
pub const fn rule_value(name: &str) -> u8 {
    match value(RULE, name) {
        value @ 0..=0xff => value as u8, // CAST: checked
        _ => panic!("a value of xt_TARPIT.h does not fit into a member of a rule"),
    }
}

/// Returns the value of a macro of `xt_TARPIT_helpers.h`.
pub const fn helpers_value(name: &str) -> usize {
    value(HELPERS, name)
}

/// Returns the number of a counter: its place in `XT_TARPIT_COLUMNS` of `xt_TARPIT_helpers.h`.
pub const fn column(name: &str) -> u8 {
    // The lists are the only place of the header where these words are before a parenthesis.
    let mut number = 0;
    let (mut start, mut end) = word(HELPERS, 0);
    while start < end {
        let in_list = is(HELPERS, start, end, "class")
            || is(HELPERS, start, end, "last")
            || is(HELPERS, start, end, "column");
        if in_list && HELPERS[end] == b'(' {
            (start, end) = word(HELPERS, end);
            if is(HELPERS, start, end, name) {
                return number;
            }
            number += 1;
        }
        (start, end) = word(HELPERS, end);
    }
    panic!("XT_TARPIT_COLUMNS of xt_TARPIT_helpers.h does not have this counter");
}

/// Returns the number behind the only `name` that has one.
const fn value(header: &[u8], name: &str) -> usize {
    let mut value = None;
    let (mut start, mut end) = word(header, 0);
    while start < end {
        if is(header, start, end, name) {
            match (value, number(header, end)) {
                (_, None) => {}
                (None, found) => value = found,
                _ => panic!("the header has two values of this name"),
            }
        }
        (start, end) = word(header, end);
    }
    match value {
        Some(value) => value,
        None => panic!("the header has no value of this name"),
    }
}

/// Returns where the next word begins and ends, from `at` on. There is none if both are the same.
const fn word(text: &[u8], at: usize) -> (usize, usize) {
    let mut start = at;
    while start < text.len() && !is_of_word(text[start]) {
        start += 1;
    }
    let mut end = start;
    while end < text.len() && is_of_word(text[end]) {
        end += 1;
    }
    (start, end)
}

const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Returns true if `text` has this word from `start` to `end`.
const fn is(text: &[u8], start: usize, end: usize, word: &str) -> bool {
    let word = word.as_bytes();
    let mut i = 0;
    while i < word.len() && start + i < end && text[start + i] == word[i] {
        i += 1;
    }
    i == word.len() && start + i == end
}

/// Returns the literal that is the next word, with blanks and an equals sign before it at most.
const fn number(text: &[u8], at: usize) -> Option<usize> {
    let (start, end) = word(text, at);
    let mut i = at;
    while i < start {
        match text[i] {
            b' ' | b'\t' | b'=' => i += 1,
            _ => return None,
        }
    }
    if start == end || !text[start].is_ascii_digit() {
        return None;
    }
    // Of 0x01, the first digit is that of the prefix.
    let is_hex = end - start > 2 && text[start + 1] == b'x';
    let (radix, mut i) = if is_hex { (16, start + 2) } else { (10, start) };
    let mut value = 0;
    while i < end {
        let digit = match text[i] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' if is_hex => digit - b'a' + 10,
            _ => panic!("a value of a header is no plain number"),
        };
        value = value * radix + digit as usize; // CAST: widening
        i += 1;
    }
    let mut i = end;
    while text[i] == b' ' || text[i] == b'\t' {
        i += 1;
    }
    // An enumerator ends with a comma, a macro with its line, or both with a comment.
    match text[i] {
        b',' | b'\n' => Some(value),
        b'/' if text[i + 1] == b'*' => Some(value),
        _ => panic!("a value of a header is no plain number"),
    }
}
