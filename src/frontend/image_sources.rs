//! Where container images come from: their registries and mirrors, or what the user put in their place (`--build-context`).
//! Owns which name leads where, and what may stand for an image; does not know how a registry is asked.
//!
//! * `images` is a directory with an OCI layout of many images; what it lacks comes from registries.
//! * The name of one image is another image, or an OCI layout that has it. Nothing else is asked for it then.

use std::collections::{BTreeMap, BTreeSet};

use buildkit::gateway::{Error, Platform, Value};
use buildkit::llb::State;

use super::Build;
use super::layout::Layout;
use super::report::Failure;
use crate::diagnostic::Diagnostic;
use crate::kind::images::Image;
use crate::lower::{FETCHED, images};
use crate::name::{Digest, ImageRef};
use crate::origin::Mirrors;

/// The name that all images go by.
pub(super) const IMAGES: &str = "images";

/// What may be asked for a blob of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A repository, with its registry: `quay.io/calico/node`.
    Repository(String),
    /// What the user put in the place of this image.
    Context(ImageRef),
}

impl Place {
    /// As it is reported: `quay.io/calico/node`.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Repository(name) => name,
            Self::Context(image) => image.as_str(),
        }
    }
}

/// All places of a build.
#[derive(Debug)]
pub(super) struct ImageSources {
    session: String,
    mirrors: Mirrors,
    /// What stands for all registries.
    layout: Option<Layout>,
    /// What stands for one image.
    given: BTreeMap<ImageRef, Given>,
}

/// What the user put in the place of one image.
#[derive(Debug)]
struct Given {
    kind: Kind,
    /// What it leads to; `None` where a registry must be asked.
    digest: Option<Digest>,
}

#[derive(Debug)]
enum Kind {
    /// Another image of a registry.
    Registry(ImageRef),
    /// An OCI layout of the client, by what the client calls it.
    Store(String),
    /// A directory with an OCI layout.
    Folder(Box<Layout>),
}

/// What to write where something cannot stand for an image.
const HELP: &str =
    "an image comes from `docker-image://IMAGE`, from `oci-layout://DIR:TAG`, or from a directory with an OCI layout";

impl ImageSources {
    /// The places of the images of the specification. Reports to the user which are not their registries.
    pub(super) async fn load(build: &Build<'_>) -> Result<Self, Failure> {
        let Build { client, options, spec, .. } = *build;
        let layout = Layout::load(build, IMAGES).await?;
        let (session, mirrors) = (options.session().to_owned(), spec.mirrors.clone());
        let mut places = Self { session, mirrors, layout, given: BTreeMap::new() };
        let (mut problems, mut seen) = (Vec::new(), BTreeSet::new());
        for image in spec.images.iter().filter(|image| seen.insert(&image.reference)) {
            match given(build, &image.reference).await {
                Ok(None) => {}
                Ok(Some(given)) => {
                    client.note(&format!("[images] {} from {}", image.reference, given.shown())).await?;
                    places.put(&image.reference, given);
                }
                Err(Failure::Problems(more)) => problems.extend(more.into_iter().map(|problem| at(image, problem))),
                Err(other) => return Err(other),
            }
        }
        if problems.is_empty() { Ok(places) } else { Err(problems.into()) }
    }

    fn put(&mut self, image: &ImageRef, given: Given) {
        let other = if let Kind::Registry(other) = &given.kind { other } else { image };
        self.mirrors.replace(image, other);
        self.given.insert(image.clone(), given);
    }

    /// The names to ask for each image by.
    pub(super) fn mirrors(&self) -> &Mirrors {
        &self.mirrors
    }

    /// The places to ask for a blob of an image, in order.
    pub(super) fn of(&self, image: &ImageRef) -> Vec<Place> {
        match self.given.get(image) {
            Some(Given { kind: Kind::Store(_) | Kind::Folder(_), .. }) => vec![Place::Context(image.clone())],
            _ => self.mirrors.images(image).iter().map(|place| Place::Repository(place.name().to_owned())).collect(),
        }
    }

    /// The digest that a name leads to, where no registry needs to be asked.
    pub(super) fn digest(&self, image: &ImageRef) -> Option<Digest> {
        let given = self.given.get(image).and_then(|given| given.digest.clone());
        given.or_else(|| image.digest()).or_else(|| self.layout.as_ref()?.digest(image))
    }

    /// What one image is replaced by that needs no lock: the name to ask for, and the digest if it is known.
    pub(super) fn replaced(&self, image: &ImageRef) -> Option<(&ImageRef, Option<&Digest>)> {
        let given = self.given.get_key_value(image);
        given.map(|(name, given)| match &given.kind {
            Kind::Registry(other) => (other, given.digest.as_ref()),
            Kind::Store(_) | Kind::Folder(_) => (name, given.digest.as_ref()),
        })
    }

    /// The vertex of a blob of the layout that stands for all registries, with it as [`FETCHED`].
    pub(super) fn blob_of_all(&self, digest: &Digest) -> Option<State> {
        self.layout.as_ref()?.blob(digest)
    }

