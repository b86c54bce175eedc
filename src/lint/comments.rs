//! Comments that skip rules: `# check=skip=NAME` at the top of a file, or above an entry of it. Owns where they count; does
//! not know the rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::directive::{assignment, directive};
use super::options::Options;
use crate::diagnostic::{Rule, Source, Span};

/// What the comments of a file skip.
#[derive(Debug, Default)]
pub(super) struct Comments {
    /// For the whole file.
    file: Option<Options>,
    /// By the number of a line: those above it, and above the keys and the entry that hold it.
    lines: BTreeMap<usize, Vec<Arc<Options>>>,
}

impl Comments {
    /// Reads the comments of a file. One that cannot be read counts as none, as in a Dockerfile.
    pub(super) fn of(source: &Arc<Source>) -> Self {
        let mut comments =
            Self { file: directive(source).and_then(|(text, _)| Options::parse(text).ok()), lines: BTreeMap::new() };
        // The lines that hold the one that is looked at: how deep each is, and what stands above it.
        let mut holders = Vec::<(usize, Option<Arc<Options>>)>::new();
        let mut pending = None;
        for (index, line) in source.text().lines().enumerate() {
            let text = line.trim_start();
            if let Some(comment) = text.strip_prefix('#') {
                let check = assignment(comment.trim_start()).filter(|(name, _)| name.eq_ignore_ascii_case("check"));
                // Of several, the first counts.
                pending = pending.or_else(|| Options::parse(check?.1).ok().map(Arc::new));
                continue;
            }
            let above = pending.take();
            if text.is_empty() {
                continue;
            }
            let depth = depth(line);
            while holders.last().is_some_and(|(other, _)| *other >= depth) {
                holders.pop();
            }
            holders.push((depth, above));
            let options: Vec<Arc<Options>> = holders.iter().filter_map(|(_, options)| options.clone()).collect();
            if !options.is_empty() {
                comments.lines.insert(index + 1, options);
            }
        }
        comments
    }

    /// Only those above entries.
    pub(super) fn without_top(self) -> Self {
        Self { file: None, ..self }
    }

    /// Whether a rule is not checked at a place of the file.
    pub(super) fn skip(&self, rule: &Rule, place: &Span) -> bool {
        let above = self.lines.get(&place.line()).into_iter().flatten().map(AsRef::as_ref);
        self.file.iter().chain(above).any(|options| options.skip(rule))
    }
}

/// How deep a line is indented. The `-` of an item is deeper than the key above it, even right below that key.
fn depth(line: &str) -> usize {
    let text = line.trim_start();
    2 * (line.len() - text.len()) + usize::from(text.starts_with("- "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::rules::{LATEST_TAG, UNPINNED_FILE, UNPINNED_IMAGE};

    #[test]
    fn a_comment_above_an_entry_is_for_that_entry() {
        let text = "\
files:
  # check=skip=UnpinnedFile
  - url: https://h/a
  - path: b
    # check=skip=UnpinnedFile
    url: https://h/b
  - url: https://h/c
# check=skip=UnpinnedImage
images:
- image: d
  # check=skip=LatestTag
- as: e
  image: e
# check=skip=all

- image: f
";
        let source = Source::new("kso.yaml", text);
        let comments = Comments::of(&source);
        let skips = |rule, what: &str| {
            let at = text.find(what).expect(what);
            comments.skip(rule, &Span::new(&source, at..at + what.len()))
        };
        assert!(skips(&UNPINNED_FILE, "https://h/a") && skips(&UNPINNED_FILE, "https://h/b"));
        assert!(!skips(&UNPINNED_FILE, "https://h/c"));
        assert!(skips(&UNPINNED_IMAGE, "image: d") && skips(&UNPINNED_IMAGE, "image: e"));
        assert!(!skips(&LATEST_TAG, "image: d") && skips(&LATEST_TAG, "image: e"));
        assert!(!skips(&LATEST_TAG, "image: f"), "right above");
    }

    #[test]
    fn a_list_has_comments_for_itself_and_for_its_lines() {
        let skipped = |text: &str| {
            let list = Source::new("a.list", text);
            let comments = Comments::of(&list);
            let lines = 1..=text.lines().count();
            lines
                .filter(|number| comments.skip(&UNPINNED_FILE, &Span::new(&list, list.line(*number))))
                .collect::<Vec<_>>()
        };
        assert_eq!(skipped("https://h/a\n# check=skip=UnpinnedFile\nhttps://h/b\nhttps://h/c\n"), [3]);
        assert_eq!(skipped("# check=skip=UnpinnedFile\nhttps://h/a\nhttps://h/b\n"), [1, 2, 3]);
        assert_eq!(skipped("# check=sikp=UnpinnedFile\nhttps://h/a\n"), [0; 0]);
    }

    #[test]
    fn an_item_is_deeper_than_the_key_above_it() {
        let lines = ["a:", "- b", " c:", " - d", "  e"];
        assert_eq!(lines.map(depth), [0, 1, 2, 3, 4]);
    }
}
