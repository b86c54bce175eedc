//! What the user's client and the daemon tell a frontend through its environment. Pure: built from name-value pairs;
//! does not know the connection, nor what a frontend does with a value.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::platform::{from_json, own_platform, parse_platform};
use super::{CacheImport, Error};
use crate::llb::Platform;

/// The name under which clients offer the build context, unless `contextkey` says otherwise.
pub(super) const CONTEXT: &str = "context";
/// The name under which clients offer the directory of the Dockerfile, unless `dockerfilekey` says otherwise.
pub(super) const DOCKERFILE: &str = "dockerfile";

const OPTION: &str = "BUILDKIT_FRONTEND_OPT_";

/// The options of one build, and what the daemon says of itself.
///
/// The accessors follow `frontend/dockerui` of BuildKit, so that every client (`docker buildx build`, `buildctl`,
/// bake) is understood as it is by the Dockerfile frontend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    values: BTreeMap<String, String>,
    session: String,
    workers: Vec<Worker>,
    product: String,
}

/// A worker of the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Worker {
    /// What it can run, its own platform first; normalised.
    #[serde(deserialize_with = "from_json")]
    pub platforms: Vec<Platform>,
    /// The daemon's version; absent before BuildKit 0.12.
    #[serde(rename = "buildkitVersion", deserialize_with = "nullable")]
    pub buildkit: BuildkitVersion,
}

/// The version of a daemon as it was built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct BuildkitVersion {
    /// The Go module: `github.com/moby/buildkit`.
    pub package: String,
    /// `v0.32.0`; `v0.0.0+unknown` where it was built with `go install`; empty where it is not told.
    pub version: String,
}

/// An attestation that the client asked for: its parameters by name, such as `mode` of `provenance`.
pub type Attestation = BTreeMap<String, String>;

/// How image names are resolved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResolveMode {
    /// The daemon decides.
    #[default]
    Default,
    /// Always ask the registry.
    Pull,
    /// A local image first.
    Local,
}

impl ResolveMode {
    /// As BuildKit's protocol writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Pull => "pull",
            Self::Local => "local",
        }
    }
}

/// Whose cache is not to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCache {
    /// Everything (`--no-cache`).
    All,
    /// The named targets (`--no-cache-filter`).
    Names(Vec<String>),
}

