//! Where the Dockerfile and other files come from, as BuildKit's clients hand it over: directories of the client, git
//! repositories, archives by URL, graphs. Follows `frontend/dockerui` of BuildKit, and has its words: the Dockerfile is the
//! file that says what to build, whatever its language. Does not know what is in the files.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use super::git::GitRef;
use super::options::{CONTEXT, boolean};
use super::path::join;
use super::{Client, Content, Error, Options, Reference, SolveRequest};
use crate::llb::{self, Digest, Graph};

/// The largest file (bytes) that is read, unless [`BuildContext::limit`] says otherwise.
const LIMIT: u64 = 16 << 20;

/// The name under which BuildKit stores what a URL gave.
const DOWNLOADED: &str = "context";

/// The build context, and the directory of the Dockerfile.
#[derive(Debug, Clone)]
pub struct BuildContext {
    pub(super) client: Client,
    pub(super) options: Options,
    main: Origin,
    dockerfile: Origin,
    /// The directory within the main context that is the context.
    subdir: String,
    /// The Dockerfile's name where the context is a single file.
    single: Option<String>,
    pub(super) limit: u64,
}

/// Where files come from.
#[derive(Debug, Clone)]
enum Origin {
    /// A directory that the client offers by name.
    Local(String),
    /// A source of the graph.
    State(llb::State),
    /// A graph that the client handed over.
    Input(Graph),
}

/// The Dockerfile, as it was found: the file that says what to build, whatever its language.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dockerfile {
    /// Its name as the user knows it: a path within the directory that the client offers.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// The digest of the vertex that loaded it, which warnings about it are shown with.
    pub vertex: Digest,
}

impl BuildContext {
    /// Finds out where files come from. A context that is a URL is downloaded to see whether it is an archive.
    ///
    /// # Errors
    /// A URL of a git repository with a bad query; a URL that cannot be downloaded.
    pub async fn new(client: &Client, options: &Options) -> Result<Self, Error> {
        let (folder, forced) = options.dockerfile_local();
        let dockerfile = Origin::Local(folder.to_owned());
        let mut context = Self {
            client: client.clone(),
            options: options.clone(),
            main: Origin::Local(CONTEXT.to_owned()),
            dockerfile,
            subdir: String::new(),
            single: None,
            limit: LIMIT,
        };
        let url = options.main_context().unwrap_or_default();
        let keep_git_dir = options.build_arg("BUILDKIT_CONTEXT_KEEP_GIT_DIR").and_then(boolean).unwrap_or(false);
        if let Some(git) = GitRef::parse(url) {
            let state = git.map_err(|error| error.context(format!("build context {url}")))?.state(keep_git_dir);
            context.main = Origin::State(state.named(format!("[internal] load git source {url}")));
        } else if url.starts_with("http://") || url.starts_with("https://") {
            context.download(url).await?;
        } else {
            let mut inputs = client.inputs().await?;
            if let Some(input) = inputs.remove(folder).filter(|_| !forced) {
                context.dockerfile = Origin::Input(input);
            }
            if let Some(input) = inputs.remove(CONTEXT) {
                context.main = Origin::Input(input);
            }
        }
        if !matches!(context.main, Origin::Local(_)) {
            options.context_subdir().unwrap_or_default().clone_into(&mut context.subdir);
        }
        if matches!(context.main, Origin::State(_)) && !forced {
            context.dockerfile = context.main.clone();
        }
        Ok(context)
    }

    /// The largest file (bytes) that is read.
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    async fn download(&mut self, url: &str) -> Result<(), Error> {
        let file = llb::Http::new(url).filename(DOWNLOADED).state().named("[internal] load remote build context");
        let start = self.client.solve_state(&file).await?.read_range(DOWNLOADED, 0, 1024).await?;
        self.main = Origin::State(if is_archive(&start) {
            let unpacked = llb::Copy::new(&file, &format!("/{DOWNLOADED}"), "/").unpack();
            llb::File::scratch().copy(unpacked).state().named("[internal] unpack remote build context")
        } else {
            let path = url.split(['?', '#']).next().unwrap_or_default();
            let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(DOWNLOADED);
            self.single = Some(name.to_owned());
            file
        });
        Ok(())
    }

