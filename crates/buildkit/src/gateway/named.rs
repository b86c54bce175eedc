//! Contexts that the user names: `--build-context NAME=…`, and bake's `contexts`. Follows
//! `frontend/dockerui/namedcontext.go` of BuildKit; does not know what a name is used for.

use super::git::GitRef;
use super::path::clean;
use super::{BuildContext, Error, Options, Platform, ResolvedImage};
use crate::llb;

/// What a name stands for.
#[derive(Debug, Clone)]
pub struct NamedContext {
    /// What the user calls it, with the platform if it is one's own.
    pub name: String,
    /// Its files; none if it is empty (`docker-image://scratch`).
    pub state: Option<llb::State>,
    /// The image that it is, if it is one.
    pub image: Option<ResolvedImage>,
}

impl NamedContext {
    fn files(name: &str, state: llb::State) -> Self {
        Self { name: name.to_owned(), state: Some(state), image: None }
    }
}

/// What the user wrote for a named context; nothing was asked yet.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// A git repository.
    Git(GitRef),
    /// Nothing: `docker-image://scratch`.
    Empty,
    /// An image of a registry, by the name that was written.
    Image(&'a str),
    /// An image of an OCI layout of the client.
    OciLayout {
        /// What the client calls the layout.
        store: &'a str,
        /// The digest of its index or manifest.
        digest: &'a str,
    },
    /// A file by its URL.
    Url,
    /// A directory of the client, by the name that it is offered as.
    Local(&'a str),
}

impl<'a> Value<'a> {
    fn parse(value: &'a str) -> Result<Self, Error> {
        if let Some(git) = GitRef::parse(value) {
            return Ok(Self::Git(git?));
        }
        let (scheme, rest) = value.split_once(':').unwrap_or_default();
        let reference = rest.trim_start_matches("//");
        match scheme {
            "docker-image" if reference == "scratch" => Ok(Self::Empty),
            "docker-image" => Ok(Self::Image(reference)),
            "oci-layout" => {
                let (store, digest) =
                    reference.split_once('@').ok_or_else(|| Error::new("an OCI layout requires a digest"))?;
                Ok(Self::OciLayout { store: without_tag(store), digest })
            }
            "http" | "https" => Ok(Self::Url),
            "local" => Ok(Self::Local(rest)),
            _ => Err(Error::new("this kind of context is not supported")),
        }
    }
}

impl Options {
    /// What the user wrote in the place of `name` on a platform.
    ///
    /// # Errors
    /// A value that is not understood.
    pub fn named_value(&self, name: &str, platform: &Platform) -> Result<Option<Value<'_>>, Error> {
        let Some((full, value)) = self.named_context(name, Some(platform)) else { return Ok(None) };
        let parsed = Value::parse(value).map_err(|error| error.context(format!("build context {full}={value}")));
        parsed.map(Some)
    }
}

impl BuildContext {
    /// What the user put in the place of `name`, which may be an image's (`docker.io/library/nginx:1.27`) or any other;
    /// none if nothing. An image is resolved, and named by its digest.
    ///
    /// # Errors
    /// A value that is not understood (`input:…` is not yet), and what cannot be resolved.
    pub async fn named(&self, name: &str, platform: &Platform) -> Result<Option<NamedContext>, Error> {
        self.named_part(name, platform, &[]).await
    }

    /// [`Self::named`], of which only `paths` are wanted: of a directory the client sends nothing else. Empty for everything.
    ///
    /// # Errors
    /// As of [`Self::named`].
    pub async fn named_part(
        &self,
        name: &str,
        platform: &Platform,
        paths: &[String],
    ) -> Result<Option<NamedContext>, Error> {
        let Some((full, value)) = self.options.named_context(name, Some(platform)) else { return Ok(None) };
        let context = self.load(&full, value, platform, paths).await;
        context.map(Some).map_err(|error| error.context(format!("build context {full}={value}")))
    }

