//! pure: which rewrite rules run for a vhost on the server level, and in which order.
//!
//! Follows `config_server_merge` and `hook_uri2file` (`mod_rewrite.c`): a vhost
//! has its own rules alone unless `RewriteOptions` of either side says otherwise.

use crate::apache::dump::Node;
use crate::apache::vhosts::Vhost;

/// The rules of one vhost, with their conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rulebook<'a> {
    /// The engine is on.
    pub engine: bool,
    /// It would be, had the vhost any rewrite directive: without one `mod_rewrite`
    /// leaves it alone (`conf->server != r->server` in `hook_uri2file`).
    pub wakes: bool,
    /// Rules of the main server that run first.
    pub before: Vec<&'a Node>,
    /// The vhost's own.
    pub own: Vec<&'a Node>,
    /// Rules of the main server that run last.
    pub after: Vec<&'a Node>,
}

impl<'a> Rulebook<'a> {
    /// The rules of `vhost`.
    pub fn of(vhost: &Vhost<'a>) -> Self {
        let engine = vhost.last("rewriteengine").is_some_and(Node::is_on);
        let is_rule = |n: &&Node| matches!(n.name.as_str(), "rewriterule" | "rewritecond");
        let main: Vec<&Node> = vhost.main.iter().copied().filter(is_rule).collect();
        if vhost.node.is_none() {
            return Self { engine, own: main, ..Self::default() };
        }
        let wakes = engine && !vhost.own().any(is_rewrite);
        let engine = engine && !wakes;
        let own = vhost.own().filter(is_rule).collect();
        let (base, set) = (options(vhost.main.iter().copied()), options(vhost.own()));
        let merged = if set.is_empty() { &base } else { &set };
        let merged_has = |option: &str| merged.iter().any(|o| o == option);
        let down = |option: &str| base.iter().any(|o| o == option) && !merged_has("ignoreinherit");
        let (before, after) = if merged_has("inherit") || down("inheritdown") {
            (Vec::new(), main)
        } else if merged_has("inheritbefore") || down("inheritdownbefore") {
            (main, Vec::new())
        } else {
            (Vec::new(), Vec::new())
        };
        Self { engine, wakes, before, own, after }
    }

    /// All rules in the order they run.
    pub fn all(&self) -> impl Iterator<Item = &'a Node> + '_ {
        self.before.iter().chain(&self.own).chain(&self.after).copied()
    }
}

/// Of `mod_rewrite`, or with such a line inside (`ap_set_config_vectors`, config.c).
fn is_rewrite(node: &Node) -> bool {
    node.name.starts_with("rewrite") || node.children.iter().any(is_rewrite)
}

/// All `RewriteOptions` of one level, in lower case: they add up.
fn options<'a>(nodes: impl Iterator<Item = &'a Node>) -> Vec<String> {
    let lines = nodes.filter(|n| n.name == "rewriteoptions");
    let words = lines.flat_map(|n| n.words().collect::<Vec<_>>());
    words.map(|w| String::from_utf8_lossy(&w).to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apache::sample::dump;
    use crate::apache::vhosts::vhosts;

    /// Lines of the rules that run, for options of the main server and of the vhost.
    fn order(main: &str, own: &str) -> Vec<u32> {
        let text = format!(
            "{main}\nRewriteEngine On\nRewriteRule ^/a - [F]\n<VirtualHost *:80>\n{own}\nRewriteRule ^/b - [F]\n</VirtualHost>"
        );
        let dump = dump(&text, &[]);
        let vhost = vhosts(&dump).remove(0);
        let book = Rulebook::of(&vhost);
        assert!(book.engine, "the engine's state is inherited in any case");
        book.all().map(|n| n.origin.line).collect()
    }

    #[test]
    fn rules_of_the_main_server_are_inherited_only_on_demand() {
        assert_eq!(order("", ""), [6]);
        assert_eq!(order("", "RewriteOptions Inherit"), [6, 3]);
        assert_eq!(order("", "RewriteOptions inheritbefore"), [3, 6]);
    }

    #[test]
    fn a_vhost_without_options_has_those_of_the_main_server() {
        assert_eq!(order("RewriteOptions Inherit", ""), [6, 3]);
        assert_eq!(order("RewriteOptions InheritBefore", "RewriteOptions AllowNoSlash"), [6]);
    }

    #[test]
    fn a_vhost_without_any_rewrite_directive_is_left_alone() {
        let main = "RewriteEngine On\nRewriteOptions InheritDown\nRewriteRule ^ - [F]\n";
        let book = |own: &str| {
            let dump = dump(&format!("{main}<VirtualHost *:80>\n{own}\n</VirtualHost>"), &[]);
            let book = Rulebook::of(&vhosts(&dump)[0]);
            (book.engine, book.wakes)
        };
        assert_eq!(book("ServerName a"), (false, true));
        assert_eq!(book("<Location /x>\nRewriteEngine Off\n</Location>"), (true, false));
        assert_eq!(book("RewriteEngine Off"), (false, false));
    }

    #[test]
    fn inheritance_from_above_holds_unless_the_vhost_ignores_it() {
        assert_eq!(order("RewriteOptions InheritDown", ""), [6, 3]);
        assert_eq!(
            order("RewriteOptions InheritDownBefore", "RewriteOptions AllowNoSlash"),
            [3, 6]
        );
        assert_eq!(order("RewriteOptions InheritDownBefore", "RewriteOptions IgnoreInherit"), [6]);
    }
}
