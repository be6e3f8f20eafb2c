//! pure: the name of a file of the configuration as text that stands on one line and can be turned back.
//!
//! Apache takes names of any bytes. What is not text, or would not stay on its
//! line, is written as `\\xNN`; so is a backslash, so that no two names fall together.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The name as text.
pub fn text(name: &[u8]) -> String {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
    // Almost every name, and each line of a dump has one.
    if let (true, Ok(plain)) = (name.iter().all(is_plain), str::from_utf8(name)) {
        return plain.to_owned();
    }
    let mut out = String::new();
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\\' {
                let mut bytes = [0; 4];
                escape(character.encode_utf8(&mut bytes).as_bytes(), &mut out);
            } else {
                out.push(character);
            }
        }
        escape(chunk.invalid(), &mut out);
    }
    out
}

/// The file that `text` names.
pub fn path(text: &str) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(b"\\x"),
        }
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    PathBuf::from(OsString::from_vec(bytes))
}

/// Whether the name is written otherwise than it is.
pub fn is_odd(text: &str) -> bool {
    text.contains("\\x")
}

fn escape(bytes: &[u8], out: &mut String) {
    out.extend(bytes.iter().map(|byte| format!("\\x{byte:02x}")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;

    #[test]
    fn plain_names_stay_as_they_are() {
        for plain in ["/etc/apache2/sites-enabled/a.conf", "/srv/caf\u{e9}/b c.conf"] {
            assert_eq!(text(plain.as_bytes()), plain);
            assert!(!is_odd(plain));
        }
        assert_eq!(text(b"/s/a\nb\xe9\\x41"), r"/s/a\x0ab\xe9\x5cx41");
    }

    proptest! {
        #[test]
        fn any_name_can_be_turned_back(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text = text(&name);
            let back = path(&text);
            prop_assert_eq!(back.as_os_str().as_bytes(), &name[..]);
            prop_assert!(!text.contains(char::is_control));
        }
    }
}
