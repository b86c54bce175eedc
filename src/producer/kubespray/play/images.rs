//! The images in a rendered manifest: lines of the key `image`. Owns what such a line looks like; does not know how it is
//! rendered.

use std::collections::BTreeMap;

/// What a line says of an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A name: `image: registry.k8s.io/pause:3.10`.
    Name(&'a str),
    /// A part of a mapping, as the values of charts have them: `repository: quay.io/cilium/cilium`.
    Part(&'a str, &'a str),
    /// The key with nothing behind it: a mapping follows.
    Opens,
}

/// The parts of a mapping that make a name.
const PARTS: [&str; 4] = ["registry", "repository", "tag", "digest"];

/// The parts of a mapping, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Parts(BTreeMap<&'static str, String>);

impl Parts {
    /// Adds what a line says. The first of two counts: what follows is of another mapping.
    pub(super) fn add(&mut self, line: &str) {
        if let Some(Line::Part(key, value)) = of(line)
            && let Some(part) = PARTS.iter().find(|part| **part == key)
            && !value.is_empty()
        {
            self.0.entry(part).or_insert_with(|| value.to_owned());
        }
    }

    /// The name that they make; `None` without a repository and a tag.
    pub(super) fn name(&self) -> Option<String> {
        let (repository, tag) = (self.0.get("repository")?, self.0.get("tag")?);
        let registry = self.0.get("registry").map(|registry| format!("{registry}/")).unwrap_or_default();
        let digest = self.0.get("digest").map(|digest| format!("@{digest}")).unwrap_or_default();
        Some(format!("{registry}{repository}:{tag}{digest}"))
    }
}

/// The spaces that a line begins with, the dash of a list item included.
pub(super) fn indent(line: &str) -> usize {
    let rest = line.trim_start_matches(' ');
    let item = rest.strip_prefix("- ").map_or(rest, |rest| rest.trim_start_matches(' '));
    line.len() - item.len()
}

/// The key of a line, without quotes, and what is behind its colon.
fn key_of(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line[indent(line)..].split_once(':')?;
    let is_end = rest.is_empty() || rest.starts_with([' ', '\t']);
    is_end.then(|| (key.trim_matches(['"', '\'']), rest))
}

/// Whether a line, as far as it is rendered, is the name of an image, or opens its mapping.
pub(super) fn is_name(line: &str) -> bool {
    key_of(line).is_some_and(|(key, _)| key == "image")
}

/// The lines with the parts of the mapping that a line opens.
pub(super) fn within(lines: &[String], at: usize) -> impl Iterator<Item = usize> {
    let depth = indent(&lines[at]);
    let rest = lines.iter().enumerate().skip(at + 1);
    let rest = rest.take_while(move |(_, line)| line.trim().is_empty() || indent(line) > depth);
    rest.filter(|(_, line)| key_of(line).is_some_and(|(key, _)| PARTS.contains(&key))).map(|(at, _)| at)
}

/// The lines with the key `enabled` that switch on what a line is in: next to it, and next to each mapping around it.
pub(super) fn switches(lines: &[String], at: usize) -> Vec<usize> {
    let mut switches = Vec::new();
    let mut at = at;
    loop {
        let depth = indent(&lines[at]);
        let is_around = |line: &String| !line.trim().is_empty() && indent(line) < depth;
        let before = lines[..at].iter().rposition(is_around);
        let end = lines[at..].iter().position(is_around).map_or(lines.len(), |end| at + end);
        let start = before.map_or(0, |before| before + 1);
        let is_switch =
            |at: &usize| indent(&lines[*at]) == depth && key_of(&lines[*at]).is_some_and(|(key, _)| key == "enabled");
        switches.extend((start..end).filter(is_switch));
        match before {
            Some(before) => at = before,
            None => return switches,
        }
    }
}

/// Whether such a line switches off.
pub(super) fn switches_off(line: &str) -> bool {
    key_of(line).is_some_and(|(_, rest)| value(rest).eq_ignore_ascii_case("false"))
}

/// What a rendered line says; `None` if nothing of an image.
pub(super) fn of(line: &str) -> Option<Line<'_>> {
    let (key, rest) = key_of(line)?;
    let value = value(rest);
    match key {
        "image" if value.is_empty() => Some(Line::Opens),
        "image" => Some(Line::Name(value)),
        _ => PARTS.iter().find(|part| **part == key).map(|_| Line::Part(key, value)),
    }
}

/// A scalar on one line, without quotes and comment.
fn value(text: &str) -> &str {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote) {
            return rest.split_once(quote).map_or(rest, |(value, _)| value);
        }
    }
    if text.starts_with('#') {
        ""
    } else {
        text.split(" #").next().unwrap_or_default().trim_end().trim_end_matches(',')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_manifests() {
        for (line, expected) in [
            ("        image: a/b:1", Some(Line::Name("a/b:1"))),
            ("- image: \"a/b:1\" # why", Some(Line::Name("a/b:1"))),
            ("    - 'image': 'a:1'", Some(Line::Name("a:1"))),
            ("  \"image\": \"a:1\",", Some(Line::Name("a:1"))),
            ("image: a # why", Some(Line::Name("a"))),
            ("image:", Some(Line::Opens)),
            ("image: # why", Some(Line::Opens)),
            ("  repository: a/b", Some(Line::Part("repository", "a/b"))),
            ("#  image: a", None),
            ("imagePullPolicy: Always", None),
            ("  - --image=a", None),
            ("image:a", None),
        ] {
            assert_eq!(of(line), expected, "{line}");
        }
        let values = "a:\n  enabled: false\n  image:\n    repository: r\n    tag: t\n  b:\n    image:\n      tag: t\nenabled: true\n";
        let lines: Vec<String> = values.lines().map(str::to_owned).collect();
        assert_eq!((switches(&lines, 2), switches(&lines, 6)), (vec![1, 8], vec![1, 8]));
        assert_eq!(within(&lines, 2).collect::<Vec<_>>(), [3, 4]);
        assert!(switches_off(&lines[1]) && !switches_off(&lines[8]));
        assert_eq!((indent("  - image: a"), indent("    image: a"), indent("-a")), (4, 4, 0));
    }
}
