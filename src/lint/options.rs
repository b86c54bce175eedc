//! Which rules are skipped, and whether what is left fails the build: `skip=NAME,…;error=true`, in `# check=` at the top of
//! the definition or in the build argument `BUILDKIT_DOCKERFILE_CHECK`. As Dockerfiles have them (`frontend/dockerfile/linter` of BuildKit v0.32);
//! does not know the rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::directive::directive;
use crate::diagnostic::{Diagnostic, Rule, Source, Span, quoted};

/// The build argument that replaces what the definition says.
pub const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

const HELP: &str = "write `skip=NAME,…` or `skip=all`, `error=true`, or both with `;` between them";

/// What is skipped, and whether the rest is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// No rule is checked.
    pub(super) skip_all: bool,
    /// The names of rules that are not checked.
    skipped: BTreeSet<String>,
    /// Warnings fail the build.
    pub(super) error: bool,
}

impl Options {
    /// The options of a definition; those of the build argument replace them, also where it is empty.
    pub fn of(definition: &Arc<Source>, argument: Option<&str>) -> Result<Self, Diagnostic> {
        let problem = |why: String, span: Option<Span>| Diagnostic::error(why).help(HELP).at(span);
        if let Some(text) = argument {
            return Self::parse(text).map_err(|why| problem(format!("{ARGUMENT} has {why}"), None));
        }
        let Some((text, span)) = directive(definition) else { return Ok(Self::default()) };
        Self::parse(text).map_err(|why| problem(format!("`check` has {why}"), Some(span)))
    }

    /// Whether a rule is not checked.
    pub(super) fn skip(&self, rule: &Rule) -> bool {
        self.skip_all || self.skipped.contains(rule.name)
    }

    /// The error says what the text has: `an unknown option …`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        if text.trim().is_empty() {
            return Ok(options);
        }
        for part in text.trim().splitn(3, ';') {
            let (key, value) =
                part.split_once('=').ok_or_else(|| format!("an option without `=`, {}", quoted(part)))?;
            let value = value.trim();
            match key.trim() {
                "skip" if value == "all" => options.skip_all = true,
                "skip" => options.skipped = value.split(',').map(|name| name.trim().to_owned()).collect(),
                // No rule is experimental, so that there is none to turn on.
                "experimental" => {}
                "error" => {
                    options.error = match value {
                        "1" | "t" | "T" | "TRUE" | "true" | "True" => true,
                        "0" | "f" | "F" | "FALSE" | "false" | "False" => false,
                        _ => return Err(format!("an invalid boolean in {}", quoted(part))),
                    }
                }
                key => return Err(format!("an unknown option {}", quoted(key))),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::rules::UNPINNED_FILE;

    fn of(text: &str) -> Options {
        Options::of(&Source::new("kso.yaml", text), None).unwrap()
    }

    #[test]
    fn options_are_read_as_dockerfiles_have_them() {
        let skips = |text: &str| of(text).skip(&UNPINNED_FILE);
        assert!(skips("# check=skip=UnpinnedFile\n"));
        assert!(skips("#check=skip=LatestTag,UnpinnedFile;error=true\n"));
        assert!(skips("# syntax=x\n#  CHECK =  skip=all\n"));
        assert!(skips("# syntax=x\n# yaml-language-server: $schema=y\n# check=skip=all\n"));
        assert!(skips("# check=error=true;skip=all\n") && of("# check=error=true;skip=all\n").error);
        assert!(of("# check=error=1\n").error && !of("# check=error=F\n").error);
        assert!(!skips("# a comment\n# check=skip=all\n"), "it stands at the top");
        assert!(!skips("apiVersion: kso/v1\n# check=skip=all\n"));
        assert!(!skips("# check=skip=LatestTag, UnpinnedFile\n"), "the value ends at the first space");
        assert!(!skips("# check=skip=LatestTag\n# check=skip=all\n"), "only the first counts");
        assert!(!skips("# check=skip=NoSuchRule\n"));
        assert!(of("# check=experimental=all\n") == Options::default());
    }

    #[test]
    fn what_cannot_be_read_is_told_at_its_line() {
        for (text, why) in [
            ("skip", "an option without `=`, `skip`"),
            ("sikp=all", "an unknown option `sikp`"),
            ("error=yes", "an invalid boolean in `error=yes`"),
            ("skip=all;error=true;skip=all", ""),
            ("skip=all;error=true;error=true;skip=all", "an invalid boolean in `error=true;skip=all`"),
        ] {
            let source = Source::new("kso.yaml", format!("# syntax=x\n# check={text}\n"));
            match Options::of(&source, None) {
                Err(problem) => {
                    assert_eq!(problem.message, format!("`check` has {why}"));
                    assert_eq!(problem.span.unwrap().line(), 2);
                }
                Ok(_) => assert_eq!(why, "", "{text}"),
            }
            let told = Options::of(&Source::new("kso.yaml", ""), Some(text)).err().map(|problem| problem.message);
            assert_eq!(told.unwrap_or_default().trim_start_matches("BUILDKIT_DOCKERFILE_CHECK has "), why);
        }
    }

    #[test]
    fn the_build_argument_replaces_the_definition() {
        let source = Source::new("kso.yaml", "# check=skip=all;error=true\n");
        assert_eq!(Options::of(&source, Some("")).unwrap(), Options::default());
        assert!(!Options::of(&source, Some("skip=LatestTag")).unwrap().skip(&UNPINNED_FILE));
    }
}
