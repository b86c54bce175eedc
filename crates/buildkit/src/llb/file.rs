//! File vertices: directories, small files and copies. Owns the encoding of BuildKit's `FileOp`; does not know what
//! the files are.

use std::collections::HashMap;

use bollard_buildkit_proto::pb;
use pb::file_action::Action;

use super::{Digest, State};

/// The index that stands for "nothing" (scratch) as an input, and for "not an output".
const NONE: i64 = -1;
/// "Leave alone", as a timestamp and as the mode of a copy.
const KEEP: i64 = -1;

/// A file vertex under construction: actions applied in order.
#[derive(Debug, Clone)]
pub struct File {
    base: Option<State>,
    actions: Vec<FileAction>,
}

#[derive(Debug, Clone)]
enum FileAction {
    Mkdir(Mkdir),
    Mkfile(Mkfile),
    Copy(Copy),
    Rm(Rm),
    Symlink(Symlink),
}

impl File {
    /// Actions on an empty root.
    pub fn scratch() -> Self {
        Self { base: None, actions: Vec::new() }
    }

    /// Actions on top of `base`.
    pub fn on(base: &State) -> Self {
        Self { base: Some(base.clone()), actions: Vec::new() }
    }

    /// Makes a directory.
    #[must_use]
    pub fn mkdir(mut self, mkdir: Mkdir) -> Self {
        self.actions.push(FileAction::Mkdir(mkdir));
        self
    }

    /// Writes a file.
    #[must_use]
    pub fn mkfile(mut self, mkfile: Mkfile) -> Self {
        self.actions.push(FileAction::Mkfile(mkfile));
        self
    }

    /// Copies from another state.
    #[must_use]
    pub fn copy(mut self, copy: Copy) -> Self {
        self.actions.push(FileAction::Copy(copy));
        self
    }

    /// Removes a file or a directory.
    #[must_use]
    pub fn rm(mut self, rm: Rm) -> Self {
        self.actions.push(FileAction::Rm(rm));
        self
    }

    /// Makes a symbolic link. BuildKit 0.19 or newer.
    #[must_use]
    pub fn symlink(mut self, symlink: Symlink) -> Self {
        self.actions.push(FileAction::Symlink(symlink));
        self
    }

    /// The vertex: its inputs are the base and what is copied from, each once, in order of first use.
    pub fn state(self) -> State {
        let mut inputs = Inputs::default();
        if let Some(base) = &self.base {
            inputs.place(base);
        }
        let sources: Vec<Option<i64>> = self
            .actions
            .iter()
            .map(|action| match action {
                FileAction::Copy(copy) => Some(inputs.place(&copy.from)),
                _ => None,
            })
            .collect();
        let inputs = inputs.into_states();
        let count = inputs.len();
        let last = self.actions.len().saturating_sub(1);
        // Names of users are looked up in the base.
        let base = if self.base.is_some() { 0 } else { NONE };
        let mut capabilities = vec!["file.base"];
        capabilities.extend(self.actions.iter().flat_map(FileAction::capabilities));
        let index = |n: usize| i64::try_from(n).expect("the number of actions fits in an i64");
        let actions = std::iter::zip(self.actions, sources)
            .enumerate()
            .map(|(at, (action, source))| pb::FileAction {
                // The result of action n is input number `count + n`; the first action starts from the base.
                input: if at == 0 { base } else { index(count + at - 1) },
                secondary_input: source.unwrap_or(NONE),
                output: if at == last { 0 } else { NONE },
                action: Some(action.into_pb(base)),
            })
            .collect();
        State::new(pb::op::Op::File(pb::FileOp { actions }), None, inputs, &capabilities)
    }
}

impl FileAction {
    /// What the daemon must have in addition to `file.base`.
    fn capabilities(&self) -> Vec<&'static str> {
        match self {
            Self::Symlink(_) => vec!["file.symlink.create"],
            Self::Copy(copy) => copy.capabilities(),
            Self::Mkdir(_) | Self::Mkfile(_) | Self::Rm(_) => Vec::new(),
        }
    }

    fn into_pb(self, base: i64) -> Action {
        let owner = |owner: Option<Owner>| owner.map(|owner| owner.into_pb(base));
        match self {
            Self::Mkdir(mkdir) => Action::Mkdir(pb::FileActionMkDir { owner: owner(mkdir.owner), ..mkdir.action }),
            Self::Mkfile(mkfile) => {
                Action::Mkfile(pb::FileActionMkFile { owner: owner(mkfile.owner), ..mkfile.action })
            }
            Self::Copy(copy) => Action::Copy(pb::FileActionCopy { owner: owner(copy.owner), ..copy.action }),
            Self::Rm(rm) => Action::Rm(rm.0),
            Self::Symlink(symlink) => {
                Action::Symlink(pb::FileActionSymlink { owner: owner(symlink.owner), ..symlink.action })
            }
        }
    }
}

