//! Sets of images that stand on common bases; the same for each call.

use std::collections::BTreeMap;

use crate::kind::images::tree::tests::Sample;
use crate::name::Digest;

/// The numbers of a linear congruential generator.
struct Random(u64);

impl Random {
    /// From 0 to less than `most`.
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    /// From `least` to `most`, each power as likely.
    fn size(&mut self, least: u64, most: u64) -> u64 {
        let wide = least << self.below(u64::from((most / least).max(1).ilog2()) + 1);
        (wide + self.below(wide)).min(most)
    }
}

/// An image: its base, by what makes it the same, and its own layers; of each architecture others, but `noarch`.
fn image(name: String, arches: &[&'static str], base: &[(String, u64)], own: &[u64], noarch: bool) -> Sample {
    let arch = |arch: &'static str| {
        let base = base.iter().map(|(layer, bytes)| (format!("base {layer} {arch}"), *bytes));
        let own = own.iter().enumerate().map(|(n, bytes)| (format!("{name} {n} {arch}"), *bytes));
        let noarch = noarch.then(|| (format!("noarch {name}"), 20_000));
        (arch, base.chain(own).chain(noarch).collect())
    };
    Sample { manifests: arches.iter().map(|name| arch(name)).collect(), name }
}

/// Images of all sizes on few bases of up to three large layers, and artifacts without an architecture: harder than the
/// world.
pub(super) fn many(count: u64) -> Vec<Sample> {
    let mut random = Random(7);
    let mut one = |at: u64| {
        let base = random.below(count / 4 + 1);
        let layers: Vec<_> = (0..=base % 3).map(|n| (format!("{base} {n}"), 500_000 << (base % 6))).collect();
        let own: Vec<u64> = (0..=random.below(4)).map(|_| 50_000 << random.below(11)).collect();
        let name = format!("registry.example/team{}/image{at}:v1.0.{at}", at % 5);
        let arches: &[_] = if at % 17 == 16 { &["-"] } else { &["amd64", "arm64"] };
        image(name, arches, &layers, &own, at.is_multiple_of(9))
    };
    (0..count).map(&mut one).collect()
}

/// Images as projects have them: families of one to six that were built together, on distroless (many small layers, most
/// of them common to its versions), alpine, a distribution, a language's image, bases of their own, or nothing.
pub(super) fn real(count: usize, seed: u64) -> Vec<Sample> {
    const KB: u64 = 1_000;
    const MB: u64 = 1_000_000;
    let mut random = Random(seed);
    let mut bases = BTreeMap::<(u64, u64), Vec<(String, u64)>>::new();
    let mut images = Vec::new();
    while images.len() < count {
        let family = [1, 1, 1, 2, 3, 4, 6][usize::try_from(random.below(7)).expect("small")];
        let (kind, version) = (random.below(20), random.below(6));
        let base = match kind {
            0..8 => 0,
            8..12 => 1,
            12..15 => 2,
            15 | 16 => 3,
            17 | 18 => 4,
            _ => 5,
        };
        let layers = bases.entry((base, version)).or_insert_with(|| match base {
            0 => {
                let common = (0..5).map(|n| (format!("distroless {n}"), KB + 5 * n * KB));
                let other = (0..6).map(|n| (format!("distroless {version} {n}"), random.size(20 * KB, MB)));
                common.chain(other).collect()
            }
            1 => vec![(format!("alpine {version}"), random.size(2_700 * KB, 3_600 * KB))],
            2 => vec![(format!("debian {version}"), random.size(22 * MB, 75 * MB))],
            3 => {
                let python = (0..3).map(|n| (format!("python {version} {n}"), random.size(2 * MB, 60 * MB)));
                std::iter::once((format!("debian {version}"), 50 * MB)).chain(python).collect()
            }
            _ => Vec::new(),
        });
        let mut layers = layers.clone();
        for _ in 0..family.min(count - images.len()) {
            let name = format!("registry.example/family{seed}/app{}:v1.2.3", images.len());
            let mut some = |most: u64, from: u64, to: u64| -> Vec<u64> {
                (0..=random.below(most)).map(|_| random.size(from, to)).collect()
            };
            let own = match base {
                0 => some(1, 12 * MB, 60 * MB),
                1 => [some(3, MB, 30 * MB), some(1, 10 * MB, 80 * MB), vec![10 * KB]].concat(),
                2 => some(5, 500 * KB, 120 * MB),
                3 => some(4, MB, 60 * MB),
                4 => some(1, 300 * KB, 60 * MB),
                _ => some(8, 500 * KB, 80 * MB),
            };
            if base == 5 {
                layers = vec![(name.clone(), random.size(3 * MB, 80 * MB))];
            }
            images.push(image(name, &["amd64", "arm64"], &layers, &own, false));
        }
    }
    images
}

/// What the next version of an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// The same base.
    Same,
    /// One that no image had before.
    New,
    /// That of another image.
    Of(usize),
}

/// The next version of an image: its own layers are others of the same size.
pub(super) fn upgraded(images: &[Sample], at: usize, base: Base) -> Vec<Sample> {
    let mut images = images.to_vec();
    let is_base = |layer: &(String, u64)| layer.0.starts_with("base");
    let other = if let Base::Of(other) = base { images[other].manifests.clone() } else { Vec::new() };
    let image = &mut images[at];
    image.name = image.name.replace(":v1.", ":v2.");
    for (layer, _) in image.manifests.iter_mut().flat_map(|(_, layers)| layers) {
        if base == Base::New || !layer.starts_with("base") {
            layer.insert_str(0, "new ");
        }
    }
    if other.len() == image.manifests.len() {
        for ((_, layers), (_, other)) in image.manifests.iter_mut().zip(other) {
            let own = layers.iter().filter(|layer| !is_base(layer)).cloned();
            *layers = other.into_iter().filter(is_base).chain(own).collect();
        }
    }
    images
}

/// The sizes of all blobs of images.
pub(super) fn sizes<'a>(images: impl IntoIterator<Item = &'a Sample>) -> BTreeMap<Digest, u64> {
    let mut sizes = BTreeMap::new();
    for (arch, layers) in images.into_iter().flat_map(|image| &image.manifests) {
        sizes.insert(Digest::of(format!("{arch} {layers:?}").as_bytes()), 500);
        sizes.extend(layers.iter().map(|(layer, bytes)| (Digest::of(layer.as_bytes()), *bytes)));
    }
    sizes
}
