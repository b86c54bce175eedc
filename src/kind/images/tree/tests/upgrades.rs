//! What the upgrade of each image pushes, simulated: the plans before and after, compared layer by layer.

use std::collections::{BTreeMap, BTreeSet};

use crate::kind::images::tree::tests::fleet::{Base, many, real, sizes, upgraded};
use crate::kind::images::tree::tests::{
    BOTH, Content, Options, Planned, Resolved, Sample, artifacts, bases, plan, resolve, spec,
};
use crate::name::Digest;
use crate::plan::Layer;

/// A layer by its content.
type Held = Vec<(String, Option<String>)>;

/// Plans of one set of images and of its upgrades.
struct Simulation {
    definition: String,
    images: Vec<Sample>,
    resolved: BTreeMap<String, Resolved>,
    sizes: BTreeMap<Digest, u64>,
    before: BTreeSet<Held>,
    /// The layers of an image, with those of its base: the most that a platform has.
    layers: usize,
    /// The bytes of all layers.
    bytes: u64,
}

/// What an upgrade pushes.
#[derive(Debug, Clone, Copy)]
struct Pushed {
    /// As a multiple of the image's own bytes.
    ratio: f64,
    /// What is more than these, as a part of all bytes.
    extra: f64,
}

fn held(layer: &Layer) -> Held {
    let entries = layer.entries.iter().map(|entry| match &entry.content {
        Content::Text(text) => (entry.path.clone(), Some(text.clone())),
        Content::Artifact(_) => (entry.path.clone(), None),
    });
    entries.collect()
}

fn bytes_of(planned: &Planned, layer: &Layer, sizes: &BTreeMap<Digest, u64>) -> u64 {
    let bytes = layer.entries.iter().map(|entry| match &entry.content {
        Content::Text(text) => text.len() as u64,
        Content::Artifact(id) => sizes[planned.digest(*id)],
    });
    bytes.sum()
}

impl Simulation {
    fn new(definition: &str, images: Vec<Sample>) -> Self {
        let mut simulation = Self {
            definition: definition.to_owned(),
            sizes: sizes(&images),
            images,
            resolved: BTreeMap::new(),
            before: BTreeSet::new(),
            layers: 0,
            bytes: 0,
        };
        let wanted = spec(definition, &simulation.images);
        for image in &wanted.images {
            let name = image.spans[0].text();
            let sample = simulation.images.iter().find(|sample| sample.name == name).expect("it is one of them");
            simulation.resolved.insert(name.to_owned(), resolve(image, sample));
        }
        let planned = simulation.plan(&simulation.images);
        let plan = &planned.plan;
        simulation.before = plan.layers.iter().map(held).collect();
        simulation.layers = plan.images.iter().map(|image| image.layers.len() + 5).max().unwrap_or(0);
        simulation.bytes = plan.layers.iter().map(|layer| bytes_of(&planned, layer, &simulation.sizes)).sum();
        simulation
    }

    fn plan(&self, images: &[Sample]) -> Planned {
        let spec = spec(&self.definition, images);
        let resolved: Vec<Resolved> = spec
            .images
            .iter()
            .map(|image| {
                let name = image.spans[0].text();
                let new = || resolve(image, images.iter().find(|sample| sample.name == name).expect("one of them"));
                self.resolved.get(name).cloned().unwrap_or_else(new)
            })
            .collect();
        let artifacts = artifacts(spec.image_section(), &resolved);
        let plan =
            plan(spec.image_section(), &resolved, &artifacts, &bases(&BOTH), &Options::default()).expect("a plan");
        Planned { plan, artifacts }
    }

    /// What is stored more than once, as a part of all.
    #[expect(clippy::cast_precision_loss, reason = "sizes in tests are small")]
    fn repeated(&self) -> f64 {
        let once: u64 = self.sizes.values().sum();
        let texts: u64 = self.before.iter().flatten().filter_map(|(_, text)| Some(text.as_ref()?.len() as u64)).sum();
        self.bytes as f64 / (once + texts) as f64 - 1.0
    }

    #[expect(clippy::cast_precision_loss, reason = "sizes in tests are small")]
    fn upgrade(&self, at: usize, base: Base) -> Pushed {
        let images = upgraded(&self.images, at, base);
        let of_image = sizes(&images[at..=at]);
        let own: u64 = of_image.values().sum();
        let mut sizes = self.sizes.clone();
        sizes.extend(of_image);
        let planned = self.plan(&images);
        let new = planned.plan.layers.iter().filter(|layer| !self.before.contains(&held(layer)));
        let pushed: u64 = new.map(|layer| bytes_of(&planned, layer, &sizes)).sum();
        Pushed { ratio: pushed as f64 / own as f64, extra: (pushed as f64 - own as f64) / self.bytes as f64 }
    }

    /// The upgrade of every image, each to another base.
    fn upgrades(&self, step: usize, base: impl Fn(usize) -> Base) -> Vec<Pushed> {
        (0..self.images.len()).step_by(step).map(|at| self.upgrade(at, base(at))).collect()
    }
}

/// Another image, chosen by number.
fn other(count: usize) -> impl Fn(usize) -> Base {
    move |at| Base::Of((at * 31 + 11) % count)
}

/// What the worst upgrade pushes, of every `step`th image: with the same base, a new one, and another image's.
fn worst(simulation: &Simulation, step: usize) -> Pushed {
    let count = simulation.images.len();
    let pushed = [
        simulation.upgrades(step, |_| Base::Same),
        simulation.upgrades(step, |_| Base::New),
        simulation.upgrades(step, other(count)),
    ];
    let most = |of: fn(&Pushed) -> f64| pushed.iter().flatten().map(of).fold(0.0, f64::max);
    Pushed { ratio: most(|one| one.ratio), extra: most(|one| one.extra) }
}

/// As many images as a Kubespray release has: every one of them, whatever becomes of its base.
#[test]
fn no_upgrade_of_57_pushes_more_than_one_and_a_half_of_the_image() {
    for (images, step) in [(many(57), 1), (real(57, 1), 4)] {
        let simulation = Simulation::new("", images);
        let worst = worst(&simulation, step);
        assert!(worst.ratio <= 1.5, "{worst:?}");
        assert!(simulation.layers <= 120, "{}", simulation.layers);
        // What lies in the layers of several images: a blob that is small beside each of them.
        assert!(simulation.repeated() <= 0.05, "{}", simulation.repeated());
    }
}

/// With room for a layer of each.
#[test]
fn with_300_layers_no_upgrade_of_150_pushes_more_than_one_and_a_half_of_the_image() {
    let simulation = Simulation::new("registry: {layers: 300}\n", real(150, 1));
    let worst = worst(&simulation, 10);
    assert!(worst.ratio <= 1.5, "{worst:?}");
    assert!(simulation.layers <= 300, "{}", simulation.layers);
}

/// Without, the smallest share layers: an upgrade moves the image, and at most a sixteenth of everything.
#[test]
fn by_default_an_upgrade_of_150_pushes_the_image_and_little_else() {
    let simulation = Simulation::new("", real(150, 1));
    let pushed = simulation.upgrades(10, |_| Base::Same);
    assert!(pushed.iter().all(|one| one.ratio <= 1.5 || one.extra <= 1.0 / 16.0), "{pushed:?}");
    assert!(pushed.iter().filter(|one| one.ratio <= 1.5).count() >= 6, "{pushed:?}");
    assert!(simulation.layers <= 120, "{}", simulation.layers);
}
