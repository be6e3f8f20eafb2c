//! pure: an error as a person reads it: one line, with its causes, whoever had a say in it.

use std::error::Error;

use crate::base::harmless;

/// An error and its causes on one line, each once.
pub fn chain(error: &dyn Error) -> String {
    let mut text = reasoned(&error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        let told = reasoned(&cause.to_string());
        // Some that wrap another say all of its words, and name it as their cause, too.
        if !text.ends_with(&told) {
            text = format!("{text}: {told}");
        }
        source = cause.source();
    }
    harmless::text(&text)
}

/// `text` with the reasons alone where OpenSSL's queue of errors stands in it: what a certificate
/// failed by (`X509_verify_cert_error_string(3)`), else the reason string of each.
///
/// `ERR_error_string(3)` writes `error:CODE:LIBRARY:FUNCTION:REASON`; the crates openssl and
/// native-tls add `:FILE:LINE:DATA`, and ` (VERIFY RESULT)` behind the last.
fn reasoned(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut before = None;
    while let Some(at) = rest.find(ERROR) {
        let (head, entry) = rest.split_at(at);
        let Some((reason, more)) = entry_of(entry) else {
            out += head;
            out += ERROR;
            rest = &entry[ERROR.len()..];
            before = None;
            continue;
        };
        // One by one, as they came about; the same is not said twice.
        if !(before == Some(reason) && head == NEXT) {
            out += head;
            out += reason;
        }
        before = Some(reason);
        rest = more;
        if reason == NOT_VERIFIED
            && let Some((result, more)) = bracketed(rest)
        {
            out.truncate(out.len() - reason.len());
            out += result;
            rest = more;
        }
    }
    out + rest
}

/// The reason of the entry that `text` begins with, and what is behind the entry.
fn entry_of(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix(ERROR)?;
    let (code, text) = text.split_once(':')?;
    if code.len() != 8 || !code.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let (_library, text) = text.split_once(':')?;
    let (_function, text) = text.split_once(':')?;
    let end = text.find([':', ',', ';', '\n']).unwrap_or(text.len());
    let (reason, rest) = text.split_at(end);
    Some((reason, behind_place(rest).unwrap_or(rest)))
}

/// What is behind `:FILE:LINE:DATA`.
fn behind_place(text: &str) -> Option<&str> {
    let (file, text) = text.strip_prefix(':')?.split_once(':')?;
    let (line, data) = text.split_once(':')?;
    let is_line = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    if file.contains(' ') || !is_line {
        return None;
    }
    let next = format!("{NEXT}{ERROR}");
    let ends = [next.as_str(), " (", ";", "\n"];
    let end = ends.iter().filter_map(|end| data.find(end)).min().unwrap_or(data.len());
    Some(&data[end..])
}

/// What ` (…)` at the beginning holds, and what is behind.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(" (")?.split_once(')')
}

/// How an entry begins.
const ERROR: &str = "error:";

/// Between two entries.
const NEXT: &str = ", ";

/// Less than what the verification itself says.
const NOT_VERIFIED: &str = "certificate verify failed";

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::pkey::PKey;
    use openssl::x509::X509;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<dyn Error>>);

    fn told(text: &'static str) -> String {
        chain(&Said(text, None))
    }

    #[test]
    fn each_cause_is_told_once() {
        let inner = Said("connection refused", None);
        let outer = Said("cannot post: connection refused", Some(Box::new(inner)));
        assert_eq!(chain(&outer), "cannot post: connection refused");
        let outer = Said("cannot post", Some(Box::new(Said("refused", None))));
        assert_eq!(chain(&outer), "cannot post: refused");
    }

    #[test]
    fn of_openssls_queue_the_reasons_are_told() {
        let verify = "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify failed:../ssl/statem/statem_clnt.c:2091: (self-signed certificate)";
        assert_eq!(told(verify), "self-signed certificate");
        let verify = "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify failed:../ssl/statem/statem_clnt.c:2091:";
        assert_eq!(told(verify), "certificate verify failed");
        let alert = "x: error:0A000410:SSL routines:ssl3_read_bytes:ssl/tls alert handshake failure:../ssl/record/rec_layer_s3.c:1599:SSL alert number 40; everything is as before";
        assert_eq!(told(alert), "x: ssl/tls alert handshake failure; everything is as before");
        let two = "error:80000002:system library:file_open:No such file or directory:../crypto/file.c:267:calling stat(/x, y), error:16000069:STORE routines:ossl_store:unregistered scheme:../crypto/store.c:237:scheme=file";
        assert_eq!(told(two), "No such file or directory, unregistered scheme");
        // Apache's way (ssl_log_ssl_error).
        let apaches = "SSL Library Error: error:0A00018F:SSL routines::ee key too small";
        assert_eq!(told(apaches), "SSL Library Error: ee key too small");
        for other in ["error: no such thing: a: b: c", "error:12345678", "an error:x:y:z:w:1:"] {
            assert_eq!(told(other), other);
        }
    }

    /// As the library really says it.
    #[test]
    fn no_queue_of_the_library_reaches_people() {
        let broken = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let errors = [
            X509::from_pem(b"").unwrap_err(),
            X509::from_pem(broken).unwrap_err(),
            X509::from_der(b"\x30\x03\x02\x01\x01").unwrap_err(),
            PKey::private_key_from_pem(broken).unwrap_err(),
        ];
        for error in errors {
            let told = chain(&error);
            let is_raw =
                ["error:", "routines", "crypto", ".c"].iter().any(|raw| told.contains(raw));
            assert!(!is_raw && !told.is_empty(), "{error} is told as {told}");
        }
    }
}