/// Who a file belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    user: Option<User>,
    group: Option<User>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum User {
    Name(String),
    Id(u32),
}

impl Owner {
    /// A user and a group by their numbers.
    pub fn ids(user: u32, group: u32) -> Self {
        Self { user: Some(User::Id(user)), group: Some(User::Id(group)) }
    }

    /// A user and a group by name: they are looked up in `/etc/passwd` and `/etc/group` of the state that the file
    /// vertex is [`File::on`]. Without a group, the group is left alone.
    pub fn names(user: &str, group: Option<&str>) -> Self {
        Self { user: Some(User::Name(user.to_owned())), group: group.map(|group| User::Name(group.to_owned())) }
    }

    fn into_pb(self, base: i64) -> pb::ChownOpt {
        let user = |user: User| pb::UserOpt {
            user: Some(match user {
                User::Name(name) => pb::user_opt::User::ByName(pb::NamedUserOpt { name, input: base }),
                User::Id(id) => pb::user_opt::User::ById(id),
            }),
        };
        pb::ChownOpt { user: self.user.map(user), group: self.group.map(user) }
    }
}

/// The inputs of a vertex, each once, in order of first use.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    states: Vec<State>,
    /// By digest and output.
    places: HashMap<(Digest, i64), i64>,
}

impl Inputs {
    /// The place of `state`, where it is added if it is new.
    pub(super) fn place(&mut self, state: &State) -> i64 {
        let next = i64::try_from(self.states.len()).expect("the number of inputs fits in an i64");
        *self.places.entry((state.digest().clone(), state.output)).or_insert_with(|| {
            self.states.push(state.clone());
            next
        })
    }

    pub(super) fn into_states(self) -> Vec<State> {
        self.states
    }
}

/// Makes a directory.
#[derive(Debug, Clone)]
pub struct Mkdir {
    action: pb::FileActionMkDir,
    owner: Option<Owner>,
}

impl Mkdir {
    /// The directory `path`, with its permission bits.
    pub fn new(path: &str, mode: u32) -> Self {
        let action = pb::FileActionMkDir { path: path.into(), mode: bits(mode), timestamp: KEEP, ..Default::default() };
        Self { action, owner: None }
    }

    /// Who it belongs to; root where it is not set.
    #[must_use]
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Makes the directories above it too.
    #[must_use]
    pub fn create_parents(mut self) -> Self {
        self.action.make_parents = true;
        self
    }

    /// The modification time, in seconds since 1970.
    #[must_use]
    pub fn timestamp(mut self, seconds: i64) -> Self {
        self.action.timestamp = nanoseconds(seconds);
        self
    }
}

/// Writes a file.
#[derive(Debug, Clone)]
pub struct Mkfile {
    action: pb::FileActionMkFile,
    owner: Option<Owner>,
}

impl Mkfile {
    /// The file `path`, with its permission bits and content.
    pub fn new(path: &str, mode: u32, data: impl Into<Vec<u8>>) -> Self {
        let action = pb::FileActionMkFile {
            path: path.into(),
            mode: bits(mode),
            data: data.into(),
            timestamp: KEEP,
            ..Default::default()
        };
        Self { action, owner: None }
    }

    /// Who it belongs to; root where it is not set.
    #[must_use]
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// The modification time, in seconds since 1970.
    #[must_use]
    pub fn timestamp(mut self, seconds: i64) -> Self {
        self.action.timestamp = nanoseconds(seconds);
        self
    }
}

/// Copies a file or directory from another state.
#[derive(Debug, Clone)]
pub struct Copy {
    from: State,
    action: pb::FileActionCopy,
    owner: Option<Owner>,
}

impl Copy {
    /// The path `src` of `from`, as `dest`. The mode is kept: given, it would also be put on created directories.
    pub fn new(from: &State, src: &str, dest: &str) -> Self {
        let action = pb::FileActionCopy {
            src: src.into(),
            dest: dest.into(),
            mode: -1,
            timestamp: KEEP,
            ..pb::FileActionCopy::default()
        };
        Self { from: from.clone(), action, owner: None }
    }

    /// Who it belongs to; as in its source where it is not set.
    #[must_use]
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Takes `*`, `?` and `[…]` in the source's path as Go's `filepath.Match` does, and copies all that match. Without a
    /// match, the build fails, unless [`Self::allow_empty_wildcard`].
    #[must_use]
    pub fn wildcard(mut self) -> Self {
        self.action.allow_wildcard = true;
        self
    }

    /// Copies nothing where nothing matches.
    #[must_use]
    pub fn allow_empty_wildcard(mut self) -> Self {
        self.action.allow_empty_wildcard = true;
        self
    }

