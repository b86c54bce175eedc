//! What a JSON Schema can say of each name that is written as text: a regular expression, and what to write instead. It
//! never refuses what the name's own parser takes: a false error in an editor is worse than a missing one.
//!
//! The expressions are those of ECMA 262, which editors have: no inline flags, no look-behind, nothing escaped that need not
//! be.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::name::directory::{HIDDEN, SYSTEM};
use crate::name::{
    ContextPath, Digest, FileUrl, ImagePrefix, ImageRef, ServedName, ServerPath, ServerRoot, StoredPath, Template,
    UrlPrefix,
};

/// How a name is written.
pub(crate) struct Text<T>(PhantomData<T>);

/// A name of which a schema can say something.
pub(crate) trait Written {
    /// Its name among the schema's definitions.
    const NAME: &'static str;
    /// What to write, for who wrote something else.
    const HELP: &'static str;
    /// The expression that the whole text matches.
    fn pattern() -> String;
}

impl<T: Written> JsonSchema for Text<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat(&[module_path!(), "::", T::NAME]).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": concat(&[ARGUMENT, "|^(?:", &T::pattern(), ")$"]),
            "patternErrorMessage": T::HELP
        })
    }
}

/// A text with `${NAME}` in it is known only where it is built: no expression refuses it.
pub(crate) const ARGUMENT: &str = r"\$\$\{|\$\{[A-Za-z_][A-Za-z0-9_]*\}";
/// `{arch}` or `{uname}`.
pub(crate) const PLACEHOLDER: &str = r"\{(?:arch|uname)\}";
/// The scheme of a file's URL.
const HTTP: &str = "[Hh][Tt][Tt][Pp][Ss]?://";
/// Control characters, for a class.
const CONTROL: &str = r"\u0000-\u001f\u007f-\u009f";
/// What else Unicode calls white space, for a class.
const SPACE: &str = r" \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";
/// A percent-encoded byte.
const ENCODED: &str = "%[0-9A-Fa-f]{2}";
/// An IPv6 address, about.
const IPV6: &str = r"\[[0-9A-Fa-f:.]+\]";
/// A port from 1 to 65535.
const PORT: &str = "0*(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";
/// A tag of an image.
const TAG: &str = r"(?:[A-Za-z0-9_]|\{(?:arch|uname)\})(?:[A-Za-z0-9_.-]|\{(?:arch|uname)\}){0,127}";

pub(crate) fn concat(pieces: &[&str]) -> String {
    pieces.concat()
}

/// Segments of a clean relative path, without the characters of `refused` (as in a class); with placeholders, if `braces`.
pub(crate) fn segments(refused: &str, braces: bool) -> String {
    let (brace, or) = if braces { (r"\{", concat(&["|", PLACEHOLDER])) } else { ("", String::new()) };
    let segment = concat(&[r"(?!\.\.?(?:/|$))(?!\.wh\.)(?:[^/", CONTROL, refused, brace, "]", &or, ")+"]);
    concat(&[&segment, "(?:/", &segment, ")*"])
}

/// A URL up to its path.
fn authority(braces: bool) -> String {
    let or = if braces { concat(&["|", PLACEHOLDER]) } else { String::new() };
    let label = concat(&["(?:[A-Za-z0-9_-]", &or, "){1,63}"]);
    // Segments that are `.` or `..` once decoded.
    let no_dots = r"(?![^?]*(?:/|%2[Ff])(?:\.|%2[Ee]){2}(?:/|%2[Ff]|\?|$))(?![^?]*/(?:\.|%2[Ee])(?:/|\?|$))";
    concat(&[HTTP, no_dots, "(?:", &label, r"(?:\.", &label, ")*|", IPV6, ")(?::(?:", PORT, ")?)?"])
}