impl Options {
    /// Reads the environment of this process.
    pub fn from_process() -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self::from_env(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// Reads the pairs of an environment; other variables are ignored, and so is a list of workers that cannot be
    /// read (an older daemon).
    pub fn from_env(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut options = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "BUILDKIT_SESSION_ID" => options.session = value,
                "BUILDKIT_WORKERS" => options.workers = workers(&value),
                "BUILDKIT_EXPORTEDPRODUCT" => options.product = value,
                _ if name.starts_with(OPTION) => {
                    let (key, value) = value.split_once('=').unwrap_or((&value, ""));
                    options.values.insert(key.to_owned(), value.to_owned());
                }
                _ => {}
            }
        }
        options
    }

    /// Whether these are the options of a frontend at all: no client starts one without a single option.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of an option; absent options and options without a value differ.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Every option, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.iter().filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value)))
    }

    fn non_empty(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        let Some(value) = self.non_empty(key) else { return Ok(None) };
        boolean(value).map(Some).ok_or_else(|| Error::new(format!("invalid boolean value of `{key}`: `{value}`")))
    }

    /// The session of the client, which serves local directories and secrets.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The session that serves the local directory `name`: the client's own, unless `local-sessionid:<name>` names
    /// another.
    pub fn local_session(&self, name: &str) -> &str {
        self.get(&format!("local-sessionid:{name}")).unwrap_or(&self.session)
    }

    /// The daemon's workers.
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// The product that BuildKit is part of (`docker`, `buildkit`); mostly empty.
    pub fn product(&self) -> &str {
        &self.product
    }

    /// The daemon's version without the `v`, where it names a real one. Daemons built with `go install` say
    /// `v0.0.0+unknown`, and Docker's say Docker's module.
    pub fn buildkit_version(&self) -> Option<&str> {
        let version = &self.workers.first()?.buildkit;
        let number = version.version.strip_prefix('v').unwrap_or(&version.version);
        let real = number.starts_with(|c: char| c.is_ascii_digit()) && !number.starts_with("0.0.0");
        (real && matches!(version.package.as_str(), "" | "github.com/moby/buildkit")).then_some(number)
    }

    /// The definition's path within the directory that the client offers (`-f`), as the user knows it.
    pub fn filename(&self) -> Option<&str> {
        self.non_empty("filename")
    }

    /// The target to build (`--target`).
    pub fn target(&self) -> Option<&str> {
        self.non_empty("target")
    }

    /// Which question is asked instead of a build (`--call`, `--check`).
    pub fn request_id(&self) -> Option<&str> {
        self.get("requestid")
    }

    /// The image that this frontend was started from, as the `# syntax=` line has it.
    pub fn source(&self) -> Option<&str> {
        self.non_empty("source")
    }

    /// The whole value of the `# syntax=` line: the image, then whatever the user wrote after it.
    pub fn command_line(&self) -> Option<&str> {
        self.non_empty("cmdline")
    }

    /// The platforms asked for (`--platform`), normalised, without repetitions; none when the user named none.
    pub fn platforms(&self) -> Result<Vec<Platform>, Error> {
        let mut platforms = Vec::new();
        for name in self.non_empty("platform").into_iter().flat_map(|list| list.split(',')) {
            let platform = parse_platform(name.trim())?;
            if !platforms.contains(&platform) {
                platforms.push(platform);
            }
        }
        Ok(platforms)
    }

    /// The platform to build for when none was asked for: that of the first worker.
    pub fn default_platform(&self) -> Platform {
        self.workers.first().and_then(|worker| worker.platforms.first().cloned()).unwrap_or_else(own_platform)
    }

    /// Whether the result is to be a map by platform: several platforms, or `multi-platform`, or the build argument
    /// `BUILDKIT_MULTI_PLATFORM`.
    pub fn multi_platform(&self) -> Result<bool, Error> {
        let several = self.platforms()?.len() > 1;
        let asked = match self.flag("build-arg:BUILDKIT_MULTI_PLATFORM")? {
            Some(asked) => Some(asked),
            None => self.flag("multi-platform")?,
        };
        match asked {
            Some(false) if several => Err(Error::new("`multi-platform` is false, but several platforms are requested")),
            asked => Ok(asked.unwrap_or(several)),
        }
    }

    /// The build arguments (`--build-arg`).
    pub fn build_args(&self) -> BTreeMap<&str, &str> {
        self.with_prefix("build-arg:").collect()
    }

    /// One build argument, unless it is empty.
    pub fn build_arg(&self, name: &str) -> Option<&str> {
        self.non_empty(&format!("build-arg:{name}"))
    }

    /// The labels to add to the image (`--label`).
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        self.with_prefix("label:").collect()
    }

    /// Whose cache is not to be used; an empty value means everything.
    pub fn no_cache(&self) -> Option<NoCache> {
        self.get("no-cache").map(|names| match names {
            "" => NoCache::All,
            names => NoCache::Names(names.split(',').map(str::to_owned).collect()),
        })
    }

    /// Whether the cache of the target `name` is not to be used.
    pub fn is_no_cache(&self, name: &str) -> bool {
        match self.no_cache() {
            None => false,
            Some(NoCache::All) => true,
            Some(NoCache::Names(names)) => names.iter().any(|known| known.eq_ignore_ascii_case(name)),
        }
    }

    /// How image names are resolved (`--pull`).
    pub fn resolve_mode(&self) -> Result<ResolveMode, Error> {
        match self.get("image-resolve-mode").unwrap_or_default() {
            "" | "default" => Ok(ResolveMode::Default),
            "pull" => Ok(ResolveMode::Pull),
            "local" => Ok(ResolveMode::Local),
            other => Err(Error::new(format!("invalid image-resolve-mode `{other}`"))),
        }
    }

    /// The time (seconds since 1970) that the build argument `SOURCE_DATE_EPOCH` asks for. Names of a context
    /// (`context`), which BuildKit resolves itself, and nonsense are none.
    pub fn source_date_epoch(&self) -> Option<i64> {
        self.build_arg("SOURCE_DATE_EPOCH")?.parse().ok()
    }

    /// The attestations asked for (`--attest`, `--sbom`, `--provenance`), by type.
    pub fn attestations(&self) -> BTreeMap<String, Attestation> {
        let mut all = BTreeMap::new();
        for prefix in ["attest:", "build-arg:BUILDKIT_ATTEST_"] {
            for (kind, parameters) in self.with_prefix(prefix) {
                let parameters = parameters.split(',').filter(|field| !field.is_empty());
                let parameters = parameters.map(|field| field.split_once('=').unwrap_or((field, "")));
                let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
                all.insert(kind.to_lowercase(), parameters.collect());
            }
        }
        all
    }

    /// The caches to import (`--cache-from`). BuildKit looks into them only where a solve names them.
    pub fn cache_imports(&self) -> Result<Vec<CacheImport>, Error> {
        let Some(json) = self.non_empty("cache-imports") else { return Ok(Vec::new()) };
        serde_json::from_str(json).map_err(|error| Error::new(format!("invalid `cache-imports`: {error}")))
    }

    /// The option that holds the main context, if it is not local: `context`, unless `contextkey` names another.
    pub fn main_context(&self) -> Option<&str> {
        self.non_empty(self.get("contextkey").unwrap_or(CONTEXT))
    }

    /// The local name of the Dockerfile's directory, and whether it was forced (`dockerfilekey`): it is then used even
    /// where the main context is remote.
    pub fn dockerfile_local(&self) -> (&str, bool) {
        self.get("dockerfilekey").map_or((DOCKERFILE, false), |name| (name, true))
    }

    /// The directory within a remote context that is the context.
    pub fn context_subdir(&self) -> Option<&str> {
        self.non_empty("contextsubdir")
    }

    /// The value of `--build-context NAME=…`, for a platform if it has one of its own, and the full name that it was
    /// found under.
    pub fn named_context(&self, name: &str, platform: Option<&Platform>) -> Option<(String, &str)> {
        let name = context_name(name);
        let default = own_platform();
        let of_platform = format!("{name}::{}", platform.unwrap_or(&default));
        [of_platform, name].into_iter().find_map(|key| {
            let value = self.get(&format!("context:{key}"))?;
            Some((key, value))
        })
    }
}

