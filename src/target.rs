//! What a definition can be built into. Owns the names of the targets, and which ones a definition has; does not know how
//! any is made.

use crate::definition::Spec;
use crate::diagnostic::Diagnostic;

/// A target, as `--target` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A container image for each platform.
    Image(ImageTarget),
    /// Text files, whatever the platform.
    Text(TextTarget),
}

/// A target that is an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageTarget {
    /// The file server.
    Files,
    /// The registry.
    Images,
}

/// A target that is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextTarget {
    /// The lock.
    Lock,
    /// The bills of materials of the images.
    Sbom,
    /// The lists of Kubespray.
    Lists,
}

/// What is known of a target.
struct Row {
    target: Target,
    name: &'static str,
    description: &'static str,
    /// Whether a definition has it.
    is_in: fn(&Spec) -> bool,
    /// Whether it says what servers have now, whatever a lock says.
    asks_anew: bool,
}

/// Every target, in the order in which they are listed.
const TABLE: [Row; 5] = [
    Row {
        target: Target::Image(ImageTarget::Files),
        name: "files",
        description: "File server image with the files of all architectures",
        is_in: |spec| !spec.files.is_empty(),
        asks_anew: false,
    },
    Row {
        target: Target::Image(ImageTarget::Images),
        name: "images",
        description: "Registry image with the container images of its platform's architecture",
        is_in: |spec| !spec.images.is_empty(),
        asks_anew: false,
    },
    Row {
        target: Target::Text(TextTarget::Lock),
        name: "lock",
        description: "The lock, which pins every file and image by its digest: write it with `-o .`",
        is_in: |_| true,
        asks_anew: true,
    },
    Row {
        target: Target::Text(TextTarget::Sbom),
        name: "sbom",
        description: "The SBOM of each image and platform (SPDX): write them with `-o DIR`",
        is_in: |_| true,
        asks_anew: false,
    },
    Row {
        target: Target::Text(TextTarget::Lists),
        name: "lists",
        description: "The lists of Kubespray, with checksums and offline.yml: write them with `-o DIR`",
        is_in: |spec| spec.kubespray.is_some(),
        asks_anew: true,
    },
];

impl Target {
    /// The targets that a specification has.
    pub fn of(spec: &Spec) -> Vec<Self> {
        TABLE.iter().filter(|row| (row.is_in)(spec)).map(|row| row.target).collect()
    }

    /// The target `name` of a specification; the error names those that it has.
    pub fn named(name: &str, spec: &Spec) -> Result<Self, Diagnostic> {
        let targets = Self::of(spec);
        targets.iter().copied().find(|target| target.as_str() == name).ok_or_else(|| {
            Diagnostic::error(format!("unknown target `{name}`"))
                .help(format!("this definition has: {}", Self::names(&targets)))
        })
    }

    /// Whether the target called `name` says what servers have now, whatever a lock says.
    pub fn asks_anew(name: &str) -> bool {
        TABLE.iter().any(|row| row.name == name && row.asks_anew)
    }

    /// The names of targets, for a sentence.
    pub fn names(targets: &[Self]) -> String {
        targets.iter().map(|target| target.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Its name in `--target`.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// What it is, in a line.
    pub fn description(self) -> &'static str {
        self.row().description
    }

    /// The image that it is, if it is one.
    pub fn image(self) -> Option<ImageTarget> {
        match self {
            Self::Image(image) => Some(image),
            Self::Text(_) => None,
        }
    }

    fn row(self) -> &'static Row {
        TABLE.iter().find(|row| row.target == self).expect("every target has a row, by a test")
    }
}

impl ImageTarget {
    /// The images that a specification has: where there is one, it is built unless another target is asked for.
    pub fn of(spec: &Spec) -> Vec<Self> {
        Target::of(spec).into_iter().filter_map(Target::image).collect()
    }

    /// Its name in `--target`.
    pub fn as_str(self) -> &'static str {
        Target::Image(self).as_str()
    }
}

impl From<ImageTarget> for Target {
    fn from(image: ImageTarget) -> Self {
        Self::Image(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_one_row() {
        let images = [ImageTarget::Files, ImageTarget::Images].map(Target::Image);
        let texts = [TextTarget::Lock, TextTarget::Sbom, TextTarget::Lists].map(Target::Text);
        let all: Vec<Target> = images.into_iter().chain(texts).collect();
        assert_eq!(TABLE.iter().map(|row| row.target).collect::<Vec<_>>(), all);
        assert_eq!(Target::names(&all), "files, images, lock, sbom, lists");
        assert!(all.iter().all(|target| !target.description().is_empty()));
    }

    fn spec(body: &str) -> Spec {
        let source = crate::diagnostic::Source::new("kso.yaml", format!("apiVersion: kso/v1\n{body}"));
        let mut diagnostics = Vec::new();
        let definition = crate::definition::Definition::parse(&source, &mut diagnostics).expect("a version");
        definition.expand(&std::collections::BTreeMap::new(), &mut diagnostics)
    }

    #[test]
    fn a_definition_has_the_targets_of_what_it_asks_for() {
        let of = |body: &str| Target::names(&Target::of(&spec(body)));
        let files = "files: [{ url: 'https://h/a' }]\n";
        let images = "images: [{ image: 'h.io/a:1' }]\n";
        assert_eq!(of(files), "files, lock, sbom");
        assert_eq!(of(images), "images, lock, sbom");
        assert_eq!(of("kubespray: { source: k }\n"), "lock, sbom, lists");
        let both = spec(&format!("{files}{images}"));
        let images: Vec<_> = ImageTarget::of(&both).into_iter().map(ImageTarget::as_str).collect();
        assert_eq!(images, ["files", "images"]);
        assert_eq!(Target::named("sbom", &both).ok(), Some(Target::Text(TextTarget::Sbom)));
        let unknown = Target::named("lists", &both).unwrap_err();
        assert_eq!(unknown.message, "unknown target `lists`");
        assert_eq!(unknown.help.as_deref(), Some("this definition has: files, images, lock, sbom"));
    }

    #[test]
    fn some_say_what_servers_have_now() {
        let asks = ["files", "images", "lock", "sbom", "lists", "other"].map(Target::asks_anew);
        assert_eq!(asks, [false, false, true, false, true, false]);
        assert_eq!(Target::from(ImageTarget::Files).image(), Some(ImageTarget::Files));
        assert_eq!(Target::Text(TextTarget::Lock).image(), None);
        assert!(Target::Text(TextTarget::Lock).description().starts_with("The lock, "));
    }
}
