//! pure: Prometheus' text format (docs: instrumenting/exposition_formats), gauges only.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Metric families on their way to text.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// One metric family that takes samples.
#[derive(Debug)]
pub struct Family<'a> {
    name: &'static str,
    /// What stands above the first sample; a family without samples is left out.
    head: String,
    /// The labels of the samples so far.
    seen: BTreeSet<String>,
    text: &'a mut String,
}

impl Exposition {
    /// Begins the family `name`.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let head = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
        Family { name, head, seen: BTreeSet::new(), text: &mut self.text }
    }

    /// Everything.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Adds a sample; the first of those with the same labels, since a second makes the whole file
    /// invalid, and names come from other hosts.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: i64) {
        let escape = |v: &str| v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        if !self.seen.insert(labels.clone()) {
            return;
        }
        self.text.push_str(&std::mem::take(&mut self.head));
        // Writing to a string cannot fail.
        writeln!(self.text, "{}{labels} {value}", self.name).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_the_format_is_escaped() {
        let mut exposition = Exposition::default();
        let mut family = exposition.gauge("a_b", "Back\\slash\nline.");
        family.sample(&[("l", "q\"b\\n\n"), ("m", "ä")], -1);
        family.sample(&[], 2);
        family.sample(&[], 3);
        exposition.gauge("empty", "Nothing.");
        assert_eq!(
            exposition.into_text(),
            "# HELP a_b Back\\\\slash\\nline.\n# TYPE a_b gauge\na_b{l=\"q\\\"b\\\\n\\n\",m=\"ä\"} -1\na_b 2\n"
        );
    }
}
