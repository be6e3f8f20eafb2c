//! pure: command lines as they may be kept and shown: what could be a secret in them is left out.
//!
//! The history is read by who monitors, the journal by a group, a report by another host. What a
//! word means only its program knows, so what stays is what is plain: options, names, paths,
//! numbers. A hook's own words, what follows a secret's option, and what looks like a key do not.

/// A command line for people.
pub fn command(words: &[impl AsRef<str>]) -> String {
    let mut shown: Vec<String> = Vec::new();
    let mut hidden = false;
    for word in words {
        let word = word.as_ref();
        let (option, value) = word.split_once('=').map_or((word, None), |(o, v)| (o, Some(v)));
        let is_option = option.starts_with('-') && is_plain(option);
        let is_secret =
            is_option && SECRETS.iter().any(|part| option.to_ascii_lowercase().contains(part));
        match value {
            _ if hidden => shown.push("…".into()),
            Some(_) if is_secret => shown.extend([option.to_owned(), "…".into()]),
            Some(value) if is_option => shown.push(format!("{option}={}", plain(value))),
            _ => shown.push(plain(word)),
        }
        hidden = is_secret && value.is_none();
    }
    shown.join(" ")
}

/// Whether something of it is left out.
pub fn holds_a_secret(words: &[impl AsRef<str>]) -> bool {
    command(words).contains('…')
}

/// A word, or what of it is plain.
fn plain(word: &str) -> String {
    let url = word.split_once("://").filter(|_| !word.contains(char::is_whitespace));
    if let Some((scheme, rest)) = url {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let host = rest[..end].rsplit('@').next().unwrap_or_default();
        let is_whole = host.len() == rest.trim_end_matches('/').len();
        return match (is_plain(scheme) && is_plain(host), is_whole) {
            (true, true) => word.to_owned(),
            (true, false) => format!("{scheme}://{host}/…"),
            (false, _) => "…".to_owned(),
        };
    }
    if is_plain(word) {
        return word.to_owned();
    }
    // A program and the words that it gets.
    match word.split_whitespace().next() {
        Some(program)
            if program.len() < word.trim().len()
                && is_plain(program)
                && !program.contains([':', '@', ',']) =>
        {
            format!("{program} …")
        }
        _ => "…".to_owned(),
    }
}

fn is_plain(word: &str) -> bool {
    let is_known = |c: char| c.is_alphanumeric() || "-._/,:@*+%~[]".contains(c);
    let is_key = |part: &str| {
        let count = |is: fn(&u8) -> bool| part.bytes().filter(is).count();
        part.len() >= LIKE_A_KEY
            && count(u8::is_ascii_digit) > 0
            && count(u8::is_ascii_alphabetic) > 0
    };
    word.chars().all(is_known) && !word.split(|c: char| !c.is_ascii_alphanumeric()).any(is_key)
}

/// Letters and digits, mixed and in one, as no name has them.
const LIKE_A_KEY: usize = 16;

/// Parts of options whose value is one.
const SECRETS: [&str; 8] =
    ["hmac", "secret", "password", "passwd", "token", "credential", "apikey", "api-key"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_command_line_are_left_out() {
        for (words, shown) in [
            (
                vec!["certbot", "--eab-hmac-key", "s3cret", "--eab-hmac-key=s3cret", "-q"],
                "certbot --eab-hmac-key … --eab-hmac-key … -q",
            ),
            (
                vec![
                    "certbot",
                    "--pre-hook",
                    "curl -H \"Authorization: Bearer x\" https://n/",
                    "-v",
                ],
                "certbot --pre-hook curl … -v",
            ),
            (vec!["certbot", "--pre-hook=TOKEN=x curl"], "certbot --pre-hook=…"),
            (vec!["curl", "-H", "Authorization: Bearer abc"], "curl -H …"),
            (vec!["curl", "https://me:pw@n.example/hook/s3cret?x"], "curl https://n.example/…"),
            (
                vec!["x", "AKIA0123456789ABCDEF", "--dns-x-credentials=/etc/x"],
                "x … --dns-x-credentials …",
            ),
            (vec!["x", "A=b c", "'"], "x … …"),
        ] {
            assert_eq!(command(&words), shown);
            assert!(holds_a_secret(&words));
        }
    }

    #[test]
    fn what_is_plain_stays() {
        for line in [
            "certbot renew -q --no-random-sleep-on-renew --cert-name cloud.example.org",
            "/usr/bin/python3 /usr/bin/certbot certonly --webroot -w /var/www/html -d *.example.org",
            "certbot --server https://acme.example.org --config-dir=/etc/letsencrypt",
            "/usr/bin/systemctl reload nginx@1.service",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(command(&words), line);
            assert!(!holds_a_secret(&words));
        }
        assert_eq!(plain("systemctl reload postfix"), "systemctl …");
        assert_eq!(plain("/usr/local/bin/deploy"), "/usr/local/bin/deploy");
    }
}
