//! BuildKit's gateway as the world of a build: resolves base images and hands over graphs. Does not decide what is
//! asked, nor whether to ask again.

use std::cell::RefCell;
use std::collections::BTreeMap;

use buildkit::gateway::{
    BuildContext, CacheImport, Client, Error, Reference, ResolveMode, ResolvedImage, SolveRequest,
};
use buildkit::llb::State;

use super::Build;
use super::embedded::Embedded;
use super::lock::Locked;
use crate::base::{self, BaseImage, Resolver};
use crate::definition::Spec;
use crate::lock::LockedBase;
use crate::lower::Lowering;
use crate::name::{ImageRef, Platform};

/// One build's way to the world.
pub(super) struct BuildWorld<'a> {
    client: &'a Client,
    context: &'a BuildContext,
    spec: &'a Spec,
    lock: Option<&'a Locked>,
    lowering: &'a Lowering,
    mode: ResolveMode,
    /// Where results may come from that this daemon has not (`--cache-from`): BuildKit looks only where it is told to.
    imports: Vec<CacheImport>,
    /// By platform: the images that the user put in the place of the base image (`--build-context`).
    replaced: RefCell<BTreeMap<Platform, State>>,
    /// What lies above the layers of a plan.
    carried: Embedded,
}

impl<'a> BuildWorld<'a> {
    /// The world of a build. The error is a resolve mode or a cache import that cannot be understood.
    pub(super) fn new(build: &Build<'a>, lowering: &'a Lowering) -> Result<Self, Error> {
        let Build { client, options, context, spec, lock, .. } = *build;
        let (mode, imports) = (options.resolve_mode()?, options.cache_imports()?);
        Ok(Self {
            client,
            context,
            spec,
            lock,
            lowering,
            mode,
            imports,
            replaced: RefCell::default(),
            carried: Embedded::default(),
        })
    }

    /// The same world, with more layers for the images.
    pub(super) fn carrying(self, carried: Embedded) -> Self {
        Self { carried, ..self }
    }

    /// Whether the user put an image of theirs in the place of a base image.
    pub(super) fn is_replaced(&self) -> bool {
        !self.replaced.borrow().is_empty()
    }

    /// Whether results may come from elsewhere than this daemon (`--cache-from`).
    pub(super) fn is_importing(&self) -> bool {
        !self.imports.is_empty()
    }

    /// Seconds since 1970 that everything is dated with.
    pub(super) fn epoch(&self) -> u64 {
        self.lowering.epoch
    }

    /// The bytes of the request that hands over the graph of one platform's image.
    pub(super) fn size_of(&self, base: &BaseImage, layers: &[State]) -> usize {
        self.request(&self.graph(base, layers)).size()
    }

    /// Hands over the graph of one platform's image.
    pub(super) async fn image_of(&self, base: &BaseImage, layers: &[State]) -> Result<Reference, Error> {
        let result = self.client.solve(self.request(&self.graph(base, layers))).await?;
        result.reference.ok_or_else(|| Error::new("BuildKit returned no result"))
    }

    fn graph(&self, base: &BaseImage, layers: &[State]) -> State {
        let replaced = self.replaced.borrow().get(&base.platform).cloned();
        let all: Vec<State> = layers.iter().cloned().chain(self.carried.layers(&base.platform)).collect();
        let base = replaced.unwrap_or_else(|| self.lowering.base(base));
        self.lowering.image(&base, &all)
    }

    pub(super) fn request(&self, state: &State) -> SolveRequest {
        SolveRequest::new(&state.marshal()).cache_imports(self.imports.iter().cloned())
    }

    /// What the user put in the place of an image, if anything; the error is a sentence.
    async fn replaced(&self, image: &ImageRef, platform: &Platform) -> Result<Option<BaseImage>, String> {
        let named = self.context.named(image.as_str(), &platform.into()).await;
        let Some(context) = named.map_err(|error| error.message().to_owned())? else { return Ok(None) };
        let (Some(state), Some(resolved)) = (context.state, context.image) else {
            return Err("the build context that replaces it is not an image".into());
        };
        self.replaced.borrow_mut().insert(platform.clone(), state);
        Ok(Some(base_image(image, platform, resolved)))
    }

    /// Whether an image is asked for at other places than its own registry.
    fn is_mirrored(&self, image: &ImageRef) -> bool {
        self.spec.mirrors.of_image(image).is_some()
    }
}

impl Resolver for BuildWorld<'_> {
    async fn image(&self, reference: &ImageRef, platform: &Platform) -> Result<BaseImage, String> {
        if let Some(base) = self.replaced(reference, platform).await? {
            return Ok(base);
        }
        let locked = self.lock.and_then(|lock| lock.lock().base(reference));
        let base = locked.and_then(|locked| locked.base(platform));
        if let Some(base) = base.as_ref().filter(|_| !self.is_mirrored(reference)) {
            return Ok(base.clone());
        }
        // A platform that was not locked is a part of the same index.
        let pinned = locked.map(LockedBase::pinned);
        let reference = pinned.as_ref().unwrap_or(reference);
        let ask = async |place: ImageRef| {
            let name = format!("[internal] load metadata for {place} ({platform})");
            let image =
                self.client.resolve_image_config(place.as_str(), Some(&platform.into()), self.mode, &name).await?;
            Ok::<_, Error>(base_image(&place, platform, image))
        };
        match (base::first_of(&self.spec.mirrors, reference, ask).await, base) {
            // With a lock the answer tells only which mirror has it.
            (Ok(image), Some(base)) => Ok(BaseImage { reference: image.reference, ..base }),
            (Ok(image), None) => Ok(image),
            // It may be that nothing of it needs to be fetched.
            (Err(_), Some(base)) => Ok(base),
            (Err(why), None) => Err(why),
        }
    }
}

/// What BuildKit resolved `asked` to. It may name another image than was asked for, where a policy of the daemon says so.
pub(super) fn base_image(asked: &ImageRef, platform: &Platform, image: ResolvedImage) -> BaseImage {
    let reference = image.pinned().parse().unwrap_or_else(|_| asked.clone());
    BaseImage { platform: platform.clone(), reference, config: image.config }
}