    /// How to tell who gave wrong bytes for a blob of an image.
    pub(super) fn sender(&self, image: &ImageRef, digest: &Digest) -> &'static str {
        if self.is_given(image) {
            "its build context has"
        } else if self.blob_of_all(digest).is_some() {
            "the build context images has"
        } else {
            "the registry sent"
        }
    }

    /// Whether an image comes from no registry.
    pub(super) fn is_given(&self, image: &ImageRef) -> bool {
        matches!(self.of(image)[..], [Place::Context(_)])
    }

    /// The vertex of a blob in a place, asked for after `earlier` attempts, and the name of the file in it. With `fresh`
    /// nothing that is cached will do.
    pub(super) fn blob(&self, place: &Place, digest: &Digest, earlier: u32, fresh: bool) -> (State, String) {
        let file = images::blob_file(earlier);
        let image = match place {
            Place::Repository(name) => return (images::blob(name, digest, earlier, fresh), file),
            Place::Context(image) => image,
        };
        match self.given.get(image).map(|given| &given.kind) {
            Some(Kind::Folder(layout)) => (layout.vertex(digest), FETCHED.to_owned()),
            Some(Kind::Store(store)) => {
                let store = (store.as_str(), self.session.as_str());
                (images::layout_blob(image.name(), digest, store, earlier, fresh), file)
            }
            Some(Kind::Registry(other)) => (images::blob(other.name(), digest, earlier, fresh), file),
            None => (images::blob(image.name(), digest, earlier, fresh), file),
        }
    }

    /// The bytes of a document of an image, of a layout in a directory that stands for it or for all registries; they are not
    /// proved. `None` where none has it.
    pub(super) async fn read(&self, image: &ImageRef, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let own = match self.given.get(image) {
            Some(Given { kind: Kind::Folder(layout), .. }) => Some(&**layout),
            _ => None,
        };
        match own.or(self.layout.as_ref()) {
            Some(layout) => layout.read(digest).await,
            None => Ok(None),
        }
    }
}

impl Given {
    /// As the user is told it. The client's name of a layout is another in each build.
    fn shown(&self) -> String {
        let digest = self.digest.as_ref().map(ToString::to_string).unwrap_or_default();
        match &self.kind {
            Kind::Registry(other) => other.to_string(),
            Kind::Store(_) => format!("an OCI layout, {digest}"),
            Kind::Folder(_) => format!("a directory with an OCI layout, {digest}"),
        }
    }
}

/// What the user put in the place of one image, if anything.
async fn given(build: &Build<'_>, image: &ImageRef) -> Result<Option<Given>, Failure> {
    let Build { options, spec, .. } = *build;
    let platforms: Vec<Platform> = spec.architectures.iter().map(|arch| Platform::linux(arch.as_str())).collect();
    let value = |platform| options.named_context(image.as_str(), Some(platform)).map(|(_, value)| value);
    let values: BTreeSet<Option<&str>> = platforms.iter().map(value).collect();
    let Some(first) = platforms.first().filter(|_| values.iter().any(Option::is_some)) else { return Ok(None) };
    if values.len() > 1 {
        let problem = Diagnostic::error(format!("the build contexts of {image} differ between platforms"));
        return Err(problem.help("an image is used for all platforms: write its name without `::PLATFORM`").into());
    }
    let problem = |why: &str| Failure::from(Diagnostic::error(format!("the build context {image} {why}")).help(HELP));
    let value = options.named_value(image.as_str(), first);
    let value = value.map_err(|error| Diagnostic::error(error.message()).help(HELP))?;
    let (kind, digest) = match value {
        None => return Ok(None),
        Some(Value::Image(name)) => {
            let other: ImageRef =
                name.parse().map_err(|_| problem(&format!("is `{name}`, which is not a valid image name")))?;
            let digest = other.digest();
            (Kind::Registry(other), digest)
        }
        Some(Value::OciLayout { store, digest }) => {
            let digest = digest.parse().map_err(|_| problem(&format!("has the invalid digest `{digest}`")))?;
            (Kind::Store(store.to_owned()), Some(digest))
        }
        Some(Value::Local(_)) => {
            let Some(layout) = Layout::load(build, image.as_str()).await? else { return Ok(None) };
            let digest = layout
                .only(image)
                .ok_or_else(|| problem("is an OCI layout of several images, none of which has this name or tag"))?;
            (Kind::Folder(Box::new(layout)), Some(digest))
        }
        Some(Value::Empty) => return Err(problem("is empty")),
        Some(Value::Git(_)) => return Err(problem("is a git repository, not an image")),
        Some(Value::Url) => return Err(problem("is a file, not an image")),
    };
    match (image.digest(), &digest) {
        (Some(wanted), Some(got)) if wanted != *got => {
            let message = format!("the build context {image} is {got}, but the definition requires {wanted}");
            Err(Diagnostic::error(message).into())
        }
        _ => Ok(Some(Given { kind, digest })),
    }
}

/// A problem of an image, at the line that asked for it.
pub(super) fn at(image: &Image, problem: Diagnostic) -> Diagnostic {
    problem.at(image.spans.first().cloned())
}