    /// Reads the Dockerfile: the file that the client names (`-f`), or else `default`.
    ///
    /// # Errors
    /// When it is not there, is a directory, or is larger than the limit.
    pub async fn read_dockerfile(&self, default: &str) -> Result<Dockerfile, Error> {
        // Where the Dockerfile's directory is forced, the single file of the context is not it.
        let single = self.single.as_deref().filter(|_| matches!(self.dockerfile, Origin::State(_)));
        let asked = self.options.filename().unwrap_or(default);
        let (name, path) = single.map_or((asked, asked), |name| (name, DOWNLOADED));
        // An input of its own is not within the main context's folder.
        let subdir = if matches!(self.dockerfile, Origin::State(_)) { self.subdir.as_str() } else { "" };
        let path = join(subdir, path);
        let progress = format!("[internal] load build definition from {name}");
        let (request, vertex) = self.request(&self.dockerfile, std::slice::from_ref(&path), None, progress)?;
        let reference = self.reference(request).await?;
        let bytes = match reference.read_file(&path, self.limit).await? {
            Content::Bytes(bytes) => bytes,
            Content::Absent => return Err(Error::new(format!("the definition `{name}` does not exist"))),
            Content::Directory => return Err(Error::new(format!("the definition `{name}` is a directory"))),
            Content::TooLarge(bytes) => {
                let (bytes, limit) = (bytes.div_ceil(1 << 10), self.limit >> 10);
                return Err(Error::new(format!("the definition `{name}` has {bytes} KiB; the maximum is {limit}")));
            }
        };
        Ok(Dockerfile { name: name.to_owned(), bytes, vertex })
    }

    /// Reads a file by its path in the directory that the Dockerfile's own name is relative to.
    pub async fn read_beside_dockerfile(&self, path: &str) -> Result<Content, Error> {
        if self.single.is_some() && matches!(self.dockerfile, Origin::State(_)) {
            return Ok(Content::Absent);
        }
        let subdir = if matches!(self.dockerfile, Origin::State(_)) { self.subdir.as_str() } else { "" };
        let found = join(subdir, path);
        let progress = format!("[internal] load {path}");
        let (request, _) = self.request(&self.dockerfile, std::slice::from_ref(&found), Some("beside"), progress)?;
        self.reference(request).await?.read_file(&found, self.limit).await
    }

    /// Reads files of the build context, all with one request to the client. `.dockerignore` does not hide them. Links
    /// are followed within the context.
    pub async fn read_files<S: AsRef<str>>(
        &self,
        paths: impl IntoIterator<Item = S>,
    ) -> Result<BTreeMap<String, Content>, Error> {
        let asked: Vec<String> = paths.into_iter().map(|path| path.as_ref().to_owned()).collect();
        let found: Vec<String> = asked.iter().map(|path| join(&self.subdir, path)).collect();
        let progress = match asked.as_slice() {
            [] => return Ok(BTreeMap::new()),
            [only] => format!("[internal] load {only}"),
            several => format!("[internal] load {} files of the build context", several.len()),
        };
        let (request, _) = self.request(&self.main, &found, Some("files"), progress)?;
        let reference = self.reference(request).await?;
        let contents = try_join_all(found.iter().map(|path| reference.read_file(path, self.limit))).await?;
        Ok(asked.into_iter().zip(contents).collect())
    }

    /// Solves a vertex, such as that of a named context.
    pub async fn solve(&self, state: &llb::State) -> Result<Reference, Error> {
        self.client.solve_state(state).await
    }

    /// Reads a file, within the limit.
    pub async fn read(&self, reference: &Reference, path: &str) -> Result<Content, Error> {
        reference.read_file(path, self.limit).await
    }

    /// The place of a path of the context, in what [`Self::folders`] and [`Self::file`] give.
    pub(super) fn within(&self, path: &str) -> String {
        join(&self.subdir, path)
    }

    /// Directories of the context with all that is in them, and what links in them lead to; the paths are those of
    /// [`Self::within`].
    pub(super) async fn folders(
        &self,
        paths: &[String],
        targets: &BTreeSet<String>,
        progress: &str,
    ) -> Result<Reference, Error> {
        let mut selection = format!("tree-{}", paths.first().map_or("", String::as_str));
        for target in targets {
            selection.push(',');
            selection.push_str(target);
        }
        let all: Vec<String> = paths.iter().chain(targets).cloned().collect();
        let (request, _) = self.request(&self.main, &all, Some(&selection), progress.to_owned())?;
        self.reference(request).await
    }

