//! The bill of materials of an image: an SPDX 2.3 document made of a lock. Owns what it says; does not know how it travels,
//! nor looks into anything that was downloaded.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::{Value, json};

use crate::diagnostic::counted;
use crate::kind::files::LockedFile;
use crate::kind::images::LockedImage;
use crate::kind::images::expected::{Expected, Role};
use crate::lock::{Lock, LockedBase};
use crate::name::{Arch, Digest, ImageRef, Platform};
use crate::plan::config::rfc3339;

/// What `predicateType` an attestation of it has: in-toto's for SPDX.
pub const PREDICATE: &str = "https://spdx.dev/Document";

/// What an image holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// All files of the lock.
    Files,
    /// Its container images, as far as they are for these architectures.
    Images(&'a BTreeSet<Arch>),
}

/// The image that a document is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The target that builds it: `files`.
    pub target: &'a str,
    /// What it runs on: `linux/arm64`.
    pub platform: &'a Platform,
    /// What it holds.
    pub content: Content<'a>,
    /// The image that it is built on.
    pub base: Option<&'a LockedBase>,
}

/// The document of an image, JSON. Everything in it follows from the lock and `epoch` (seconds since 1970), so that the
/// same lock gives the same bytes.
pub fn document(lock: &Lock, subject: &Subject<'_>, epoch: u64) -> String {
    let mut parts = Parts::default();
    parts.package(
        ROOT,
        json!({ "name": format!("{} image for {}", subject.target, subject.platform),
        "primaryPackagePurpose": "CONTAINER" }),
    );
    if let Some(base) = subject.base {
        let id = parts.image(base.reference(), base.digest(), "base image");
        parts.relate(ROOT, "DESCENDANT_OF", &id);
    }
    match subject.content {
        Content::Files => lock.files().for_each(|file| parts.file(file)),
        Content::Images(architectures) => lock.images().for_each(|image| parts.held(image, architectures)),
    }
    let Parts { packages, relationships } = parts;
    let packages: Vec<Value> = packages.into_values().collect();
    let relationships: Vec<Value> = relationships
        .into_iter()
        .map(|(from, kind, to)| json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to }))
        .collect();
    let name = format!("kso-{}-{}", subject.target, subject.platform.to_string().replace('/', "-"));
    // Two documents of one name space would have to be the same.
    let said = Digest::of(json!([packages, relationships]).to_string().as_bytes());
    let document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/{name}-{}", said.hex()),
        "creationInfo": {
            "created": rfc3339(epoch),
            "creators": [concat!("Tool: kso-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relationships,
    });
    let mut text = serde_json::to_string_pretty(&document).expect("maps with text for keys");
    text.push('\n');
    text
}

/// The document itself.
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
/// The image that it describes.
const ROOT: &str = "SPDXRef-image";

#[derive(Default)]
struct Parts {
    /// By their identifiers: what several hold is there once.
    packages: BTreeMap<String, Value>,
    /// From, kind, to.
    relationships: BTreeSet<(String, &'static str, String)>,
}

impl Parts {
    fn package(&mut self, id: &str, said: Value) {
        let mut package = json!({ "SPDXID": id, "downloadLocation": "NOASSERTION", "filesAnalyzed": false });
        if let (Value::Object(package), Value::Object(said)) = (&mut package, said) {
            package.extend(said);
        }
        if id == ROOT {
            self.relate(DOCUMENT, "DESCRIBES", ROOT);
        }
        self.packages.insert(id.to_owned(), package);
    }

    fn relate(&mut self, from: &str, kind: &'static str, to: &str) {
        self.relationships.insert((from.to_owned(), kind, to.to_owned()));
    }

