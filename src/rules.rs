//! The table of lint rules: what each is called, how bad it is, what it says and what to do. Owns these texts, which
//! `docs/rules/NAME.md` tells in full; does not know how a rule is checked.

use crate::diagnostic::Severity::{Note, Warning};
use crate::diagnostic::{Rule, Severity};

/// Below it lies `NAME.md` for every rule.
pub const PAGES: &str = "https://github.com/org/kso/blob/main/docs/rules";

macro_rules! rules {
    ($($id:ident $name:ident $severity:ident: $description:literal, $fix:literal;)*) => {
        $(
            #[doc = $description]
            pub static $id: Rule = rule(stringify!($name), $severity, $description, $fix);
        )*
        /// Every rule, by name.
        pub static ALL: &[&Rule] = &[$(&$id),*];
    };
}

const fn rule(name: &'static str, severity: Severity, description: &'static str, fix: &'static str) -> Rule {
    Rule { name, severity, description, fix }
}

rules! {
    ARCHITECTURE_WITHOUT_PLATFORM ArchitectureWithoutPlatform Note:
        "No image that is built holds the container images of an architecture",
        "add the platform to `--platform`, or leave the architecture out of `architectures`";
    CHECKSUM_FROM_FIRST_USE ChecksumFromFirstUse Note:
        "The lock's checksum of a file is what the server sent once; nobody vouches for it",
        "compare it with what the project publishes, and write it as `sha256:` beside the `url:`";
    DUPLICATE_IMAGE DuplicateImage Warning:
        "An image is asked for twice",
        "remove one of the lines";
    DUPLICATE_URL DuplicateUrl Warning:
        "A URL is asked for twice",
        "remove one of the lines";
    LATEST_TAG LatestTag Warning:
        "An image has the tag `latest`, or none",
        "name a version, or write a lock: `docker buildx build --target lock -o .`";
    MIRROR_WITHOUT_PIN MirrorWithoutPin Warning:
        "A mirror serves files without a checksum, or images without a digest: it decides what they are",
        "write a lock: `docker buildx build --target lock -o .`";
    MISSING_ARCHITECTURE MissingArchitecture Warning:
        "The list of one architecture has an entry that the list of the other lacks",
        "add the line to the other list, or remove it here";
    NO_ETAG NoETag Note:
        "The server of a file without a checksum sends no `ETag`, so that every build downloads it again",
        "pin the file: with a `sha256:`, or a lock";
    PLAIN_HTTP PlainHttp Warning:
        "A file without a checksum comes over plain HTTP: anybody on the way can change it",
        "write `https://`, or pin the file";
    UNPINNED_FILE UnpinnedFile Warning:
        "A file has no checksum: the image holds whatever the server sends on the day",
        "write a lock: `docker buildx build --target lock -o .`, or a `sha256:` beside the `url:`";
    UNPINNED_IMAGE UnpinnedImage Warning:
        "An image is named by a tag alone, which can be moved",
        "write a lock: `docker buildx build --target lock -o .`, or the digest behind the tag";
    UNREAD_KUBESPRAY UnreadKubespray Note:
        "A release of Kubespray that only a build fetches was not looked at",
        "check with `docker buildx build --check`";
    UNUSED_LIST_ENTRY UnusedListEntry Warning:
        "A list is there for an architecture that is not wanted",
        "add the architecture to `architectures`, or remove the list";
    UNUSED_LOCK_ENTRY UnusedLockEntry Warning:
        "The lock has entries that nothing asks for",
        "write the lock again: `docker buildx build --target lock -o .`";
    UNUSED_RENAME UnusedRename Warning:
        "An entry of a rename table renames no image",
        "`src` is the repository as lists name it, with its registry and without a tag";
}

impl Rule {
    /// Its page.
    pub fn url(&self) -> String {
        format!("{PAGES}/{}.md", self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    /// The pages, by the names of their files without the ending.
    fn pages() -> BTreeSet<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules");
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.map(|name| name.strip_suffix(".md").expect("a page").to_owned()).filter(|name| name != "README").collect()
    }

    #[test]
    fn every_rule_has_a_page_and_every_page_a_rule() {
        let rules: BTreeSet<String> = ALL.iter().map(|rule| rule.name.to_owned()).collect();
        assert_eq!(rules.len(), ALL.len(), "each once");
        assert!(ALL.is_sorted_by_key(|rule| rule.name));
        assert_eq!(rules, pages());
    }

    #[test]
    fn the_pages_say_what_the_table_says() {
        let index = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules/README.md")).unwrap();
        for rule in ALL {
            let path = format!("{}/docs/rules/{}.md", env!("CARGO_MANIFEST_DIR"), rule.name);
            let page = fs::read_to_string(&path).unwrap();
            let severity = rule.severity.as_str();
            let (name, description, fix) = (rule.name, rule.description, rule.fix);
            let head = format!("# {name}\n\n{description}.\n\nSeverity: {severity}. Fix: {fix}.\n");
            assert!(page.starts_with(&head), "{path} must begin with:\n{head}");
            let row = format!("| [{name}]({name}.md) | {severity} | {description} |");
            assert!(index.contains(&row), "docs/rules/README.md must have the line:\n{row}");
        }
    }
}