    async fn load(
        &self,
        name: &str,
        value: &str,
        platform: &Platform,
        paths: &[String],
    ) -> Result<NamedContext, Error> {
        match Value::parse(value)? {
            Value::Git(git) => {
                let state = git.state(false).named(format!("[context {name}] load git source {value}"));
                Ok(NamedContext::files(name, state))
            }
            Value::Empty => Ok(NamedContext { name: name.to_owned(), state: None, image: None }),
            Value::Image(reference) => {
                let progress = format!("[context {name}] load metadata for {reference}");
                let mode = self.options.resolve_mode()?;
                let full = full_name(reference);
                let image = self.client.resolve_image_config(&full, Some(platform), mode, &progress).await?;
                let state = llb::Image::new(&image.pinned(), platform).state();
                Ok(NamedContext {
                    name: name.to_owned(),
                    state: Some(state.named(format!("[context {name}] {reference}"))),
                    image: Some(image),
                })
            }
            Value::OciLayout { store, digest } => {
                let plain = name.split("::").next().unwrap_or(name);
                let shown = format!("{}@{digest}", without_tag(&full_name(plain)));
                let session = self.options.session();
                let progress = format!("[context {name}] load metadata for {shown}");
                let image = self.client.resolve_oci_layout(&shown, (session, store), Some(platform), &progress).await?;
                let state = llb::Image::oci_layout(&shown, store, session, platform).state();
                let state = state.named(format!("[context {name}] OCI load from client"));
                Ok(NamedContext { name: name.to_owned(), state: Some(state), image: Some(image) })
            }
            Value::Url => {
                let file = llb::Http::new(value).filename("context").state();
                Ok(NamedContext::files(name, file.named(format!("[context {name}] {value}"))))
            }
            Value::Local(folder) => Ok(NamedContext::files(name, self.local(name, folder, paths).await?)),
        }
    }

    /// A directory of the client without what its `.dockerignore` names.
    async fn local(&self, name: &str, folder: &str, paths: &[String]) -> Result<llb::State, Error> {
        const IGNORE: &str = ".dockerignore";
        let session = self.options.local_session(folder);
        let local = || llb::Local::new(folder).session(session);
        let ignore = local().follow_paths(&[IGNORE]).shared_key_hint(&format!("context:{name}-{IGNORE}")).differ_none();
        let ignore = ignore.state().named(format!("[context {name}] load {IGNORE}"));
        let ignore = self.client.solve_state(&ignore).await?.read_file(IGNORE, self.limit).await?;
        let ignored = ignore.bytes().map(|bytes| ignore_patterns(&String::from_utf8_lossy(&bytes))).unwrap_or_default();
        let key = self.options.get(&format!("sharedkey:localdir:{name}")).unwrap_or_default();
        let files = local().shared_key_hint(&format!("context:{name}-{key}")).exclude_patterns(&ignored);
        let files = if paths.is_empty() { files } else { files.follow_paths(paths) };
        Ok(files.state().named(format!("[context {name}] load from client")))
    }
}

/// The full name of an image: `alpine` is `docker.io/library/alpine:latest`.
fn full_name(reference: &str) -> String {
    let host = |part: &str| part.contains(['.', ':']) || part == "localhost" || part.chars().any(char::is_uppercase);
    let full = match reference.split_once('/') {
        Some((first, _)) if host(first) => reference.to_owned(),
        Some(_) => format!("docker.io/{reference}"),
        None => format!("docker.io/library/{reference}"),
    };
    if full.contains('@') || without_tag(&full) != full { full } else { format!("{full}:latest") }
}

/// A name without its tag: a colon before the last slash is a port's.
fn without_tag(name: &str) -> &str {
    let path = name.rfind('/').map_or(0, |slash| slash + 1);
    name[path..].find(':').map_or(name, |colon| &name[..path + colon])
}

