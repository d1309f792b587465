// SPDX-License-Identifier: GPL-2.0

//! Looks up the country of an address in a database of MaxMind's format.

use std::net::IpAddr;
use std::path::Path;

use maxminddb::{PathElement, Reader};

use crate::Result;

/// A database. The default has no entries.
#[derive(Debug, Default)]
pub struct Countries(Option<Reader<Vec<u8>>>);

impl Countries {
    /// Reads a database into memory.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not such a database.
    pub fn open(path: &Path) -> Result<Self> {
        Reader::open_readfile(path)
            .map(|reader| Self(Some(reader)))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Returns the ISO code of the country of `address`.
    ///
    /// Terminals and Prometheus get the code unescaped, so anything but two capital letters counts
    /// as unknown.
    pub fn country_of(&self, address: IpAddr) -> Option<String> {
        let found = self.0.as_ref()?.lookup(address).ok()?;
        let path = ["country", "iso_code"].map(PathElement::Key);
        let code: String = found.decode_path(&path).ok().flatten()?;
        (code.len() == 2 && code.bytes().all(|letter| letter.is_ascii_uppercase())).then_some(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes a string of up to 28 bytes.
    fn text(text: &str) -> Vec<u8> {
        [&[0x40 | text.len() as u8], text.as_bytes()].concat()
    }

    /// Encodes a map of up to 28 entries.
    fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = vec![0xe0 | entries.len() as u8];
        for (name, value) in entries {
            bytes.extend(text(name));
            bytes.extend(value);
        }
        bytes
    }

    /// Returns a database with a tree of one node: the lower half of IPv4 has the country `code`,
    /// the upper half has none.
    fn utopia(code: &str) -> Vec<u8> {
        let mut bytes = vec![0, 0, 17, 0, 0, 1]; // the first byte of data, and "not found"
        bytes.extend([0; 16]);
        bytes.extend(map(&[("country", map(&[("iso_code", text(code))]))]));
        bytes.extend(b"\xab\xcd\xefMaxMind.com");
        bytes.extend(map(&[
            ("binary_format_major_version", vec![0xa1, 2]),
            ("binary_format_minor_version", vec![0xa0]),
            ("build_epoch", vec![0x00, 0x02]),
            ("database_type", text("Utopia")),
            ("description", map(&[])),
            ("ip_version", vec![0xa1, 4]),
            ("languages", vec![0x00, 0x04]),
            ("node_count", vec![0xc1, 1]),
            ("record_size", vec![0xa1, 24]),
        ]));
        bytes
    }

    #[test]
    fn finds_country_of_network() {
        let countries = Countries(Some(Reader::from_source(utopia("UT")).unwrap()));
        assert_eq!(
            countries.country_of("1.2.3.4".parse().unwrap()).as_deref(),
            Some("UT")
        );
        assert_eq!(countries.country_of("192.0.2.1".parse().unwrap()), None);
        assert_eq!(countries.country_of("2001:db8::1".parse().unwrap()), None);
        for code in ["U\"", "\x1b[", "utopia", ""] {
            let countries = Countries(Some(Reader::from_source(utopia(code)).unwrap()));
            assert_eq!(countries.country_of("1.2.3.4".parse().unwrap()), None);
        }
        assert_eq!(
            Countries::default().country_of("1.2.3.4".parse().unwrap()),
            None
        );
    }

    #[test]
    fn error_names_the_file() {
        for path in ["/nowhere", "Cargo.toml"] {
            let error = Countries::open(Path::new(path)).unwrap_err();
            assert!(error.starts_with(path), "{error}");
        }
    }
}
