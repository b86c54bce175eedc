//! The table of lint rules: what each is called, how bad it is, what it says and what to do. Owns these texts, which
//! `docs/rules/NAME.md` tells in full; does not know how a rule is checked.

use super::Severity::{Note, Warning};
use super::hints::{create_lock, update_lock};
use super::{Rule, Severity};

/// Below it lies `NAME.md` for every rule.
pub const PAGES: &str = "https://github.com/org/kso/blob/main/docs/rules";

macro_rules! rules {
    ($($id:ident $name:ident $severity:ident: $description:literal, $fix:expr;)*) => {
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
        "No registry image is built for one of the architectures",
        "add the platform to `--platform`, or set `architectures` to those that are built";
    CHECKSUM_FROM_FIRST_USE ChecksumFromFirstUse Note:
        "A file's checksum in the lock was taken from the first download and is not published anywhere kso looked",
        "if the project publishes a checksum elsewhere, add it to `files:`: `- { url: URL, sha256: CHECKSUM }`";
    DUPLICATE_IMAGE DuplicateImage Warning:
        "An image is requested twice",
        "remove one of the lines";
    DUPLICATE_URL DuplicateUrl Warning:
        "A URL is requested twice",
        "remove one of the lines";
    IGNORED_OFFLINE_YML IgnoredOfflineYml Note:
        "The inventory contains an `offline.yml` that kso wrote, and its variables are ignored",
        "no action is needed, unless you added variables to it: move them to another file";
    INCOMPLETE_LISTS IncompleteLists Warning:
        "A role of Kubespray downloads something that the lists do not have",
        "add what is missing to `files:` or `images:`";
    LATEST_TAG LatestTag Warning:
        "An image has the tag `latest`, or no tag",
        concat!("use a version tag, or ", create_lock!());
    MIRROR_WITHOUT_PIN MirrorWithoutPin Warning:
        "A mirror serves files without a checksum, or images without a digest, so it decides their content",
        create_lock!();
    MISSING_ARCHITECTURE MissingArchitecture Warning:
        "The list of one architecture has an entry that is missing from the list of the other",
        "add the matching entry to the list of the other architecture, or remove this one; if nothing matches, write `# check=skip=MissingArchitecture` above the line";
    NO_ETAG NoETag Note:
        "The server of a file without a checksum sends no `ETag`, so every build downloads the file again",
        "pin the file with a `sha256:` or a lock";
    OFFLINE_INVENTORY OfflineInventory Warning:
        "The inventory points downloads at servers of your own, and the build takes them from there",
        "build with an inventory without these variables; kso writes them to `offline.yml`, which builds ignore";
    PLAIN_HTTP PlainHttp Warning:
        "A file without a checksum is fetched over plain HTTP, so it can be modified in transit",
        "use `https://`, or pin the file";
    UNPINNED_FILE UnpinnedFile Warning:
        "A file has no checksum: the image contains whatever the server sends at build time",
        concat!(create_lock!(), ", or add a `sha256:` next to the `url:`");
    UNPINNED_IMAGE UnpinnedImage Warning:
        "An image is referenced only by a tag, which can be moved",
        concat!(create_lock!(), ", or add the digest of the tag");
    UNREAD_INVENTORY UnreadInventory Warning:
        "A part of the inventory is not read",
        "correct it, or remove it if it means nothing";
    UNREAD_KUBESPRAY UnreadKubespray Note:
        "A Kubespray release that only a build fetches was not read",
        "check with `docker buildx build --check -f kso.yaml .`";
    UNUSED_LIST_ENTRY UnusedListEntry Warning:
        "A list exists for an architecture that is not in `architectures`",
        "add the architecture to `architectures`, or remove the list";
    UNUSED_LOCK_ENTRY UnusedLockEntry Warning:
        "The lock has entries that the definition does not use",
        update_lock!();
    UNUSED_RENAME UnusedRename Warning:
        "An entry of a rename table matches no image",
        "write `src` as the image is named in `image:` or in the list, such as `registry.k8s.io/pause`";
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
    fn pages_are_linked() {
        assert_eq!(ALL[0].url(), "https://github.com/org/kso/blob/main/docs/rules/ArchitectureWithoutPlatform.md");
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
