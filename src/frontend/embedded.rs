//! kso itself in the images: `/kso`, and the lock next to it, so that `kso verify` is at the site without a network. Owns for
//! which platforms it can be had; does not know what else the images hold.

use std::collections::BTreeMap;

use buildkit::gateway::{Client, Error, Options, ResolveMode};
use buildkit::llb::{self, Image, State};

use super::lock::Locked;
use super::self_image;
use crate::lower::Lowering;
use crate::lower::images::Runner;
use crate::name::Platform;
use crate::oci;
use crate::plan::LARGEST_LOCK;

/// What the image of each platform has above its content.
#[derive(Debug, Clone, Default)]
pub(super) struct Embedded {
    /// Names and layers, the lowest first.
    layers: BTreeMap<Platform, Vec<(String, State)>>,
}

impl Embedded {
    /// kso for these platforms, as far as the frontend's own image has it; the progress tells what is left out.
    pub(super) async fn of(
        client: &Client,
        options: &Options,
        lowering: &Lowering,
        lock: Option<&Locked>,
        platforms: &[Platform],
    ) -> Result<Self, Error> {
        let Some(own) = self_image::image(options) else {
            client.note("[kso] not in the image: BuildKit does not report where this frontend came from").await?;
            return Ok(Self::default());
        };
        let text = lock.map(Locked::text);
        let beside = text.as_ref().filter(|text| text.len() <= LARGEST_LOCK);
        if text.is_some() && beside.is_none() {
            client.note("[kso] the lock is too large for the image: copy it separately").await?;
        }
        let beside = beside.map(|text| ("the lock".to_owned(), lowering.lock_layer(text)));
        let mut carried = Self::default();
        for platform in platforms {
            let Some(root) = root(client, &own, &platform.into()).await? else {
                client
                    .note(&format!("[kso] not in the image of {platform}: the frontend's image does not support it"))
                    .await?;
                continue;
            };
            let kso = ("kso verify".to_owned(), lowering.kso_layer(&root, &own.program));
            carried.layers.insert(platform.clone(), beside.iter().cloned().chain([kso]).collect());
        }
        Ok(carried)
    }

    /// The names of the layers, by platform.
    pub(super) fn names(&self) -> BTreeMap<Platform, Vec<String>> {
        let names = |layers: &Vec<(String, State)>| layers.iter().map(|(name, _)| name.clone()).collect();
        self.layers.iter().map(|(platform, layers)| (platform.clone(), names(layers))).collect()
    }

    /// The layers of the image of a platform, the lowest first.
    pub(super) fn layers(&self, platform: &Platform) -> impl Iterator<Item = State> {
        self.layers.get(platform).into_iter().flatten().map(|(_, layer)| layer.clone())
    }
}

/// The frontend's own image of a platform; `None` where there is none.
///
/// That of the builder's platform is there already: it runs. Others are asked for by the digest that all platforms share.
/// Only an answer leaves one out: if there is none because there is no network, BuildKit may still have the image, and a
/// layer that is left out for such a reason would make other images of the same lock.
async fn root(client: &Client, own: &Runner, platform: &llb::Platform) -> Result<Option<State>, Error> {
    if *platform == own.platform {
        return Ok(Some(own.root.clone()));
    }
    let Some(reference) = own.root.image_reference().filter(|reference| reference.contains("@sha256:")) else {
        return Ok(None);
    };
    let name = format!("[internal] look for {platform} in the frontend's image");
    match client.resolve_image_config(&reference, Some(platform), ResolveMode::Default, &name).await {
        // The only manifest of an image without an index is given for every platform.
        Ok(image) if !is_for(&image.config, platform) => return Ok(None),
        Err(error) if error.message().contains("no match for platform") => return Ok(None),
        Err(error) if error.is_disconnected() => return Err(error),
        Ok(_) | Err(_) => {}
    }
    Ok(Some(Image::new(&reference, platform).state().named(format!("[internal] {platform} of {reference}"))))
}

/// Whether the config of an image is for a platform.
fn is_for(config: &[u8], platform: &llb::Platform) -> bool {
    let of = oci::image_platform(config);
    of.is_ok_and(|of| of.os == platform.os && of.architecture == platform.architecture)
}
