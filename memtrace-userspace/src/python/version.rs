//! Which CPython: versions, and the places that a version is read from.
//!
//! Pure parsing; who reads which place first is `discover`'s business.

use std::fmt;

/// The oldest minor version of CPython 3 that is supported.
pub const OLDEST_MINOR: u8 = 8;
/// The newest.
pub const NEWEST_MINOR: u8 = 15;

/// A CPython version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// 3, or 2.
    pub major: u8,
    /// 12 of 3.12.1.
    pub minor: u8,
    /// 1 of 3.12.1, when it could be found.
    pub micro: Option<u8>,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.micro.map_or(Ok(()), |micro| write!(f, ".{micro}"))
    }
}

/// A version with the text that people know it by: `3.12.1`, `3.14.0rc2`, `3.9` when no more is
/// known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedVersion {
    /// The numbers.
    pub version: Version,
    /// With the release level.
    pub text: String,
}

impl NamedVersion {
    /// From `Py_Version` or `_Py_DebugOffsets.version`: `0x030c01f0` is 3.12.1 final
    /// (`Include/patchlevel.h`: major, minor, micro, then level in four bits and serial in four).
    #[must_use]
    pub fn from_hexadecimal(number: u32) -> Option<Self> {
        let [major, minor, micro, release] = number.to_be_bytes();
        if !matches!(major, 2 | 3) {
            return None;
        }
        let version = Version { major, minor, micro: Some(micro) };
        let serial = release & 15;
        let text = match release >> 4 {
            0xa => format!("{version}a{serial}"),
            0xb => format!("{version}b{serial}"),
            0xc => format!("{version}rc{serial}"),
            0xf => version.to_string(),
            _ => return None,
        };
        Some(Self { version, text })
    }

    /// From the buffer of `Py_GetVersion()` somewhere in `memory`: `3.8.18 (default, May  9 2026,
    /// 10:00:00) \n[GCC 12.2.0]` (`Python/getversion.c`, `"%.80s (%.80s) %.80s"`), without the line
    /// feed from 3.10 on.
    #[must_use]
    pub fn from_get_version(memory: &[u8]) -> Option<Self> {
        let mut from = 0;
        while let Some(found) = find(&memory[from..], b" (") {
            let at = from + found;
            from = at + 2;
            let start = memory[..at].iter().rposition(|&byte| byte == 0).map_or(0, |zero| zero + 1);
            let rest = &memory[at..memory.len().min(at + 200)];
            let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
            let compiler = |mark| find(&rest[..end], mark).is_some();
            if at - start > 16 || !(compiler(b") [") || compiler(b") \n[")) {
                continue;
            }
            if let Some(version) = Self::from_text(&memory[start..at]) {
                return Some(version);
            }
        }
        None
    }

    /// `3.8.18` or `3.9.0rc1+`.
    fn from_text(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        // It comes from a target's memory, and is printed.
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+')) {
            return None;
        }
        let (major, rest) = text.split_once('.')?;
        let (minor, rest) = rest.split_once('.')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let version = Version {
            major: major.parse().ok().filter(|major| matches!(major, 2 | 3))?,
            minor: minor.parse().ok()?,
            micro: Some(rest[..digits].parse().ok()?),
        };
        Some(Self { version, text: text.to_owned() })
    }

    /// From a file name: `libpython3.8.so.1.0`, `libpython3.6m.so.1.0`, `python3.11`.
    #[must_use]
    pub fn from_file_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix("lib").unwrap_or(name);
        Self::from_minor(name.strip_prefix("python")?)
    }

    /// From the path of the standard library that is compiled into older images, `lib/python3.9`
    /// in bytes or in `wchar_t` (`Modules/getpath.c`).
    #[must_use]
    pub fn from_library_path(image: &[u8]) -> Option<Self> {
        const NARROW: &[u8] = b"lib/python3.";
        let wide: Vec<u8> = NARROW.iter().flat_map(|&c| u32::from(c).to_ne_bytes()).collect();
        let narrow = find(image, NARROW).map(|at| (at + NARROW.len(), 1));
        let (at, step) = narrow.or_else(|| find(image, &wide).map(|at| (at + wide.len(), 4)))?;
        let digits: Vec<u8> = image[at..]
            .iter()
            .step_by(step)
            .take(2)
            .copied()
            .take_while(u8::is_ascii_digit)
            .collect();
        Self::from_minor(&format!("3.{}", std::str::from_utf8(&digits).ok()?))
    }

    fn from_minor(text: &str) -> Option<Self> {
        let (major, rest) = text.split_once('.')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let version = Version {
            major: major.parse().ok()?,
            minor: rest[..digits].parse().ok()?,
            micro: None,
        };
        matches!(version.major, 2 | 3).then(|| Self { version, text: version.to_string() })
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(version: Option<NamedVersion>) -> Option<String> {
        version.map(|version| version.text)
    }

    #[test]
    fn a_hexadecimal_version_names_its_release() {
        let check = |number, expected: Option<&str>| {
            assert_eq!(text(NamedVersion::from_hexadecimal(number)).as_deref(), expected);
        };
        check(0x030b_07f0, Some("3.11.7"));
        check(0x030e_00c2, Some("3.14.0rc2"));
        check(0x0310_00a1, Some("3.16.0a1"));
        check(0x030b_0710, None);
        check(0, None);
    }

    #[test]
    fn the_buffer_of_get_version_is_found_among_other_things() {
        let memory =
            b"x (y) \n[z\0junk (\0\x003.8.18 (default, May  9 2026, 10:00:00) \n[GCC 12.2.0]\0";
        assert_eq!(text(NamedVersion::from_get_version(memory)).as_deref(), Some("3.8.18"));
        let newer = b"3.10.13 (main, May  9 2026, 10:00:00) [GCC 12.2.0]\0";
        assert_eq!(text(NamedVersion::from_get_version(newer)).as_deref(), Some("3.10.13"));
        assert_eq!(NamedVersion::from_get_version(b"3.8.18 (default) and no more"), None);
        assert_eq!(NamedVersion::from_get_version(b" ("), None);
        let painted = b"3.9.1\x1b[31m (main, May  9 2026, 10:00:00) [GCC 12.2.0]\0";
        assert_eq!(NamedVersion::from_get_version(painted), None);
    }

    #[test]
    fn file_names_give_major_and_minor() {
        let check = |name, expected: Option<&str>| {
            assert_eq!(text(NamedVersion::from_file_name(name)).as_deref(), expected, "{name}");
        };
        check("libpython3.8.so.1.0", Some("3.8"));
        check("libpython3.6m.so.1.0", Some("3.6"));
        check("libpython3.13t.so.1.0", Some("3.13"));
        check("python2.7", Some("2.7"));
        check("python3", None);
        check("libpython3.so", None);
        check("myserver", None);
    }

    #[test]
    fn the_library_path_is_read_narrow_and_wide() {
        let wide: Vec<u8> =
            "xlib/python3.10\0".chars().flat_map(|c| u32::from(c).to_ne_bytes()).collect();
        assert_eq!(text(NamedVersion::from_library_path(&wide)).as_deref(), Some("3.10"));
        let narrow = b"/usr/lib/python3.8/site-packages\0";
        assert_eq!(text(NamedVersion::from_library_path(narrow)).as_deref(), Some("3.8"));
        assert_eq!(NamedVersion::from_library_path(b"lib/python3."), None);
    }
}