    /// Copies only what matches one of these patterns, which are relative to the source, as in `.dockerignore`.
    /// BuildKit 0.9 or newer.
    #[must_use]
    pub fn include<S: Into<String>>(mut self, patterns: impl IntoIterator<Item = S>) -> Self {
        self.action.include_patterns.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Leaves out what matches one of these patterns. BuildKit 0.9 or newer.
    #[must_use]
    pub fn exclude<S: Into<String>>(mut self, patterns: impl IntoIterator<Item = S>) -> Self {
        self.action.exclude_patterns.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Fails where one of these paths is missing in the source. BuildKit 0.26 or newer.
    #[must_use]
    pub fn require<S: Into<String>>(mut self, paths: impl IntoIterator<Item = S>) -> Self {
        self.action.required_paths.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Replaces what lies at `dest` where it is of another kind: a file by a directory, and the other way round.
    /// BuildKit 0.14 or newer.
    #[must_use]
    pub fn replace_existing(mut self) -> Self {
        self.action.always_replace_existing_dest_paths = true;
        self
    }

    /// The mode as `chmod` takes it: `u=rw,go=r`. BuildKit 0.17 or newer.
    #[must_use]
    pub fn chmod(mut self, mode: &str) -> Self {
        self.action.mode = 0;
        mode.clone_into(&mut self.action.mode_str);
        self
    }

    fn capabilities(&self) -> Vec<&'static str> {
        let action = &self.action;
        let patterns = !action.include_patterns.is_empty() || !action.exclude_patterns.is_empty();
        let needed = [
            (patterns, "file.copy.includeexcludepatterns"),
            (!action.required_paths.is_empty(), "file.copy.requiredpaths"),
            (action.always_replace_existing_dest_paths, "file.copy.alwaysreplaceexistingdestpaths"),
            (!action.mode_str.is_empty(), "file.copy.modestring"),
        ];
        needed.into_iter().filter_map(|(needed, id)| needed.then_some(id)).collect()
    }

    /// Makes the directories above `dest`.
    #[must_use]
    pub fn create_parents(mut self) -> Self {
        self.action.create_dest_path = true;
        self
    }

    /// Copies what is in the directory, not the directory.
    #[must_use]
    pub fn contents_only(mut self) -> Self {
        self.action.dir_copy_contents = true;
        self
    }

    /// Copies what a link leads to.
    #[must_use]
    pub fn follow_symlink(mut self) -> Self {
        self.action.follow_symlink = true;
        self
    }

    /// The mode of the copy, and of directories that it makes: twelve bits.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.action.mode = bits(mode);
        self
    }

    /// Unpacks `src` if it is an archive.
    #[must_use]
    pub fn unpack(mut self) -> Self {
        self.action.attempt_unpack_docker_compatibility = true;
        self
    }

    /// The modification time of everything copied, in seconds since 1970.
    #[must_use]
    pub fn timestamp(mut self, seconds: i64) -> Self {
        self.action.timestamp = nanoseconds(seconds);
        self
    }
}

/// Removes a file, or a directory with all that is in it.
#[derive(Debug, Clone)]
pub struct Rm(pb::FileActionRm);

impl Rm {
    /// The path to remove. Where nothing is there, the build fails, unless [`Self::allow_not_found`].
    pub fn new(path: &str) -> Self {
        Self(pb::FileActionRm { path: path.into(), ..Default::default() })
    }

    /// Does nothing where nothing is there.
    #[must_use]
    pub fn allow_not_found(mut self) -> Self {
        self.0.allow_not_found = true;
        self
    }

    /// Takes `*`, `?` and `[…]` in the path as Go's `filepath.Match` does, and removes all that match.
    #[must_use]
    pub fn wildcard(mut self) -> Self {
        self.0.allow_wildcard = true;
        self
    }
}

/// Makes a symbolic link.
#[derive(Debug, Clone)]
pub struct Symlink {
    action: pb::FileActionSymlink,
    owner: Option<Owner>,
}

impl Symlink {
    /// The link `path`, which leads to `target`, as it is written.
    pub fn new(target: &str, path: &str) -> Self {
        let action = pb::FileActionSymlink {
            oldpath: target.into(),
            newpath: path.into(),
            timestamp: KEEP,
            ..Default::default()
        };
        Self { action, owner: None }
    }

    /// Who it belongs to; root where it is not set.
    #[must_use]
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// The modification time, in seconds since 1970.
    #[must_use]
    pub fn timestamp(mut self, seconds: i64) -> Self {
        self.action.timestamp = nanoseconds(seconds);
        self
    }
}

fn bits(mode: u32) -> i32 {
    i32::try_from(mode & 0o7777).expect("twelve bits fit in an i32")
}

/// BuildKit's file ops count in nanoseconds.
fn nanoseconds(seconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000)
}
