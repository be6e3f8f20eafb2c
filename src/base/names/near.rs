//! pure: the name that somebody meant who typed another.

use super::Hostname;

/// The one of `among` that `name` is most likely a slip of; none if it is like none of them.
///
/// All labels but one are the same, and that differs by a key or two, a third of it at most:
/// `a.example.org` and `b.example.org` are two names and no slip.
pub fn nearest<'a>(
    name: &Hostname,
    among: impl IntoIterator<Item = &'a Hostname>,
) -> Option<&'a Hostname> {
    let near = among.into_iter().filter_map(|other| Some((slip(name, other)?, other)));
    near.min_by_key(|(keys, _)| *keys).map(|(_, other)| other)
}

/// How many keys apart the only label is that differs.
fn slip(a: &Hostname, b: &Hostname) -> Option<usize> {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.0.split('.').collect(), b.0.split('.').collect());
    if a.len() != b.len() {
        return None;
    }
    let mut differing = a.iter().zip(&b).filter(|(a, b)| a != b);
    let (a, b) = differing.next()?;
    let keys = distance(a.as_bytes(), b.as_bytes());
    let is_slip = keys <= 2 && keys * 3 <= a.len().max(b.len());
    (is_slip && differing.next().is_none()).then_some(keys)
}

/// Keys to add, leave out, exchange or swap with the next (optimal string alignment).
pub fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let exchanged = rows[i][j] + usize::from(x != y);
            let mut least = exchanged.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *y && *x == b[j - 1] {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_name_is_not() {
        let name = |text: &str| Hostname::parse(text).unwrap();
        let near = |typed: &str, there: &[&str]| {
            let there: Vec<Hostname> = there.iter().map(|text| name(text)).collect();
            nearest(&name(typed), &there).map(ToString::to_string)
        };
        let wiki = Some("wiki.example.org".to_owned());
        assert_eq!(near("wikki.example.org", &["git.example.org", "wiki.example.org"]), wiki);
        assert_eq!(near("wiki.exmaple.org", &["wiki.example.org"]), wiki);
        assert_eq!(near("wiki.example.og", &["wiki.example.org"]), wiki);
        assert_eq!(near("a.example.org", &["b.example.org", "example.org"]), None);
        assert_eq!(near("mail.example.org", &["wiki.example.org"]), None);
        assert_eq!(near("wikki.exmaple.org", &["wiki.example.org"]), None);
    }
}