    fn file(&mut self, file: &LockedFile) {
        let LockedFile { url, path, sha256, bytes, checksum } = file;
        // A path is what a lock knows a file by; an identifier has letters, digits, dots and dashes only.
        let id = format!("SPDXRef-file-{}", Digest::of(path.as_str().as_bytes()).hex());
        let purl = format!(
            "pkg:generic/{}?checksum={}&download_url={}",
            escaped(path.file_name()),
            escaped(sha256.as_str()),
            escaped(url.as_str())
        );
        self.package(
            &id,
            json!({ "name": path.file_name(), "packageFileName": path.as_str(), "downloadLocation": url.as_str(),
                "primaryPackagePurpose": "FILE", "checksums": [checksum_of(sha256)], "externalRefs": [reference(&purl)],
                "comment": format!("{}; checksum: {checksum}", counted(*bytes, "byte")) }),
        );
        self.relate(ROOT, "CONTAINS", &id);
    }

    /// An image by its index, or its only manifest.
    fn image(&mut self, image: &ImageRef, digest: &Digest, what: &str) -> String {
        let id = format!("SPDXRef-image-{}", Digest::of(image.as_str().as_bytes()).hex());
        let mut package = json!({ "name": image.name(), "primaryPackagePurpose": "CONTAINER",
            "checksums": [checksum_of(digest)], "externalRefs": [reference(&purl(image, digest))], "comment": what });
        if let Some(tag) = image.tag() {
            package["versionInfo"] = json!(tag);
        }
        self.package(&id, package);
        id
    }

    fn held(&mut self, image: &LockedImage, architectures: &BTreeSet<Arch>) {
        let documents = image.resolved.expected(architectures);
        if documents.is_empty() {
            return;
        }
        let served: Vec<String> = image.served.iter().map(ToString::to_string).collect();
        let what = format!("served as {}", served.join(", "));
        let id = self.image(image.reference(), &image.resolved.top().digest, &what);
        self.relate(ROOT, "CONTAINS", &id);
        for document in documents {
            let what = match document.role {
                // The image itself has its digest.
                Role::Index => continue,
                Role::Manifest(architectures) => {
                    let arches: Vec<&str> = architectures.iter().map(|arch| arch.as_str()).collect();
                    format!("manifest for {}", arches.join(" and "))
                }
                Role::Attestation => "attestation".to_owned(),
            };
            self.manifest(&id, &what, &document);
        }
    }

    fn manifest(&mut self, of: &str, what: &str, document: &Expected<'_>) {
        let text = document.text;
        let bytes = text.text.len() as u64;
        let manifest = self.blob(&text.digest, &text.media_type, bytes, what);
        self.relate(of, "CONTAINS", &manifest);
        for blob in document.blobs() {
            let id = self.blob(&blob.digest, &blob.media_type, blob.bytes, "blob");
            self.relate(&manifest, "CONTAINS", &id);
        }
    }

    fn blob(&mut self, digest: &Digest, media_type: &str, bytes: u64, what: &str) -> String {
        let id = format!("SPDXRef-blob-{}", digest.hex());
        self.package(
            &id,
            json!({ "name": digest.as_str(), "primaryPackagePurpose": "ARCHIVE", "checksums": [checksum_of(digest)],
                "comment": format!("{what} of {}, {media_type}", counted(bytes, "byte")) }),
        );
        id
    }
}

fn checksum_of(digest: &Digest) -> Value {
    json!({ "algorithm": "SHA256", "checksumValue": digest.hex() })
}

fn reference(purl: &str) -> Value {
    json!({ "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl })
}

/// As the purl specification writes images: the name is the last part of the repository, in lower case.
fn purl(image: &ImageRef, digest: &Digest) -> String {
    let name = image.path().rsplit('/').next().unwrap_or_default().to_lowercase();
    let tag = image.tag().map(|tag| format!("&tag={}", escaped(tag))).unwrap_or_default();
    format!("pkg:oci/{name}@{}?repository_url={}{tag}", escaped(digest.as_str()), escaped(image.name()))
}

/// What a purl has as it is: all but letters, digits and these is percent-encoded.
const NOT_PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn escaped(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NOT_PLAIN)
}

#[cfg(test)]
mod tests;
