//! What a registry answers: manifests, indexes and configs, separated by NUL, the first of them what a tag leads to.
//! `sha256:N` with a digit in a document stands for the digest of the document N places after it, and `"size":~` for the size
//! of the one that was named last: no fuzzer guesses either.

use std::collections::{BTreeMap, BTreeSet};

use kso::kind::images::resolved::{Blobs, Unresolved, Wanted};
use kso::name::{Arch, Digest};
use kso::oci::{Document, check_digest, image_platform, needed};

const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// What is resolved is complete, has the digests that it is asked for by, and is of a known type.
pub fn holds(data: &[u8]) {
    let blobs = linked(data);
    let have: Blobs = blobs.iter().map(|blob| (Digest::of(blob), blob.clone())).collect();
    for blob in &blobs {
        one(blob);
    }
    let Some(top) = blobs.first().map(|blob| Digest::of(blob)) else { return };
    let all = BTreeSet::from(Arch::ALL);
    for attestations in [false, true] {
        let wanted = Wanted {
            reference: "quay.io/a/b:1".parse().expect("a name"),
            digest: top.clone(),
            architectures: all.clone(),
            attestations,
            configs: true,
        };
        let resolved = match wanted.resolve(&have) {
            Ok(resolved) => resolved,
            Err(Unresolved::Missing(missing)) => {
                assert!(missing.iter().all(|missing| !have.contains_key(&missing.digest)), "it is there");
                continue;
            }
            Err(other) => {
                assert!(!other.to_string().is_empty());
                continue;
            }
        };
        assert_eq!(resolved.top().digest, top);
        let held: BTreeSet<Arch> = resolved.manifests().iter().flat_map(|held| &held.architectures).copied().collect();
        assert_eq!(held, all);
        for text in resolved.manifests().iter().map(|held| &held.text).chain(resolved.index()) {
            assert_eq!(check_digest(text.text.as_bytes(), &text.digest), Ok(()));
            assert!(MEDIA_TYPES.contains(&text.media_type.as_str()), "{}", text.media_type);
        }
        for arch in Arch::ALL {
            let part = resolved.part(&BTreeSet::from([arch]), attestations).expect("it was resolved for both");
            assert_eq!(part.top().digest, top);
        }
    }
}

fn one(blob: &[u8]) {
    drop(image_platform(blob));
    let document = Document::parse(blob);
    assert_eq!(document, Document::parse(blob));
    match document {
        Ok(document) => {
            assert!(MEDIA_TYPES.contains(&document.media_type()));
            if let Document::Index(index) = document {
                for wanted in [BTreeSet::from(Arch::ALL), BTreeSet::from([Arch::Arm64])] {
                    if let Ok(needed) = needed(&index, &wanted, true) {
                        assert_eq!(needed.manifests.keys().copied().collect::<BTreeSet<_>>(), wanted);
                    }
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The documents, with the digests of those after them.
fn linked(data: &[u8]) -> Vec<Vec<u8>> {
    const MARK: &[u8] = b"sha256:";
    const SIZE: &[u8] = b"\"size\":";
    let mut done: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let parts: Vec<&[u8]> = data.split(|byte| *byte == 0).take(10).collect();
    for (at, part) in parts.iter().enumerate().rev() {
        let (mut blob, mut rest) = (Vec::new(), *part);
        let mut named = None;
        while let Some((first, after)) = rest.split_first() {
            blob.push(*first);
            rest = after;
            if blob.ends_with(MARK)
                && let Some((digit, after)) = rest.split_first()
                && digit.is_ascii_digit()
                && after.first().is_none_or(|byte| !byte.is_ascii_hexdigit())
                && let Some(target) = done.get(&(at + usize::from(digit - b'0')))
            {
                blob.extend_from_slice(Digest::of(target).hex().as_bytes());
                named = Some(target.len());
                rest = after;
            } else if blob.ends_with(SIZE)
                && let (Some(size), [b'~', after @ ..]) = (named, rest)
            {
                blob.extend_from_slice(size.to_string().as_bytes());
                rest = after;
            }
        }
        done.insert(at, blob);
    }
    done.into_values().collect()
}