    /// The vertex that has a file of the context.
    ///
    /// # Errors
    /// Where the context is a graph that the client handed over.
    pub(super) fn file(&self, path: &str, progress: &str) -> Result<llb::State, Error> {
        match &self.main {
            Origin::Local(name) => {
                let local = llb::Local::new(name).session(self.options.local_session(name));
                let local = local.follow_paths(&[self.within(path)]).shared_key_hint(&format!("{name}-{path}"));
                Ok(local.differ_none().state().named(progress))
            }
            Origin::State(state) => Ok(state.clone()),
            Origin::Input(_) => Err(Error::new("an archive cannot be read from a build context that is a graph")),
        }
    }

    /// How `paths` of an origin are asked for, and the digest of the vertex that gives them. The client compares a
    /// directory's files with what it sent before under the same key: other selections of files need other keys.
    fn request(
        &self,
        origin: &Origin,
        paths: &[String],
        selection: Option<&str>,
        progress: String,
    ) -> Result<(SolveRequest, Digest), Error> {
        let state = match origin {
            Origin::Local(name) => {
                let key = selection.map_or_else(|| name.clone(), |selection| format!("{name}-{selection}"));
                let local = llb::Local::new(name).session(self.options.local_session(name));
                local.follow_paths(paths).shared_key_hint(&key).differ_none().state().named(progress)
            }
            Origin::State(state) => state.clone(),
            Origin::Input(graph) => {
                let head = graph.head().ok_or_else(|| Error::new("the build context is an empty graph"))?;
                return Ok((SolveRequest::graph(graph.clone()), head));
            }
        };
        Ok((SolveRequest::new(&state.marshal()), state.digest().clone()))
    }

    async fn reference(&self, request: SolveRequest) -> Result<Reference, Error> {
        let result = self.client.solve(request).await?;
        result.reference.ok_or_else(|| Error::new("the build context is empty"))
    }
}

/// Whether a file that starts so is an archive: what dockerui looks for.
fn is_archive(start: &[u8]) -> bool {
    const COMPRESSED: [&[u8]; 3] = [b"BZh", &[0x1f, 0x8b, 0x08], &[0xfd, b'7', b'z', b'X', b'Z', 0]];
    COMPRESSED.iter().any(|magic| start.starts_with(magic)) || is_tar(start)
}