/// A character of a URL's path.
fn path_character(braces: bool) -> String {
    let or = if braces { concat(&["|", PLACEHOLDER]) } else { String::new() };
    concat(&["(?:[^", CONTROL, SPACE, r##""#%<>?\[\\\]^`{|}]|"##, ENCODED, &or, ")"])
}

/// The components of a repository.
pub(crate) fn repository(braces: bool) -> String {
    let letters = if braces { r"(?:[a-z0-9]|\{(?:arch|uname)\})+" } else { "[a-z0-9]+" };
    let component = concat(&[letters, r"(?:(?:\.|__?|-+)", letters, ")*"]);
    concat(&[&component, "(?:/", &component, ")*"])
}

/// A registry.
fn domain(braces: bool) -> String {
    // `{uname}` has a `_`, which no registry has.
    let letters = if braces { r"(?:[A-Za-z0-9]|\{arch\})+" } else { "[A-Za-z0-9]+" };
    let label = concat(&[letters, "(?:-+", letters, ")*"]);
    concat(&["(?:", &label, r"(?:\.", &label, ")*|", IPV6, ")(?::[0-9]+)?"])
}

fn image(braces: bool) -> String {
    let (domain, repository) = (domain(braces), repository(braces));
    let no_image = r"(?![0-9.]+$)(?![0-9A-Fa-f]{64}$)(?![^{:@]{256})";
    // What stands before the first slash is a registry where it has a dot.
    let name = concat(&["(?:", &domain, "/", &repository, r"|(?![^/]*\.[^/]*/)", &repository, ")"]);
    let tag = if braces { TAG } else { "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}" };
    concat(&[no_image, &name, "(?::", tag, ")?(?:@sha256:[0-9A-Fa-f]{64})?"])
}

/// The directories where no file may lie, as alternatives.
fn taken() -> String {
    SYSTEM.iter().chain(&HIDDEN).map(|folder| folder.replace('.', r"\.")).collect::<Vec<_>>().join("|")
}

impl Written for Digest {
    const NAME: &'static str = "Digest";
    const HELP: &'static str = "write the 64 hex digits that `sha256sum FILE` prints";

    fn pattern() -> String {
        "(?:sha256:)?[0-9A-Fa-f]{64}".into()
    }
}

impl Written for Template<FileUrl> {
    const NAME: &'static str = "Url";
    const HELP: &'static str = "write a full URL, such as `https://dl.k8s.io/release/v1.29.10/bin/linux/amd64/kubelet`, with `%20` for a space";

    fn pattern() -> String {
        let character = path_character(true);
        concat(&[&authority(true), "(?:/", &character, r"*)?(?:\?(?:\?|", &character, ")*)?"])
    }
}

/// A URL that says by itself where its file is stored.
pub(crate) struct StoredUrl;

impl Written for StoredUrl {
    const NAME: &'static str = "StoredUrl";
    const HELP: &'static str =
        "a file server cannot serve this URL: set where to store it, `path: HOST/DIRECTORY/FILE`";

    fn pattern() -> String {
        const NEXT: &str = "%[89ABab][0-9A-Fa-f]";
        // UTF-8 as RFC 3629 §4 has it, without control characters and slashes.
        let characters = [
            "%(?:2[0-9A-Ea-e]|[3-6][0-9A-Fa-f]|7[0-9A-Ea-e])".to_owned(),
            "%[Cc]2%[ABab][0-9A-Fa-f]".to_owned(),
            concat(&["%(?:[Cc][3-9A-Fa-f]|[Dd][0-9A-Fa-f])", NEXT]),
            concat(&["%[Ee]0%[ABab][0-9A-Fa-f]", NEXT]),
            concat(&["%[Ee][1-9A-CEFa-cef]", NEXT, NEXT]),
            concat(&["%[Ee][Dd]%[89][0-9A-Fa-f]", NEXT]),
            concat(&["%[Ff]0%[9ABab][0-9A-Fa-f]", NEXT, NEXT]),
            concat(&["%[Ff][1-3]", NEXT, NEXT, NEXT]),
            concat(&["%[Ff]4%8[0-9A-Fa-f]", NEXT, NEXT]),
        ];
        let character = concat(&["(?:[^/?%{]|", PLACEHOLDER, "|", &characters.join("|"), ")"]);
        let not_deleted = r"(?!(?:\.|%2[Ee])(?:w|%77)(?:h|%68)(?:\.|%2[Ee]))";
        // The path that is stored has no default port, and one slash for several.
        let not_too_long = "(?!(?![^?]*(?:%|//))[^?{]{2070})";
        let segment = concat(&["/+", not_deleted, "(?![^/%{]{256})", &character, "+"]);
        concat(&[HTTP, r"(?!\[)", not_too_long, "[^/?]+(?:", &segment, ")+"])
    }
}

impl Written for UrlPrefix {
    const NAME: &'static str = "UrlPrefix";
    const HELP: &'static str = "write a URL prefix that ends with `/`, such as `https://mirror.example/`";

    fn pattern() -> String {
        concat(&[&authority(false), "/(?:", &path_character(false), "*/)?"])
    }
}

impl Written for ImagePrefix {
    const NAME: &'static str = "ImagePrefix";
    const HELP: &'static str =
        "write a registry, or a prefix of its repositories, that ends with `/`: `quay.io/`, `docker.io/library/`";

    fn pattern() -> String {
        concat(&["(?=[^/]*[.:A-Z]|localhost/)", &domain(false), "/(?:", &repository(false), "/)?"])
    }
}

const IMAGE: &str = "write an image as `docker pull` takes it: `nginx:1.27-alpine`, `quay.io/calico/node:v3.27.3`";

impl Written for Template<ImageRef> {
    const NAME: &'static str = "Image";
    const HELP: &'static str = IMAGE;

    fn pattern() -> String {
        image(true)
    }
}

impl Written for ImageRef {
    const NAME: &'static str = "BaseImage";
    const HELP: &'static str = IMAGE;

    fn pattern() -> String {
        image(false)
    }
}

impl Written for Template<ServedName> {
    const NAME: &'static str = "ServedName";
    const HELP: &'static str = "write a lowercase repository, and a tag to change it: `library/pause:3.9`";

    fn pattern() -> String {
        concat(&["(?![^{:]{256})", &repository(true), "(?::", TAG, ")?"])
    }
}

const CONTEXT_PATH: &str = "write the relative path of a file in the build context, such as `temp/files-{arch}.list`";

impl Written for Template<ContextPath> {
    const NAME: &'static str = "List";
    const HELP: &'static str = CONTEXT_PATH;

    fn pattern() -> String {
        concat(&[r"(?:\./)?", &segments(r"*?\[", true)])
    }
}

impl Written for ContextPath {
    const NAME: &'static str = "ContextPath";
    const HELP: &'static str = CONTEXT_PATH;

    fn pattern() -> String {
        concat(&[r"(?:\./)?", &segments(r"*?\[", false)])
    }
}

impl Written for Template<StoredPath> {
    const NAME: &'static str = "StoredPath";
    const HELP: &'static str = "write a relative path without `.` and `..`, such as `get.helm.sh/helm-{arch}.tar.gz`, with names of at most 255 bytes";

    fn pattern() -> String {
        concat(&["(?![^{]{2049})(?!(?:[^{]*/)?[^/{]{256})", &segments("", true)])
    }
}

impl Written for ServerRoot {
    const NAME: &'static str = "ServerRoot";
    const HELP: &'static str =
        "write an absolute path of letters, digits, `.`, `_` and `-`, not in a system directory, such as `/opt/k8s`";

    fn pattern() -> String {
        let segment = r"(?:/(?!\.\.?(?:/|$))(?!\.wh\.)[A-Za-z0-9._-]+)+";
        concat(&["(?!/(?:", &taken(), ")(?:/|$))", segment])
    }
}

impl Written for ServerPath {
    const NAME: &'static str = "ServerPath";
    const HELP: &'static str = "write a relative path of letters, digits, `.`, `_` and `-`, such as `k8s`";

    fn pattern() -> String {
        let segment = r"(?!\.\.?(?:/|$))(?!\.wh\.)[A-Za-z0-9._-]+";
        concat(&[segment, "(?:/", segment, ")*"])
    }
}
