//! pure: whether a configuration differs from another one by ProxyPass lines alone.

use crate::apache::dump::{Dump, Node, Origin};

/// The first directive of either that the other has not, ProxyPass lines apart.
pub fn stranger(before: &Dump, after: &Dump) -> Option<Origin> {
    let vhosts = before.bindings.iter().zip(&after.bindings).find(|(one, other)| one != other);
    if let Some((binding, _)) = vhosts {
        return Some(binding.vhost.clone());
    }
    among(&before.config, &after.config)
}

fn among(before: &[Node], after: &[Node]) -> Option<Origin> {
    let others = |node: &&Node| !node.name.starts_with("proxypass");
    let (mut before, mut after) = (before.iter().filter(others), after.iter().filter(others));
    loop {
        match (before.next(), after.next()) {
            (None, None) => return None,
            (Some(node), None) | (None, Some(node)) => return Some(node.origin.clone()),
            (Some(one), Some(other)) => {
                let same = one.name == other.name
                    && one.arguments == other.arguments
                    && one.origin == other.origin;
                if !same {
                    return Some(other.origin.clone());
                }
                if let Some(origin) = among(&one.children, &other.children) {
                    return Some(origin);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, line: u32, children: Vec<Node>) -> Node {
        let origin = Origin { file: "/f".into(), line };
        Node { name: name.into(), arguments: Vec::new(), origin, children }
    }

    fn dump(config: Vec<Node>) -> Dump {
        Dump { config, ..Dump::default() }
    }

    #[test]
    fn proxypass_lines_may_come_and_nothing_else() {
        let site = |inner: Vec<Node>| dump(vec![node("<virtualhost", 1, inner)]);
        let before = site(vec![node("servername", 2, vec![])]);
        let proxied = vec![node("servername", 2, vec![]), node("proxypassreverse", 3, vec![])];
        assert_eq!(stranger(&before, &site(proxied)), None);
        let more = vec![node("servername", 2, vec![]), node("alias", 3, vec![])];
        let line = |found: Option<Origin>| found.map(|origin| origin.line);
        assert_eq!(line(stranger(&before, &site(more))), Some(3));
        assert_eq!(line(stranger(&before, &site(vec![]))), Some(2));
        assert_eq!(line(stranger(&before, &site(vec![node("servername", 5, vec![])]))), Some(5));
    }
}