impl Options {
    /// The names of the contexts that the user gave which are none of `known`, each once, without a platform.
    pub fn contexts_beside<'a>(&self, known: impl IntoIterator<Item = &'a str>) -> Vec<&str> {
        let known: BTreeSet<String> = known.into_iter().map(context_name).collect();
        let names = self.with_prefix("context:").map(|(name, _)| name.split_once("::").map_or(name, |(name, _)| name));
        let names: BTreeSet<&str> = names.filter(|name| !known.contains(*name)).collect();
        names.into_iter().collect()
    }
}

/// The name that a client stores a named context under: that of an image in its short form.
fn context_name(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    name.strip_suffix(":latest").unwrap_or(name).to_owned()
}

/// Go's `strconv.ParseBool`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn workers(json: &str) -> Vec<Worker> {
    serde_json::from_str::<Option<_>>(json).unwrap_or_default().unwrap_or_default()
}

/// Go writes an absent list as `null`.
pub(super) fn nullable<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Options {
        let numbered = pairs.iter().enumerate();
        Options::from_env(numbered.map(|(n, (key, value))| (format!("{OPTION}{n}"), format!("{key}={value}"))))
    }

    fn env(name: &str, value: &str) -> Options {
        Options::from_env([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_value_may_hold_an_equals_sign() {
        let options = options(&[("build-arg:A", "b=c=d"), ("filename", "sub/hello.yaml"), ("no-cache", "")]);
        assert_eq!(options.build_args(), BTreeMap::from([("A", "b=c=d")]));
        assert_eq!(options.filename(), Some("sub/hello.yaml"));
        assert_eq!(options.get("no-cache"), Some(""));
        assert_eq!(options.get("target"), None);
        assert!(env("PATH", "a=b").is_empty());
        assert_eq!(env("BUILDKIT_FRONTEND_OPT_0", "bare").get("bare"), Some(""));
    }

    #[test]
    fn platforms_are_normalised_and_told_apart() {
        let asked = options(&[("platform", "linux/amd64,linux/arm64/v8,linux/arm64")]);
        assert_eq!(asked.platforms(), Ok(vec![Platform::linux("amd64"), Platform::linux("arm64")]));
        assert_eq!(asked.multi_platform(), Ok(true));
        let one = options(&[("platform", "linux/amd64")]);
        assert_eq!(one.multi_platform(), Ok(false));
        let forced = options(&[("platform", "linux/amd64"), ("multi-platform", "1")]);
        assert_eq!(forced.multi_platform(), Ok(true));
        let argument = options(&[("build-arg:BUILDKIT_MULTI_PLATFORM", "true"), ("multi-platform", "false")]);
        assert_eq!(argument.multi_platform(), Ok(true));
        let conflict = options(&[("platform", "linux/amd64,linux/arm64"), ("multi-platform", "false")]);
        assert!(conflict.multi_platform().is_err());
        assert!(options(&[("multi-platform", "maybe")]).multi_platform().is_err());
        assert_eq!(options(&[]).platforms(), Ok(vec![]));
        assert!(options(&[("platform", "linux/amd64,nonsense")]).platforms().is_err());
    }

    #[test]
    fn workers_tell_the_platform_and_the_version() {
        let json = |version: &str| {
            format!(
                r#"[{{"id":"x","labels":{{}},"platforms":[{{"architecture":"arm64","os":"linux","variant":"v8"}}],
                "gcPolicy":null,"buildkitVersion":{{"package":"github.com/moby/buildkit","version":"{version}",
                "revision":"abc"}},"cdiDevices":null}}]"#
            )
        };
        let real = env("BUILDKIT_WORKERS", &json("v0.27.1"));
        assert_eq!(real.default_platform(), Platform::linux("arm64"));
        assert_eq!(real.buildkit_version(), Some("0.27.1"));
        assert_eq!(env("BUILDKIT_WORKERS", &json("v0.0.0+unknown")).buildkit_version(), None);
        for nonsense in ["null", "[]", "{", r#"[{"platforms":null}]"#] {
            let options = env("BUILDKIT_WORKERS", nonsense);
            assert_eq!(options.default_platform(), own_platform(), "{nonsense}");
            assert_eq!(options.buildkit_version(), None, "{nonsense}");
        }
    }

    #[test]
    fn no_cache_is_of_everything_or_of_names() {
        assert!(!options(&[]).is_no_cache("files"));
        assert!(options(&[("no-cache", "")]).is_no_cache("files"));
        let named = options(&[("no-cache", "Files,lock")]);
        assert!(named.is_no_cache("files"));
        assert!(!named.is_no_cache("images"));
        assert_eq!(named.no_cache(), Some(NoCache::Names(vec!["Files".into(), "lock".into()])));
    }

    #[test]
    fn contexts_have_names_and_sessions() {
        let mut options = options(&[
            ("context:base", "docker-image://alpine"),
            ("context:nginx::linux/arm64", "oci-layout://x@sha256:1"),
            ("local-sessionid:dockerfile", "other"),
            ("contextkey", "elsewhere"),
            ("elsewhere", "https://example.org/x.git"),
            ("dockerfilekey", "definitions"),
        ]);
        options.session = "mine".into();
        let arm = Platform::linux("arm64");
        assert_eq!(options.named_context("base", Some(&arm)), Some(("base".into(), "docker-image://alpine")));
        assert_eq!(
            options.named_context("docker.io/library/nginx:latest", Some(&arm)).map(|c| c.0).as_deref(),
            Some("nginx::linux/arm64")
        );
        assert_eq!(options.named_context("nginx", Some(&Platform::linux("amd64"))), None);
        assert_eq!(options.local_session("dockerfile"), "other");
        assert_eq!(options.local_session("context"), "mine");
        assert_eq!(options.main_context(), Some("https://example.org/x.git"));
        assert_eq!(options.dockerfile_local(), ("definitions", true));
    }

    #[test]
    fn caches_are_read_as_go_writes_them() {
        let json = r#"[{"Type":"registry","Attrs":{"ref":"example.org/cache"}},{"Type":"gha"}]"#;
        let imports = options(&[("cache-imports", json)]).cache_imports().expect("two");
        assert_eq!(imports[0].attributes["ref"], "example.org/cache");
        assert_eq!(imports[1], CacheImport { kind: "gha".into(), ..CacheImport::default() });
        assert_eq!(options(&[]).cache_imports(), Ok(vec![]));
        assert!(options(&[("cache-imports", "x")]).cache_imports().is_err());
    }

    #[test]
    fn the_rest() {
        let options = options(&[
            ("image-resolve-mode", "pull"),
            ("build-arg:SOURCE_DATE_EPOCH", "1700000000"),
            ("attest:provenance", "mode=max,version=v1"),
            ("build-arg:BUILDKIT_ATTEST_SBOM", ""),
            ("label:a", "b"),
        ]);
        assert_eq!(options.resolve_mode(), Ok(ResolveMode::Pull));
        assert_eq!(options.source_date_epoch(), Some(1_700_000_000));
        assert_eq!(options.labels(), BTreeMap::from([("a", "b")]));
        let attestations = options.attestations();
        assert_eq!(attestations.keys().collect::<Vec<_>>(), ["provenance", "sbom"]);
        assert_eq!(attestations["provenance"]["mode"], "max");
        let nonsense =
            super::tests::options(&[("image-resolve-mode", "x"), ("build-arg:SOURCE_DATE_EPOCH", "context")]);
        assert!(nonsense.resolve_mode().is_err());
        assert_eq!(nonsense.source_date_epoch(), None);
    }
}