/// Whether the first block is the header of a tar archive: its checksum is right.
fn is_tar(start: &[u8]) -> bool {
    let Some(block) = start.first_chunk::<512>() else { return false };
    let Ok(written) = std::str::from_utf8(&block[148..156]) else { return false };
    let written = written.trim_matches(|c| c == ' ' || c == '\0');
    let sum = block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) });
    u32::from_str_radix(written, 8).is_ok_and(|written| written == sum.sum::<u32>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Fake, Solve};

    async fn open(fake: &Fake) -> Result<BuildContext, Error> {
        BuildContext::new(&fake.connect().await, &fake.options()).await
    }

    async fn definition(fake: &Fake) -> String {
        let read = async { open(fake).await?.read_dockerfile("hello.yaml").await };
        match read.await {
            Ok(file) => format!("{}: {}", file.name, String::from_utf8_lossy(&file.bytes)),
            Err(error) => error.to_string(),
        }
    }

    async fn file(fake: &Fake, path: &str) -> Option<String> {
        let read = async { open(fake).await?.read_files([path]).await };
        let bytes = read.await.expect("read").remove(path)?.bytes()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn folders_of_the_client() {
        let fake = Fake::new()
            .option("filename", "sub/my.yaml")
            .local("dockerfile", "sub/my.yaml", "mine")
            .local("context", "temp/a.list", "a")
            .local("context", "temp/b.list", "b");
        assert_eq!(definition(&fake).await, "sub/my.yaml: mine");
        let context = open(&fake).await.expect("a context");
        let files = context.read_files(["temp/a.list", "./temp//b.list", "c.list", "temp"]).await.expect("read");
        insta::assert_debug_snapshot!(files);
        insta::assert_snapshot!(fake.log());
        let attributes: Vec<_> = fake.solves().iter().flat_map(Solve::sources).collect();
        insta::assert_debug_snapshot!(attributes);
    }

    #[tokio::test]
    async fn the_vertex_of_a_folder_is_that_of_buildkit() {
        let fake = Fake::new().local("dockerfile", "hello.yaml", "x");
        let file = open(&fake).await.expect("a context").read_dockerfile("hello.yaml").await.expect("read");
        // Made by `llb.Local` with what `dockerui` gives it.
        assert_eq!(file.vertex, "sha256:61941db94d60773240cc831770c8b9ff3f8d71afe1dc38778d6e9fb77920324e");
    }

    #[tokio::test]
    async fn a_definition_that_cannot_be_read_is_told() {
        assert_eq!(definition(&Fake::new()).await, "the definition `hello.yaml` does not exist");
        let folder = Fake::new().local("dockerfile", "hello.yaml/x", "");
        assert_eq!(definition(&folder).await, "the definition `hello.yaml` is a directory");
        let fake = Fake::new().local("dockerfile", "hello.yaml", vec![b'x'; 5000]);
        let context = open(&fake).await.expect("a context").limit(4096);
        let error = context.read_dockerfile("hello.yaml").await.expect_err("too large");
        assert_eq!(error.message(), "the definition `hello.yaml` has 5 KiB; the maximum is 4");
    }

    #[tokio::test]
    async fn a_git_repository() {
        let url = "https://example.com/foo.git#v1:sub";
        let files = [("hello.yaml", "from git"), ("in/a.list", "a")];
        let fake = Fake::new().option("context", url).git("example.com/foo.git#v1:sub", files);
        assert_eq!(definition(&fake).await, "hello.yaml: from git");
        assert_eq!(file(&fake, "in/a.list").await.as_deref(), Some("a"));
        assert_eq!(fake.solves()[0].names(), [format!("[internal] load git source {url}")]);
        assert_eq!(fake.asked("git://example.com/foo.git#v1:sub"), 1);
        let within = fake.option("contextsubdir", "in");
        assert_eq!(file(&within, "a.list").await.as_deref(), Some("a"));
        let bad = Fake::new().option("context", "https://example.com/foo.git?x=1");
        assert_eq!(
            open(&bad).await.expect_err("a bad query").message(),
            "build context https://example.com/foo.git?x=1: unexpected query `x`"
        );
    }

    #[tokio::test]
    async fn a_definition_of_the_client_beside_a_git_repository() {
        let fake = Fake::new()
            .option("context", "https://example.com/foo.git")
            .option("dockerfilekey", "mine")
            .local("mine", "hello.yaml", "local")
            .git("example.com/foo.git", [("hello.yaml", "from git"), ("a.list", "a")]);
        assert_eq!(definition(&fake).await, "hello.yaml: local");
        assert_eq!(file(&fake, "a.list").await.as_deref(), Some("a"));
    }

    #[tokio::test]
    async fn a_single_file_by_url_is_the_definition() {
        let url = "https://example.com/x/my.yaml?raw=1";
        let fake = Fake::new().option("context", url).http(url, [Answer::bytes("name: world")]);
        assert_eq!(definition(&fake).await, "my.yaml: name: world");
        let lost = Fake::new().option("context", url).http(url, [Answer::fails("invalid response status 404")]);
        assert_eq!(definition(&lost).await, "failed to load cache key: invalid response status 404");
    }

    #[tokio::test]
    async fn an_archive_by_url_is_unpacked() {
        let url = "https://example.com/x.tgz";
        let fake = Fake::new().option("context", url).http(url, [Answer::bytes([0x1f, 0x8b, 8, 0])]);
        open(&fake).await.expect("a context").read_files(["a"]).await.expect("read");
        let unpacked = fake.solves().last().expect("a solve").vertices().last().expect("a vertex").digest.clone();
        // Made by `dockerui` of BuildKit v0.32 for the same URL.
        assert_eq!(unpacked, "sha256:14e05ad28bad55786c3a7921ffe9ad50691131b745fc16ae7d8052d3b9f15885");
    }

    #[tokio::test]
    async fn graphs_of_the_client() {
        let graph = |name: &str| Graph::from(&llb::Local::new(name).state().marshal());
        let fake = Fake::new()
            .input("dockerfile", graph("one"))
            .input("context", graph("two"))
            .local("one", "hello.yaml", "input")
            .local("two", "a.list", "a");
        assert_eq!(definition(&fake).await, "hello.yaml: input");
        assert_eq!(file(&fake, "a.list").await.as_deref(), Some("a"));
    }

    #[test]
    fn archives_are_told_by_their_start() {
        let mut header = [0; 1024];
        header[..4].copy_from_slice(b"name");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert!(is_archive(&header));
        header[0] = b'N';
        assert!(!is_archive(&header));
        assert!(is_archive(b"BZh9"));
        assert!(!is_archive(b"name: world"));
        assert!(!is_archive(&[0; 1024]));
    }
}