/// The patterns of a `.dockerignore`, as BuildKit's client takes them.
fn ignore_patterns(text: &str) -> Vec<String> {
    let lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(str::trim).filter(|line| !line.is_empty());
    let shortest = |pattern: &str| match clean(pattern) {
        empty if empty.is_empty() => ".".to_owned(),
        pattern => pattern,
    };
    lines
        .map(|line| line.strip_prefix('!').map_or_else(|| shortest(line), |line| format!("!{}", shortest(line.trim()))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fake;

    async fn named(fake: &Fake, name: &str) -> Result<Option<NamedContext>, Error> {
        let context = BuildContext::new(&fake.connect().await, &fake.options()).await?;
        context.named(name, &Platform::linux("arm64")).await
    }

    /// Identifier and attributes of a context, one to a line.
    async fn source(fake: &Fake, name: &str) -> String {
        let context = named(fake, name).await.expect("understood").expect("named");
        let state = context.state.expect("not empty");
        fake.connect().await.solve_state(&state).await.expect("solved");
        let source = fake.solves().last().expect("a solve").sources().pop().expect("a source");
        source.attrs.iter().fold(source.identifier, |text, (key, value)| format!("{text}\n{key} {value}"))
    }

    #[tokio::test]
    async fn an_image_in_the_place_of_another() {
        let fake = Fake::new()
            .option("context:nginx", "docker-image://mirror.example/nginx:2")
            .image("mirror.example/nginx:2", "{}");
        let context = named(&fake, "docker.io/library/nginx:latest").await.expect("resolved").expect("named");
        let image = context.image.expect("an image");
        assert_eq!(image.config, b"{}");
        assert_eq!(source(&fake, "nginx").await, format!("docker-image://{}", image.pinned()));
        assert!(named(&fake, "docker.io/library/alpine:latest").await.expect("nothing").is_none());
        let lost = Fake::new().option("context:nginx", "docker-image://alpine");
        assert_eq!(
            named(&lost, "nginx").await.expect_err("no image").message(),
            "build context nginx=docker-image://alpine: docker.io/library/alpine:latest: not found"
        );
        let empty = Fake::new().option("context:nginx", "docker-image://scratch");
        assert!(named(&empty, "nginx").await.expect("resolved").expect("named").state.is_none());
    }

    #[tokio::test]
    async fn an_image_of_the_client() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let fake = Fake::new()
            .option("context:nginx:1.27::linux/arm64", &format!("oci-layout://store:x@{digest}"))
            .image(&format!("docker.io/library/nginx@{digest}"), "{}");
        assert_eq!(
            source(&fake, "docker.io/library/nginx:1.27").await,
            format!("oci-layout://docker.io/library/nginx@{digest}\noci.session session\noci.store store")
        );
    }

    #[tokio::test]
    async fn other_kinds() {
        let fake = Fake::new()
            .option("context:a", "https://example.com/foo.git#v1")
            .option("context:b", "https://example.com/x.bin")
            .option("context:c", "local:folder")
            .option("context:d", "input:target")
            .option("sharedkey:localdir:c", "key")
            .local("folder", ".dockerignore", "# no\n\n/tmp\n!  tmp/x \n./a//b\n");
        assert!(source(&fake, "a").await.starts_with("git://example.com/foo.git#v1\n"));
        assert_eq!(source(&fake, "b").await, "https://example.com/x.bin\nhttp.filename context");
        assert_eq!(
            source(&fake, "c").await,
            "local://folder\nlocal.excludepatterns [\"tmp\",\"!tmp/x\",\"a/b\"]\nlocal.session session\n\
             local.sharedkeyhint context:c-key"
        );
        assert_eq!(
            named(&fake, "d").await.expect_err("not yet").message(),
            "build context d=input:target: this kind of context is not supported"
        );
    }

    #[test]
    fn names_of_images_are_completed() {
        for (short, full) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("alpine:3", "docker.io/library/alpine:3"),
            ("org/x", "docker.io/org/x:latest"),
            ("localhost/x", "localhost/x:latest"),
            ("host:5000/x", "host:5000/x:latest"),
            ("ghcr.io/org/x@sha256:1", "ghcr.io/org/x@sha256:1"),
        ] {
            assert_eq!(full_name(short), full);
        }
    }
}
